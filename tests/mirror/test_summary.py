"""What is told of a run: the line, the report, the metrics."""

from __future__ import annotations

import json
from dataclasses import replace

from imgsync.errors import NetworkError, NotFound
from imgsync.mirror.metrics import metrics_text
from imgsync.mirror.state import SeenBudget
from imgsync.mirror.summary import ImageOutcome, Status, Summary

FAILURE = NotFound("docker.io/library/b: no such tag", hint="look")
SUMMARY = Summary(
    "site.yaml",
    (
        ImageOutcome("docker.io/library/a:1", "h.e/p/a:1", Status.NEW, "sha256:1", "sha256:1"),
        ImageOutcome("docker.io/library/a:2", "h.e/p/a:2", Status.UNCHANGED, "sha256:2"),
        ImageOutcome("docker.io/library/b:1", "g.e/p/b:1", Status.FAILED, error=FAILURE),
    ),
    begun_s=1_000_000_000.0,
    ended_s=1_000_000_012.34,
    n_sent_bytes=3_500_000,
    n_sent=5,
    n_mounted=2,
    repository_failures=(("q.e/x", NetworkError("q.e: no answer")),),
    budgets={"docker.io": SeenBudget(100, 76, 21600, 1e9)},
    last_success_s=999.0,
)


def test_one_line_says_it_all() -> None:
    assert SUMMARY.line() == (
        "site.yaml: 1 unchanged, 1 new, 1 failed; 1 repositories failed; 3.3 MiB sent; "
        "2 blobs mounted; 12.3 s"
    )
    empty = Summary("m", (), 5, 4, stopped="the time limit of 1 s is reached")
    assert empty.line() == "m: no image; 0.0 s; stopped: the time limit of 1 s is reached"
    assert "512 B sent" in replace(empty, n_sent_bytes=512).line()


def test_changed_and_complete_are_two_questions() -> None:
    assert SUMMARY.has_changed
    assert not SUMMARY.is_complete
    good = replace(SUMMARY, images=SUMMARY.images[1:2], repository_failures=())
    assert not good.has_changed
    assert good.is_complete
    assert not replace(good, stopped="x").is_complete
    left = replace(good.images[0], status=Status.LEFT)
    assert not replace(good, images=(left,)).is_complete
    assert replace(good, images=(left,)).failures == []


def test_failures_are_told_by_destination() -> None:
    assert SUMMARY.failures_by_host == {"g.e": 1, "h.e": 0}
    assert [name for name, _ in SUMMARY.failures] == ["q.e/x", "g.e/p/b:1"]


def test_the_report_is_json() -> None:
    value = json.loads(json.dumps(SUMMARY.to_json()))
    assert value["counts"] == {"unchanged": 1, "new": 1, "updated": 0, "failed": 1, "left": 0}
    assert value["begun"] == "2001-09-09T01:46:40+00:00"
    assert value["images"][2]["error"] == {
        "exit_code": 5,
        "hint": "look",
        "kind": "NotFound",
        "message": "docker.io/library/b: no such tag",
    }
    assert value["images"][0]["before"] is None
    assert value["repositories_failed"] == [{"message": "q.e: no answer", "repository": "q.e/x"}]


def test_metrics_are_those_of_prometheus() -> None:
    text = metrics_text(replace(SUMMARY, config='a"b\\c\n'))
    lines = text.splitlines()
    assert text.endswith("\n")
    label = 'config="a\\"b\\\\c\\n"'
    assert f"imgsync_mirror_last_success_timestamp_seconds{{{label}}} 999" in lines
    assert f'imgsync_mirror_images{{{label},status="failed"}} 1' in lines
    assert f'imgsync_mirror_failures{{{label},host="h.e"}} 0' in lines
    assert 'imgsync_mirror_pulls_remaining{host="docker.io"} 76' in lines
    assert f"imgsync_mirror_sent_bytes{{{label}}} 3500000" in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) == 8
    assert "pulls_remaining" not in metrics_text(replace(SUMMARY, budgets={}))
    assert f"imgsync_mirror_interrupted{{{label}}} 0" in lines
    ended = metrics_text(replace(SUMMARY, is_interrupted=True))
    assert 'imgsync_mirror_interrupted{config="site.yaml"} 1' in ended.splitlines()
