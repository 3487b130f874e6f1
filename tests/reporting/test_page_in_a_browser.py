"""The page in a real browser: what it shows, what it does, and that it asks nobody for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.cli.output import human_size
from imgsync.reporting.page import page
from tests.reporting.site import GUEST, MEAN, NGINX, REDIS, TOOL, site_report

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.browser import Browser, Page

pytestmark = pytest.mark.real

SHOWN = """[...document.querySelectorAll("#images > tbody")]
    .filter((body) => !body.hidden).map((body) => body.querySelector("strong").textContent)"""


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the tests' site."""
    made: Path = tmp_path_factory.mktemp("report") / "site.html"
    made.write_bytes(page(site_report(), human_size))
    return made


def _choose(tab: Page, box: str, value: str) -> None:
    kind = "input" if box == "find" else "change"
    tab.value(f"document.getElementById('{box}').value = {value!r}")
    tab.value(f"document.getElementById('{box}').dispatchEvent(new Event('{kind}')) && 0")


def _click(tab: Page, selector: str) -> None:
    tab.value(f"document.querySelector({selector!r}).click()")


def test_it_asks_for_itself_and_nothing_else(browser: Browser, path: Path) -> None:
    tab = browser.open(path, fragment="open=1")
    assert tab.requests == [path.as_uri()]
    assert tab.told == [], "no error, and nothing that its policy had to stop"


def test_the_browser_of_the_tests_sees_requests(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<img src='http://127.0.0.1:9/x'>")
    assert "http://127.0.0.1:9/x" in browser.open(tmp_path / "x.html").requests


def test_what_strangers_wrote_stays_a_text(browser: Browser, path: Path) -> None:
    tab = browser.open(path, fragment="open=1")
    assert tab.value("window.hurt") is None
    assert tab.value("document.scripts.length") == 1
    assert tab.value("document.querySelectorAll('img, iframe, a, svg [onload]').length") == 0
    shown = tab.value("document.body.textContent")
    for mean in MEAN[:5]:
        assert mean in shown


def test_the_policy_stops_a_script_that_got_in(
    browser: Browser, path: Path, tmp_path: Path
) -> None:
    hurt = path.read_text().replace("<main>", "<main><script>window.hurt = 1</script>", 1)
    (tmp_path / "hurt.html").write_text(hurt)
    tab = browser.open(tmp_path / "hurt.html")
    assert tab.value("window.hurt") is None
    assert any("Content Security Policy" in text for text in tab.told)


def test_search_leaves_what_has_every_word(browser: Browser, path: Path) -> None:
    tab = browser.open(path)
    assert tab.value(SHOWN) == [REDIS, NGINX, TOOL, GUEST]
    _choose(tab, "find", "Docker.io library")
    assert tab.value(SHOWN) == [REDIS, NGINX]
    assert tab.value("document.getElementById('count').textContent") == "2 of 4 images"
    _choose(tab, "find", "bsd-3-clause")
    assert tab.value(SHOWN) == [REDIS]
    others = "[...document.querySelectorAll('section h2')].filter((h) => !h.parentNode.hidden)"
    _choose(tab, "find", "nobody has this")
    assert tab.value(SHOWN) == []
    assert tab.value(f"{others}.map((h) => h.textContent)") == [
        "Images",
        "What the images share",
        "How to check this",
    ]
    _choose(tab, "find", "")
    assert len(tab.value(SHOWN)) == 4


def test_a_digest_is_found(browser: Browser, path: Path) -> None:
    tab = browser.open(path)
    digest = str(site_report().images[1].platforms[0].manifest.digest)
    _choose(tab, "find", digest)
    assert tab.value(SHOWN) == [NGINX]


@pytest.mark.parametrize(
    ("show", "names"),
    [
        ("unsigned", [NGINX, TOOL, GUEST]),
        ("no-sbom", [NGINX, TOOL, GUEST]),
        ("no-licence", [TOOL]),
        ("not-whole", [REDIS, NGINX, TOOL]),
    ],
)
def test_what_lacks_something(browser: Browser, path: Path, show: str, names: list[str]) -> None:
    tab = browser.open(path)
    _choose(tab, "show", show)
    assert tab.value(SHOWN) == names


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("size", [NGINX, REDIS, TOOL, GUEST]),
        ("own", [NGINX, GUEST, REDIS, TOOL]),
        ("name", [NGINX, REDIS, TOOL, GUEST]),
    ],
)
def test_a_heading_sorts_and_sorts_back(
    browser: Browser, path: Path, key: str, names: list[str]
) -> None:
    tab = browser.open(path)
    heading = f"th[data-key={key}]"
    _click(tab, f"{heading} button")
    assert tab.value(SHOWN) == names
    first = tab.value(f"document.querySelector('{heading}').ariaSort")
    _click(tab, f"{heading} button")
    assert tab.value(SHOWN) == names[::-1]
    assert {first, tab.value(f"document.querySelector('{heading}').ariaSort")} == {
        "ascending",
        "descending",
    }


def test_details_open(browser: Browser, path: Path) -> None:
    tab = browser.open(path)
    opened = "[...document.querySelectorAll('#images .more')].map((row) => !row.hidden)"
    assert tab.value(opened) == [False] * 4
    _click(tab, "#images .open")
    assert tab.value(opened) == [True, False, False, False]
    assert tab.value("document.querySelector('#images .open').ariaExpanded") == "true"
    _click(tab, "#open-all")
    assert tab.value(opened) == [True] * 4
    _click(tab, "#open-all")
    assert tab.value(opened) == [False] * 4


def test_the_address_keeps_what_is_looked_at(browser: Browser, path: Path) -> None:
    tab = browser.open(path)
    _choose(tab, "find", "docker.io")
    _click(tab, "th[data-key=size] button")
    fragment = tab.value("location.hash")[1:]
    assert fragment == "find=docker.io&sort=size-down"
    again = browser.open(path, fragment=fragment)
    assert again.value(SHOWN) == tab.value(SHOWN) == [NGINX, REDIS]


@pytest.mark.parametrize("fragment", ["sort=evil%22%5D", "show=x", "find=%22", "%00=%ff"])
def test_a_strange_address_does_no_harm(browser: Browser, path: Path, fragment: str) -> None:
    tab = browser.open(path, fragment=fragment)
    assert len(tab.value(SHOWN)) == 4
    assert tab.told == []


def test_without_a_script_everything_is_there(browser: Browser, path: Path) -> None:
    tab = browser.open(path, scripts=False)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.value("document.querySelectorAll('.more:not([hidden])').length") == 4
    assert tab.value("document.querySelector('.tools').checkVisibility()") is False


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 2000])
def test_it_fits_every_width(browser: Browser, path: Path, width: int) -> None:
    tab = browser.open(path, width=width, fragment="open=1")
    assert tab.value("document.documentElement.scrollWidth") <= width
    assert tab.screenshot().startswith(b"\x89PNG")


def test_a_narrow_page_shows_only_the_platforms_that_an_image_has(
    browser: Browser, path: Path
) -> None:
    tab = browser.open(path, width=390, fragment="find=guest")
    cells = "[...document.querySelectorAll('#images tbody:not([hidden]) td.p')]"
    assert tab.value(f"{cells}.map((cell) => cell.checkVisibility())") == [True, False]


def test_dark_and_light_differ(browser: Browser, path: Path) -> None:
    tab = browser.open(path)
    grounds = set()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        tab.call("Emulation.setEmulatedMedia", features=[feature])
        grounds.add(tab.value("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_it_can_be_printed_with_whole_digests(browser: Browser, path: Path) -> None:
    tab = browser.open(path)
    assert tab.pdf().startswith(b"%PDF-")
    tab.call("Emulation.setEmulatedMedia", media="print")
    code = "document.querySelector('#images .name code')"
    assert tab.value(f"getComputedStyle({code}).overflow") == "visible"
    assert tab.value("document.querySelector('.approval').checkVisibility()") is True
    assert tab.value("document.querySelector('.tools').checkVisibility()") is False
