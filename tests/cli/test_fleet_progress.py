"""What is told of many nodes while they are seeded."""

from __future__ import annotations

import json

import pytest

from imgsync.cli.fleet_progress import BarFleet, JsonFleet, PlainFleet, SilentFleet, fleet_reporter
from imgsync.cli.option_values import OutputOptions
from imgsync.errors import Unreachable
from imgsync.events import Advanced, Copied, Failed, NodeEnded, Noted, OfNode, Planned
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest

ITEM = Descriptor("application/octet-stream", Digest.of(b"x" * 1000), 1000)
EVENTS = (
    OfNode("n1", Planned(2, 2000, 1, 10)),
    OfNode("n1", Advanced(ITEM, 600)),
    OfNode("n2", Failed("", Unreachable("no answer"))),
    OfNode("n1", Noted("odd", "warning")),
    OfNode("n1", Advanced(ITEM, 400)),
    OfNode("n1", Copied(ITEM, how="adopted")),
    OfNode("n1", NodeEnded("seeded")),
    Noted("of no node"),
)


def _told(kind: type[PlainFleet | JsonFleet | BarFleet], capsys: pytest.CaptureFixture[str]) -> str:
    reporter = kind(3)
    for event in EVENTS:
        reporter(event)
    reporter.close()
    assert reporter.nodes["n1"].done == 1000
    assert reporter.nodes["n1"].total == 1000
    captured = capsys.readouterr()
    assert not captured.out
    return captured.err


def test_lines_say_which_node_and_how_many_are_done(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _told(PlainFleet, capsys).splitlines()
    assert lines == [
        "n1: 2 objects to go, 2.0 KiB; 1 objects, 10 B, are there already",
        "n2: failed: no answer (1 of 3)",
        "n1: warning: odd",
        "n1: seeded, 1000 B in 0 s (2 of 3)",
        "of no node",
    ]


def test_json_has_the_node_in_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    values = [json.loads(line) for line in _told(JsonFleet, capsys).splitlines()]
    assert [value["event"] for value in values if value.get("node") == "n1"] == [
        "planned",
        "progress",
        "noted",
        "copied",
        "nodeended",
    ]
    (failed,) = (value for value in values if value.get("node") == "n2")
    assert failed["message"] == "no answer"


def test_bars_have_a_line_for_each_node(capsys: pytest.CaptureFixture[str]) -> None:
    text = _told(BarFleet, capsys)
    assert "n1:" in text
    assert "n1: seeded, 1000 B in 0 s (2 of 3)" in text


@pytest.mark.parametrize("warnings", [True, False])
def test_quiet(warnings: bool, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = SilentFleet(3, warnings=warnings)
    for event in EVENTS:
        reporter(event)
    assert capsys.readouterr().err == ("n1: warning: odd\n" if warnings else "")


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (OutputOptions(quiet=True), SilentFleet),
        (OutputOptions("none"), SilentFleet),
        (OutputOptions("plain"), PlainFleet),
        (OutputOptions("json"), JsonFleet),
        (OutputOptions("bar"), BarFleet),
        (OutputOptions(), PlainFleet),
    ],
)
def test_which_one(output: OutputOptions, kind: type) -> None:
    assert type(fleet_reporter(output, 1)) is kind
