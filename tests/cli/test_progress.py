"""Events as bars, lines and JSON."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import sys
import termios
import threading
from typing import TYPE_CHECKING

import pytest

from imgsync.cli import progress
from imgsync.cli.option_values import OutputOptions
from imgsync.cli.progress import Bar, Json, Plain, Silent, reporter_of, text_of
from imgsync.errors import NotFound
from imgsync.events import (
    Advanced,
    Copied,
    Event,
    Failed,
    Named,
    Noted,
    Planned,
    Resolved,
    Retried,
    Skipped,
    Started,
)
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_LAYER

if TYPE_CHECKING:
    from imgsync.cli.progress import Reporter

MIB = 1024 * 1024
LAYER = Descriptor(OCI_LAYER, Digest.of(b"layer"), 8 * MIB)
OTHER = Descriptor(OCI_LAYER, Digest.of(b"other"), 2 * MIB)

RUN = [
    Noted("resolving"),
    Resolved("redis:7", LAYER, 1, 2),
    Planned(2, 10 * MIB, 3, 5 * MIB),
    Started(LAYER),
    Advanced(LAYER, 4 * MIB),
    Retried("layer", "cut off", 2.0),
    Advanced(LAYER, -4 * MIB),
    Started(LAYER),
    Advanced(LAYER, 8 * MIB),
    Copied(LAYER, "site.tar"),
    Skipped(OTHER),
    Failed("other", NotFound("gone", hint="look")),
    Named("redis:7", LAYER, "sha256:old"),
    Noted("beware\x1b[2J", "warning"),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def _told(reporter: Reporter, capsys: pytest.CaptureFixture[str], *events: Event) -> str:
    for event in events:
        reporter(event)
    reporter.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_plain_lines_say_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert _told(Plain(), capsys, *RUN).splitlines() == [
        "resolving",
        "2 objects to go, 10.0 MiB; 3 objects, 5.0 MiB, are there already",
        "again, in 2 s: layer: cut off",
        "failed: other: gone",
        "warning: beware\\x1b[2J",
    ]


def test_with_debug_plain_lines_say_more(capsys: pytest.CaptureFixture[str]) -> None:
    text = _told(Plain(debug=True), capsys, *RUN)
    for line in (
        f"redis:7 is {LAYER.digest} (1 of 2)",
        f"sent to site.tar: {LAYER.short}",
        f"there already: {OTHER.short}",
        f"redis:7: {LAYER.digest}, was sha256:old",
    ):
        assert line in text.splitlines()


def test_a_log_is_told_every_ten_seconds_how_far_it_is(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    reporter = Plain()
    reporter(Planned(10, 100 * MIB, 0, 0))
    capsys.readouterr()
    for _ in range(40):
        clock[0] += 1
        reporter(Advanced(LAYER, MIB))
    assert _told(reporter, capsys).splitlines() == [
        "10 %, 10.0 MiB of 100.0 MiB, 0 of 10 objects, 1.0 MiB/s, about 1 min 30 s left",
        "20 %, 20.0 MiB of 100.0 MiB, 0 of 10 objects, 1.0 MiB/s, about 1 min 20 s left",
        "30 %, 30.0 MiB of 100.0 MiB, 0 of 10 objects, 1.0 MiB/s, about 1 min 10 s left",
        "40 %, 40.0 MiB of 100.0 MiB, 0 of 10 objects, 1.0 MiB/s, about 1 min left",
    ]


def test_an_empty_plan_is_nothing_to_tell() -> None:
    assert text_of(Planned(0, 0, 0, 0)) is None
    assert text_of(Planned(0, 0, 2, 9)) == (
        "0 objects to go, 0 B; 2 objects, 9 B, are there already"
    )
    assert text_of(Retried("a", "b")) == "again: a: b"
    assert text_of(Retried("a.example", "a.example: reset")) == "again: a.example: reset"
    both = Retried("[::1]:5000: tag 1", "[::1]:5000: connection refused", 0.3)
    assert text_of(both) == "again: [::1]:5000: tag 1: connection refused"
    assert text_of(Failed("layer", NotFound("a.example: layer: gone"))) == (
        "failed: a.example: layer: gone"
    )


def test_what_stops_a_whole_registry_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    stopped = [Failed(what, NotFound("a.example is read-only")) for what in ("one", "two")]
    other = Failed("two", NotFound("gone"))
    assert _told(Plain(), capsys, *stopped, other).splitlines() == [
        "failed: one: a.example is read-only",
        "failed: two: gone",
    ]


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    assert clock
    values = [json.loads(line) for line in _told(Json(), capsys, *RUN).splitlines()]
    assert [value["event"] for value in values] == [
        "noted",
        "resolved",
        "planned",
        "started",
        "progress",
        "retried",
        "started",
        "copied",
        "skipped",
        "failed",
        "named",
        "noted",
    ]
    assert values[4] == {
        "event": "progress",
        "done_bytes": 4 * MIB,
        "total_bytes": 10 * MIB,
        "done_objects": 0,
        "total_objects": 2,
    }
    assert values[7] == {
        "event": "copied",
        "digest": str(LAYER.digest),
        "size": LAYER.size,
        "media_type": OCI_LAYER,
        "where": "site.tar",
        "how": "sent",
    }
    assert values[9]["exit_code"] == 5


def test_silence_has_an_exception_for_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert _told(Silent(warnings=True), capsys, *RUN) == "warning: beware\\x1b[2J\n"
    assert _told(Silent(warnings=False), capsys, *RUN) == ""


@pytest.mark.parametrize(
    ("options", "is_terminal", "term", "kind"),
    [
        (OutputOptions(), True, "xterm", Bar),
        (OutputOptions(), True, "dumb", Plain),
        (OutputOptions(), False, "xterm", Plain),
        (OutputOptions("bar"), False, "xterm", Bar),
        (OutputOptions("plain"), True, "xterm", Plain),
        (OutputOptions("json"), True, "xterm", Json),
        (OutputOptions("none"), True, "xterm", Silent),
        (OutputOptions("bar", quiet=True), True, "xterm", Silent),
    ],
)
def test_the_kind_follows_from_options_and_terminal(
    options: OutputOptions,
    *,
    is_terminal: bool,
    term: str,
    kind: type[Reporter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("TERM", term)
    assert type(reporter_of(options)) is kind


def test_on_a_terminal_there_is_one_bar_and_a_line_for_what_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(terminal, "w") as stderr, os.fdopen(main, "rb", buffering=0) as screen:
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setattr(progress, "LINE_AFTER_S", -1.0)
        reporter = Bar()
        for event in RUN:
            reporter(event)
        reporter(Started(OTHER))
        reporter(Advanced(OTHER, MIB))
        reporter.close()
        stderr.flush()
        os.set_blocking(screen.fileno(), False)
        # A terminal gives some kilobytes at a time.
        shown = b"".join(iter(lambda: screen.read(4096) or b"", b"")).decode()
    assert re.search(r"total: +\d+%.*10\.0M", shown)
    assert LAYER.digest.hex[:12] in shown
    assert "failed: other: gone" in shown
    assert "beware\\x1b[2J" in shown
    # The last thing on the screen is an empty line.
    assert shown.rstrip("\r\x1b[A ").endswith("\r") or shown.endswith("\r")


def test_many_threads_may_report_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Json()
    reporter(Planned(100, 100 * LAYER.size, 0, 0))

    def work() -> None:
        for _ in range(100):
            reporter(Started(LAYER))
            reporter(Advanced(LAYER, 1000))
            reporter(Copied(LAYER))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reporter.done == 800_000
    assert reporter.n_done == 800
    lines = capsys.readouterr().err.splitlines()
    assert all(json.loads(line)["event"] for line in lines)
