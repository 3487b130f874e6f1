"""The page about a fleet: made of a check's JSON alone, and what it shows in a real browser."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.cli.output import human_size
from imgsync.errors import InvalidInput
from imgsync.model.digest import Digest
from imgsync.nodes.against_lock import Verdict
from imgsync.reporting.fleet_facts import UNREACHABLE, FleetFacts, ImageOnNode, NodeFacts
from imgsync.reporting.page import fleet_page, page
from tests.reporting.site import MEAN, Reader, site_report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.browser import Browser, Page

ONE, TWO, THREE = (f"harbor.example/team/{name}:1" for name in ("one", "two", "three"))
RIGHT = Verdict.RIGHT


def _digest(text: str) -> Digest:
    return Digest.of(text.encode())


def _node(label: str, *verdicts: Verdict, **more: Any) -> NodeFacts:
    images = [
        ImageOnNode(name, _digest(name), verdict, **more)
        for name, verdict in zip((ONE, TWO, THREE), verdicts, strict=True)
    ]
    return NodeFacts(label, "linux/amd64", tuple(images))


def _fleet(*nodes: NodeFacts, require: str = "runs") -> FleetFacts:
    when = datetime(2026, 11, 24, 18, 0, 5, tzinfo=UTC)
    lock = _digest("lock")
    return FleetFacts("site.tar.lock.json", lock, "k8s.io", require, False, when, nodes)


FLEET = _fleet(
    _node("node-1", RIGHT, RIGHT, RIGHT),
    _node("node-2", RIGHT, Verdict.RUNS, Verdict.MISSING),
    NodeFacts("node-3", verdict=UNREACHABLE, error="ssh: no route to host"),
    _node("node-4", RIGHT, Verdict.DAMAGED, RIGHT, missing=(_digest("layer"),)),
    _node("node-5", RIGHT, RIGHT, RIGHT),
)


def _json(fleet: FleetFacts) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(fleet.to_json()))
    return value


def test_the_json_says_all_that_the_page_does() -> None:
    again = FleetFacts.parse(json.dumps(FLEET.to_json()).encode(), "check.json")
    assert again == FLEET
    assert fleet_page(again) == fleet_page(FLEET)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", "imgsync.check/2", r"check\.json: the format is 'imgsync.check/2'"),
        ("require", "perhaps", "require is 'perhaps'"),
        ("lock", "sha256:short", "check.json: "),
        ("checked", "2026-11-24", "without its zone"),
        ("checked", "today", "no time"),
        ("hashed", 1, "neither true nor false"),
        ("nodes", [{"node": "x"}], r"nodes\[0\] has no"),
        ("nodes", {}, "nodes is not a list"),
        ("more", 1, "unknown key"),
    ],
)
def test_what_is_no_check_is_refused(key: str, value: object, message: str) -> None:
    raw = json.dumps(_json(FLEET) | {key: value}).encode()
    with pytest.raises(InvalidInput, match=message):
        FleetFacts.parse(raw, "check.json")


@pytest.mark.parametrize("verdict", ["well", "", None])
def test_a_verdict_that_is_not_known_is_refused(verdict: object) -> None:
    value = _json(FLEET)
    value["nodes"][0]["images"][0]["verdict"] = verdict
    with pytest.raises(InvalidInput, match=r"nodes\[0\], images\[0\]"):
        FleetFacts.parse(json.dumps(value).encode(), "check.json")


def test_what_is_not_right_comes_first() -> None:
    assert [node.label for node in FLEET.by_need] == [
        "node-3",
        "node-2",
        "node-4",
        "node-1",
        "node-5",
    ]
    assert [name for name, _ in FLEET.image_names] == [TWO, THREE, ONE]
    assert FLEET.n_right == 2


def test_whole_is_more_than_runs() -> None:
    node = _node("node-1", RIGHT, Verdict.RUNS, RIGHT)
    assert _fleet(node).n_right == 1
    assert _fleet(node, require="whole").n_right == 0


def test_strangers_write_no_html() -> None:
    labels = [_node(mean, RIGHT, RIGHT, Verdict.WRONG_NAME, names=(mean,)) for mean in MEAN]
    lost = [NodeFacts(mean, verdict=UNREACHABLE, error=mean) for mean in MEAN]
    seen = Reader(fleet_page(_fleet(*labels, *lost)).decode())
    assert [name for name, _ in seen.elements if name in ("script", "img", "a")] == ["script"]


@pytest.mark.real
class TestInABrowser:
    """What is seen."""

    @pytest.fixture
    def tab(self, browser: Browser, tmp_path: Path) -> Page:
        """The page of the fleet above."""
        (tmp_path / "fleet.html").write_bytes(fleet_page(FLEET))
        return browser.open(tmp_path / "fleet.html")

    def test_it_asks_for_nothing(self, tab: Page) -> None:
        assert len(tab.requests) == 1
        assert tab.told == []

    def test_words_and_signs(self, tab: Page) -> None:
        cell = """[...document.querySelectorAll('#images tbody')].map((body) =>
            [...body.querySelectorAll('td.p span')].map((span) => span.ariaLabel).join(', '))"""
        rows = tab.value(cell)
        assert rows[0] == (
            "node-3: unreachable, node-2: runs here, node-4: damaged, node-1: right, node-5: right"
        )
        where = "[...document.querySelectorAll('#images .where')].map((item) => item.textContent)"
        assert tab.value(where) == [
            "right on 3 of 4damaged: node-4",
            "right on 3 of 4missing: node-2",
            "right on all 4",
        ]
        assert "ssh: no route to host" in tab.value("document.querySelector('.notice').textContent")

    def test_it_can_be_narrowed(self, tab: Page) -> None:
        shown = """[...document.querySelectorAll('main tbody')].filter((body) => !body.hidden)
            .map((body) => body.querySelector('strong').textContent)"""
        tab.value("(document.getElementById('show').value = 'not-right') && 0")
        tab.value("document.getElementById('show').dispatchEvent(new Event('change')) && 0")
        assert tab.value(shown) == ["node-3", "node-2", "node-4", TWO, THREE]
        tab.value("(document.getElementById('find').value = 'node-4') && 0")
        tab.value("document.getElementById('find').dispatchEvent(new Event('input')) && 0")
        assert tab.value(shown) == ["node-4", TWO]

    def test_headings_and_names_stay(self, browser: Browser, tmp_path: Path) -> None:
        nodes = [_node(f"node-{number:03}", RIGHT, RIGHT, RIGHT) for number in range(150)]
        (tmp_path / "fleet.html").write_bytes(fleet_page(_fleet(*nodes)))
        tab = browser.open(tmp_path / "fleet.html")
        assert tab.value("document.documentElement.scrollWidth") <= 1280
        left = "document.querySelector('#images tbody .name').getBoundingClientRect().left"
        before = tab.value(left)
        tab.value("(document.querySelector('.matrix').scrollLeft = 900) && 0")
        assert tab.value("document.querySelector('.matrix').scrollLeft") == 900
        assert tab.value(left) == before

    @pytest.mark.parametrize("width", [320, 768, 1280])
    def test_it_fits_every_width(self, browser: Browser, tmp_path: Path, width: int) -> None:
        (tmp_path / "both.html").write_bytes(page(site_report(), human_size, FLEET))
        (tmp_path / "fleet.html").write_bytes(fleet_page(FLEET))
        for name in ("both", "fleet"):
            tab = browser.open(tmp_path / f"{name}.html", width=width, fragment="open=1")
            assert tab.value("document.documentElement.scrollWidth") <= width
            assert tab.told == []

    def test_without_a_script_everything_is_there(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "fleet.html").write_bytes(fleet_page(FLEET))
        tab = browser.open(tmp_path / "fleet.html", scripts=False)
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
        assert tab.value("document.querySelectorAll('.more:not([hidden])').length") == 3
        assert tab.value("document.querySelector('.tools').checkVisibility()") is False

    def test_it_can_be_printed(self, tab: Page) -> None:
        assert tab.pdf().startswith(b"%PDF-")
        tab.call("Emulation.setEmulatedMedia", media="print")
        assert tab.value("getComputedStyle(document.querySelector('.matrix')).overflow") == (
            "visible"
        )

    def test_within_the_report_it_is_a_part(self, browser: Browser, tmp_path: Path) -> None:
        (tmp_path / "both.html").write_bytes(page(site_report(), human_size, FLEET))
        tab = browser.open(tmp_path / "both.html")
        headings = "[...document.querySelectorAll('h2')].map((item) => item.textContent)"
        found = tab.value(headings)
        at = found.index("On the nodes")
        assert found[at : at + 3] == ["On the nodes", "Nodes", "Images on the nodes"]
        assert "2 of 5" in tab.value("document.querySelector('.sums').textContent")
        assert tab.value("document.querySelectorAll('#images').length") == 1
