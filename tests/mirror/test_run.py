"""Runs of a mirror between real registries: whole, least work, and one failure stops no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imgsync.errors import BudgetSpent, Conflict, NotFound, RateLimited
from imgsync.events import Noted
from imgsync.mirror.receipts import PUSHED
from imgsync.mirror.state import State
from imgsync.mirror.summary import Status
from imgsync.model.digest import Digest
from tests.mirror.conftest import Mirror
from tests.servers.faults import Answer, Exchange, Fault, Truncate
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.servers.upstream import Response
from tests.upload import upload

pytestmark = pytest.mark.real

ALL = "defaults: {to: TARGET/m}\nsources: [{repository: SOURCE/a, tags: all}]"
Faulty = Callable[[Registry], FaultyProxy]


def test_what_is_new_moves_and_what_is_there_stays(mirror: Mirror) -> None:
    first, second = mirror.image("a:1"), mirror.image("a:2")
    summary = mirror.run(ALL)
    assert summary.counts["new"] == 2
    assert summary.is_complete
    assert mirror.target.tags("m/a") == {"1": first["digest"], "2": second["digest"]}
    again = mirror.run(ALL)
    assert again.counts["unchanged"] == 2
    assert not again.has_changed
    moved = mirror.image("a:2", "linux/s390x")
    summary = mirror.run(ALL)
    assert (summary.counts["unchanged"], summary.counts["updated"]) == (1, 1)
    assert mirror.target.tags("m/a")["2"] == moved["digest"]


def test_the_whole_closure_is_there_byte_for_byte(mirror: Mirror) -> None:
    mirror.image("a:1", "linux/amd64", "linux/arm64/v8", n_layers=3)
    mirror.run(ALL)
    wanted = mirror.images.digests("registry.example/a:1")
    assert all(mirror.target.has_blob(digest) for digest in wanted)
    assert all(mirror.target.read_blob(item) == mirror.images.blobs[item] for item in wanted)


def test_an_unchanged_image_costs_one_head_at_each_side(mirror: Mirror) -> None:
    for number in range(10):
        mirror.image(f"a:{number}")
        mirror.image(f"b{number}:1")
    config = f"""
defaults: {{to: TARGET/m, referrers: none}}
sources:
  - {{repository: SOURCE/a, tags: [{",".join(f"'{n}'" for n in range(10))}]}}
  - {{repository: SOURCE/b0, tags: ["1"]}}
""" + "".join(f"  - SOURCE/b{number}:1\n" for number in range(1, 10))
    assert mirror.run(config).counts["new"] == 20
    mirror.source.forget()
    mirror.target.forget()
    assert mirror.run(config).counts["unchanged"] == 20
    for registry in (mirror.source, mirror.target):
        requests = registry.requests()
        assert len(requests) <= 20 + 6
        assert len([line for line in requests if line.method == "HEAD"]) == 20
        assert not registry.requests("GET", "/manifests/")


def test_a_pinned_image_costs_nothing_at_the_source(mirror: Mirror) -> None:
    index = mirror.image("a:1")
    config = f"defaults: {{to: TARGET/m}}\nsources: ['SOURCE/a:1@{index['digest']}']"
    assert mirror.run(config).counts["new"] == 1
    assert mirror.target.tags("m/a") == {"1": index["digest"]}
    mirror.source.forget()
    assert mirror.run(config).counts["unchanged"] == 1
    assert not mirror.source.requests("", "/manifests/")


def test_an_image_that_has_only_a_digest_gets_a_tag(mirror: Mirror) -> None:
    digest = str(mirror.image("a:1")["digest"])
    mirror.run(f"defaults: {{to: TARGET/m}}\nsources: ['SOURCE/a@{digest}']")
    tag = f"imgsync-{digest.partition(':')[2][:12]}"
    assert mirror.target.tags("m/a") == {tag: digest}


def test_blobs_are_fetched_once_and_mounted_into_other_repositories(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = mirror.images.layer({"base": b"x" * 5000})
    for name in "abcd":
        top = mirror.images.layer({name: b"top"})
        image = mirror.images.image([base, top], platform="linux/amd64")
        mirror.put(f"{name}:1", image)
    config = "defaults: {to: TARGET/m}\nsources: [SOURCE/a:1, SOURCE/b:1, SOURCE/c:1, SOURCE/d:1]"
    # Two batches: what the first has brought is mounted by the second.
    monkeypatch.setattr("imgsync.mirror.run.BATCH", 2)
    mirror.source.forget()
    summary = mirror.run(config)
    assert summary.counts["new"] == 4
    assert len(mirror.source.requests("GET", f"/blobs/{base.descriptor['digest']}")) == 1
    mounted = mirror.target.requests(
        "POST", f"mount={base.descriptor['digest'].replace(':', '%3A')}"
    )
    assert [line.status for line in mounted] == [201] * 3


def test_names_go_where_the_config_says(mirror: Mirror) -> None:
    digest = mirror.image("team/a:1")["digest"]
    mirror.run("""
sources:
  - {image: "SOURCE/team/a:1", to: TARGET/p}
  - {image: "SOURCE/team/a:1", to: TARGET/q, keep-registry: true}
  - {image: "SOURCE/team/a:1", map: "**/team/*=TARGET/mapped/{2}-x"}
  - {image: "SOURCE/team/a:1", as: "TARGET/other/b:2"}
""")
    host = mirror.source.host.replace(":", "-")
    found = {name: mirror.target.tags(name) for name in mirror.target.repositories()}
    assert found == {
        "p/team/a": {"1": digest},
        f"q/{host}/team/a": {"1": digest},
        "mapped/a-x": {"1": digest},
        "other/b": {"2": digest},
    }


# --- platforms --------------------------------------------------------------------------------

SOME = "defaults: {to: TARGET/m, platforms: linux/amd64, referrers: none}\nsources: [SOURCE/a:1]"


def test_chosen_platforms_become_an_index_of_just_those(mirror: Mirror, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    index = mirror.image("a:1", "linux/amd64", "linux/arm64", "windows/amd64")
    children = [item["digest"] for item in mirror.images.json(index["digest"])["manifests"]]
    mirror.source.forget()
    summary = mirror.run(SOME, save=state)
    assert summary.counts["new"] == 1
    read = [line.path for line in mirror.source.requests("GET", "/manifests/")]
    assert not any(digest in path for digest in children[1:] for path in read)
    assert len(read) == 2
    digest = mirror.target.tags("m/a")["1"]
    assert digest != index["digest"]
    assert summary.images[0].digest == digest
    assert summary.images[0].source_digest == index["digest"]
    # The state knows what it is made to, and without it one document tells.
    for known, n_gets in ((True, 0), (False, 1), (True, 0)):
        if not known:
            state.write_text("damaged")
        mirror.source.forget()
        assert mirror.run(SOME, save=state).counts["unchanged"] == 1
        assert len(mirror.source.requests("GET", "/manifests/")) == n_gets


def test_an_image_that_has_all_of_its_platforms_chosen_keeps_its_digest(mirror: Mirror) -> None:
    index = mirror.image("a:1", "linux/amd64")
    assert mirror.run(SOME).counts["new"] == 1
    assert mirror.target.tags("m/a") == {"1": index["digest"]}
    mirror.state = State()
    assert mirror.run(SOME).counts["unchanged"] == 1


def test_attestations_go_with_their_platform(mirror: Mirror) -> None:
    one = mirror.images.image([mirror.images.layer({"a": b"1"})], platform="linux/amd64")
    two = mirror.images.image([mirror.images.layer({"a": b"2"})], platform="linux/arm64")
    kept, dropped = mirror.images.attestation(one), mirror.images.attestation(two)
    mirror.put("a:1", mirror.images.index([one, two, kept, dropped]))
    mirror.run(SOME)
    digest = Digest.parse(mirror.target.tags("m/a")["1"])
    assert mirror.target.has_blob(kept["digest"])
    assert not mirror.target.has_blob(dropped["digest"])
    assert str(digest) != mirror.images.names["registry.example/a:1"]["digest"]


def test_an_image_of_no_chosen_platform_fails_alone(mirror: Mirror) -> None:
    mirror.image("a:1", "linux/arm64", "linux/s390x")
    mirror.image("b:1", "linux/amd64")
    single = mirror.images.image([mirror.images.layer({"c": b"c"})], platform="linux/arm64")
    mirror.put("c:1", single)
    config = SOME.replace("SOURCE/a:1", "SOURCE/a:1, SOURCE/b:1, SOURCE/c:1")
    summary = mirror.run(config)
    assert (summary.counts["failed"], summary.counts["new"]) == (2, 1)
    messages = [str(error) for _, error in summary.failures]
    assert "has no platform of linux/amd64; it has linux/arm64, linux/s390x" in messages[0]
    assert "is for linux/arm64 only" in messages[1]


# --- failures ---------------------------------------------------------------------------------


def test_one_bad_image_stops_no_other(mirror: Mirror) -> None:
    for name in ("a", "b"):
        mirror.image(f"{name}:1")
    broken = mirror.image("c:1")
    layer = mirror.images.digests("registry.example/c:1") - mirror.images.digests(
        "registry.example/a:1", "registry.example/b:1"
    )
    blob = next(item for item in layer if mirror.images.blobs[item][:1] != b"{")
    mirror.source.damage_blob(blob)
    summary = mirror.run("""
defaults: {to: TARGET/m}
sources: [SOURCE/a:1, SOURCE/c:1, SOURCE/missing:1, SOURCE/a:nosuch, SOURCE/b:1,
          {repository: SOURCE/unknown, tags: all}]
""")
    assert summary.counts["new"] == 2
    assert summary.counts["failed"] == 3
    assert [name for name, _ in summary.repository_failures] == [f"{mirror.source.host}/unknown"]
    assert not summary.is_complete
    assert summary.failures_by_host == {mirror.target.host: 3}
    assert set(mirror.target.repositories()) >= {"m/a", "m/b"}
    assert broken["digest"] not in mirror.target.tags("m/c").values()
    kinds = {name.partition("/")[2]: type(error) for name, error in summary.failures}
    assert kinds["m/a:nosuch"] is NotFound


def test_two_sources_for_one_target_are_told(mirror: Mirror) -> None:
    first = mirror.image("x/a:1")
    mirror.image("y/a:1")
    config = """
sources:
  - {image: "SOURCE/x/a:1", as: "TARGET/m/a:1"}
  - {image: "SOURCE/y/a:1", as: "TARGET/m/a:1"}
  - {image: "SOURCE/x/a:1", as: "TARGET/m/a:1"}
"""
    summary = mirror.run(config)
    assert mirror.target.tags("m/a") == {"1": first["digest"]}
    ((_, error),) = summary.failures
    assert isinstance(error, Conflict)
    assert "(/etc/site.yaml:3:5) and" in error.message


def test_a_rule_that_selects_nothing_is_told(mirror: Mirror) -> None:
    mirror.image("a:1.0-alpine")
    config = "defaults: {to: TARGET/m}\nsources: [{repository: SOURCE/a, tags: {latest: 1}}]"
    assert mirror.run(config).is_complete
    (note,) = [event for event in mirror.events if isinstance(event, Noted)]
    assert note.level == "warning"
    assert "of 1 tags none is selected" in note.message


def test_a_destination_that_is_down_fails_every_image_and_the_next_run_goes_on(
    mirror: Mirror,
) -> None:
    mirror.image("a:1")
    mirror.image("a:2")
    mirror.target.stop()
    summary = mirror.run(ALL)
    assert summary.counts["failed"] == 2
    mirror.target.start()
    assert mirror.run(ALL).counts["new"] == 2


# --- limits -----------------------------------------------------------------------------------


@dataclass
class Hub(Fault):
    """Counts pulls as Docker Hub does: each GET of a manifest, and no HEAD."""

    left: int
    limit: int = 100
    pulls: list[str] = field(default_factory=list)

    def answer(self, exchange: Exchange) -> Response | None:
        if exchange.method == "GET":
            if self.left <= 0:
                text = b'{"errors":[{"code":"TOOMANYREQUESTS","message":"pull rate limit"}]}'
                return Answer(429, {"Retry-After": "3600"}, text).answer(exchange)
            self.left -= 1
            self.pulls.append(exchange.path)
        return None

    def response(self, exchange: Exchange, response: Response) -> None:
        response.headers.append(("ratelimit-limit", f"{self.limit};w=21600"))
        response.headers.append(("ratelimit-remaining", f"{self.left};w=21600"))


def test_a_pull_budget_is_kept_above_its_floor_and_the_next_run_goes_on(
    mirror: Mirror, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgsync.mirror.run.BATCH", 2)
    for number in range(6):
        mirror.image(f"a:{number}", "linux/amd64")
    proxy, hub = faulty(mirror.source), Hub(left=20)
    proxy.on("", "/manifests/", hub, times=None)
    config = "hosts: {SOURCE: {pulls-floor: 15}}\n" + ALL
    summary = mirror.run(config, source=proxy.host)
    assert hub.left == 15
    assert 1 <= summary.counts["new"] <= 2
    assert summary.counts["left"] == 6 - summary.counts["new"]
    left = [image for image in summary.images if image.status is Status.LEFT]
    assert all(isinstance(image.error, BudgetSpent) for image in left)
    assert "are kept for others" in str(left[0].error)
    assert summary.budgets[proxy.host].remaining == 15
    assert not summary.is_complete
    # Nothing is half there: what has a tag is whole.
    hub.left = 100
    done = set(mirror.target.tags("m/a"))
    summary = mirror.run(config, source=proxy.host)
    assert summary.counts["unchanged"] == len(done)
    assert summary.counts["new"] == 6 - len(done)
    assert summary.is_complete


def test_a_registry_that_says_429_leaves_the_rest_for_later(mirror: Mirror, faulty: Faulty) -> None:
    for number in range(3):
        mirror.image(f"a:{number}", "linux/amd64")
    proxy, hub = faulty(mirror.source), Hub(left=2)
    proxy.on("", "/manifests/", hub, times=None)
    # A floor of nothing: only the registry itself says stop.
    summary = mirror.run("hosts: {SOURCE: {pulls-floor: 0}}\n" + ALL, source=proxy.host)
    assert summary.counts["left"] >= 1
    assert summary.counts["failed"] == 0
    proxy.heal()
    proxy.on("HEAD", "/manifests/", Answer(429, {"Retry-After": "3600"}), times=None)
    summary = mirror.run(ALL, source=proxy.host)
    assert summary.counts["left"] == 3
    assert isinstance(summary.images[0].error, RateLimited)


def test_a_short_429_is_waited_for(mirror: Mirror, faulty: Faulty) -> None:
    mirror.image("a:1")
    proxy = faulty(mirror.source)
    proxy.on("HEAD", "/manifests/", Answer(429, {"Retry-After": "1"}))
    assert mirror.run(ALL, source=proxy.host).counts["new"] == 1


def test_a_byte_limit_leaves_whole_images(mirror: Mirror) -> None:
    for number in range(4):
        layer = mirror.images.layer({f"f{number}": bytes([number]) * 20_000}, compression="none")
        mirror.put(f"a:{number}", mirror.images.image([layer], platform="linux/amd64"))
    summary = mirror.run(ALL, byte_limit=60_000)
    assert summary.counts["new"] == 2
    assert summary.counts["left"] == 2
    assert summary.n_sent_bytes <= 60_000
    assert len(mirror.target.tags("m/a")) == 2
    summary = mirror.run(ALL, byte_limit=60_000)
    assert (summary.counts["unchanged"], summary.counts["new"]) == (2, 2)
    assert summary.is_complete


def test_an_image_larger_than_the_limit_is_told(mirror: Mirror) -> None:
    mirror.image("a:1")
    summary = mirror.run(ALL, byte_limit=100)
    assert summary.counts["left"] == 1
    assert "more than the run may still move" in str(summary.images[0].error)


def test_a_time_limit_ends_the_run(mirror: Mirror) -> None:
    mirror.image("a:1")
    summary = mirror.run(ALL, time_limit_s=0.0)
    assert summary.counts["left"] == 1
    assert summary.stopped == "the time limit of 0 s is reached"


def test_a_dry_run_writes_nothing(mirror: Mirror) -> None:
    mirror.image("a:1")
    summary = mirror.run(ALL, dry_run=True)
    assert summary.counts["new"] == 1
    assert not mirror.target.repositories()
    assert not mirror.target.requests("POST|PUT|PATCH")
    assert not mirror.source.requests("GET", "/manifests/")


def test_a_dry_run_tells_bytes_where_manifests_may_be_read(mirror: Mirror) -> None:
    mirror.image("a:1", n_layers=2)
    mirror.run(ALL)
    mirror.image("a:2", n_layers=3)
    mirror.image("a:3", n_layers=3)
    for server in (mirror.source, mirror.target):
        server.forget()
    told = mirror.run(ALL, dry_run=True, measure=True)
    assert not mirror.target.requests("POST|PUT|PATCH")
    read = mirror.source.requests("GET", "/manifests/")
    assert told.n_documents == len(read) >= 6
    assert not mirror.source.requests("GET", "/blobs/")
    planned = {image.target.partition("/m/")[2]: image.n_bytes for image in told.images}
    assert planned["a:1"] is None
    assert f"{len(read)} manifests were asked for" in told.line()
    done = mirror.run(ALL)
    assert told.n_planned_bytes == done.n_sent_bytes > 0
    assert sum(n_bytes or 0 for n_bytes in planned.values()) == done.n_sent_bytes
    assert mirror.run(ALL, dry_run=True, measure=True).n_planned_bytes == 0


# --- what is kept -----------------------------------------------------------------------------


def test_every_push_leaves_a_receipt(mirror: Mirror) -> None:
    first = mirror.image("a:1")
    mirror.run(ALL)
    second = mirror.image("a:1", "linux/s390x")
    mirror.run(ALL)
    mirror.run(ALL)
    assert [(item.what, str(item.digest), item.before) for item in mirror.receipts] == [
        (PUSHED, first["digest"], ""),
        (PUSHED, second["digest"], first["digest"]),
    ]
    assert mirror.receipts[1].source == f"{mirror.source.host}/a:1@{second['digest']}"
    assert str(mirror.receipts[1].destination) == f"{mirror.target.host}/m/a:1"


def test_the_state_is_never_needed_for_being_right(mirror: Mirror, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    mirror.image("a:1")
    mirror.run(ALL, save=state)
    # Somebody takes the tag away, or puts it on something else.
    other = mirror.images.image([mirror.images.layer({"o": b"o"})], platform="linux/amd64")
    mirror.images.name("registry.example/m/a:1", other)
    upload(mirror.target.url, mirror.images, names=["registry.example/m/a:1"])
    assert mirror.run(ALL, save=state).counts["updated"] == 1
    state.write_bytes(b"\0" * 100)
    assert mirror.run(ALL, save=state).counts["unchanged"] == 1


def test_damage_on_the_way_is_no_damage_at_the_target(mirror: Mirror, faulty: Faulty) -> None:
    mirror.image("a:1")
    proxy = faulty(mirror.source)
    proxy.on("GET", "/blobs/", Truncate(10), times=None)
    assert mirror.run(ALL, source=proxy.host).counts["failed"] == 1
    assert mirror.target.tags("m/a") == {}
    proxy.heal()
    assert mirror.run(ALL, source=proxy.host).counts["new"] == 1
