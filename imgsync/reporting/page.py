"""The report as one HTML page that needs nothing else.

Its policy (Content-Security-Policy) lets the browser run and apply exactly the script and the
style that are in it, by their digests, and load nothing: whatever a label says, it stays a text.
The page has no date of its own; the same store gives the same page, so that who has both can
compare them.
"""

from __future__ import annotations

import hashlib
import shlex
from base64 import b64encode
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from imgsync import __version__
from imgsync.reporting.evidence import Kind
from imgsync.reporting.fleet_lists import (
    SHOWS,
    fleet_notices,
    fleet_sums,
    fleet_words,
    how_checked,
    matrix,
    node_list,
)
from imgsync.reporting.image_list import image_list
from imgsync.reporting.markup import Markup, join, tag
from imgsync.reporting.other_lists import absence_list, other_list
from imgsync.reporting.picture import Row, arranged, drawn
from imgsync.reporting.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.reporting.facts import Report
    from imgsync.reporting.fleet_facts import FleetFacts
    from imgsync.reporting.image_list import HumanSize

_SHOWS: Final = (
    ("", "All images"),
    ("unsigned", "Without a signature"),
    ("no-sbom", "Without an SBOM"),
    ("no-licence", "Without a licence"),
    ("not-whole", "Not whole"),
)
_SORTS: Final = (
    ("", "In order of the file"),
    ("name", "By name"),
    ("size-down", "Largest first"),
    ("own-down", "Largest of its own first"),
    ("created-down", "Newest first"),
    ("created", "Oldest first"),
)
_MORE_SORTS: Final = (
    ("name-down", "By name, from the end"),
    ("size", "Smallest first"),
    ("own", "Smallest of its own first"),
    ("licence", "By licence"),
    ("licence-down", "By licence, from the end"),
)
"""What headings can do; the script keeps the state of both in the one box."""


def page(report: Report, human_size: HumanSize, fleet: FleetFacts | None = None) -> bytes:
    """The whole file; ``fleet`` is what a check of nodes found of this store."""
    return _whole(f"What is in {report.title}", _main(report, human_size, fleet))


def fleet_page(fleet: FleetFacts) -> bytes:
    """A page about nodes alone."""
    head = tag(
        "header",
        tag("p", "Check of a fleet", class_="kicker"),
        tag("h1", fleet.title),
        tag("p", how_checked(fleet), class_="form"),
        tag("dl", [_sum(*item) for item in fleet_sums(fleet)], class_="sums"),
        tag("p", "Lock ", tag("code", str(fleet.lock)), class_="lock"),
        fleet_notices(fleet),
    )
    sorts = [("", "What is not right first")]
    main = tag(
        "main",
        head,
        tag("section", _tools(SHOWS, sorts, "Which nodes and images"), class_="tight"),
        node_list(fleet, is_main=True),
        matrix(fleet, is_main=True),
        tag("footer", f"Made by imgsync {__version__} from what the nodes' containerd said."),
    )
    return _whole(f"{fleet_words(fleet)}: {fleet.title}", main)


def _whole(title: str, main: Markup) -> bytes:
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", style),
    )
    body = tag("body", main, tag("script", script))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n".encode()


def _file(name: str) -> Markup:
    """A file of this package; what stands in it ends no element."""
    return Markup(files("imgsync.reporting").joinpath(name).read_text("utf-8"))


def _digest(content: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _main(report: Report, human_size: HumanSize, fleet: FleetFacts | None) -> Markup:
    return tag(
        "main",
        _head(report, human_size, fleet),
        _images(report, human_size),
        absence_list(report, human_size),
        other_list(report, human_size),
        _fleet(fleet) if fleet is not None else (),
        _pictures(report, human_size),
        _check(report),
        tag("footer", f"Made by imgsync {__version__} from manifests and configurations."),
    )


def _fleet(fleet: FleetFacts) -> Markup:
    about = tag("p", how_checked(fleet), class_="about")
    heading = tag("section", tag("h2", "On the nodes"), about, fleet_notices(fleet))
    return join(heading, node_list(fleet, is_main=False), matrix(fleet, is_main=False))


def _head(report: Report, human_size: HumanSize, fleet: FleetFacts | None) -> Markup:
    n_images = len(report.images)
    n_signed = sum(image.is_signed for image in report.images)
    n_sbom = sum(image.has(Kind.SBOM) for image in report.images)
    sums = [
        _sum("Images", str(n_images), counted(len(report.platforms), "platform")),
        _sum("Content", human_size(report.n_bytes), counted(report.n_objects, "object")),
        _sum("Saved by sharing", human_size(report.saved), "against each image for itself"),
        _sum("Signed", f"{n_signed} of {n_images}", "present, not checked here"),
        _sum("With an SBOM", f"{n_sbom} of {n_images}", "present, not checked here"),
    ]
    if report.file_size is not None:
        sums.insert(0, _sum("File", human_size(report.file_size), f"{report.file_size:,} bytes"))
    if fleet is not None:
        sums.append(_sum(*fleet_sums(fleet)[0]))
    lock: Markup | tuple[()] = ()
    if report.lock is not None:
        lock = tag("p", "Lock ", tag("code", str(report.lock)), class_="lock")
    return tag(
        "header",
        tag("p", "Transfer report", class_="kicker"),
        tag("h1", report.title),
        tag("p", report.form, class_="form"),
        tag("dl", sums, class_="sums"),
        lock,
        _notices(report),
    )


def _sum(name: str, value: str, note: str) -> Markup:
    return tag("div", tag("dt", name), tag("dd", value, tag("small", note)))


def _notices(report: Report) -> Markup:
    lost = [image.name for image in report.images if not image.is_declared]
    notices = []
    if lost:
        text = "Content is missing that nothing declares to be left out:"
        notices.append(_notice(text, lost, "notice bad"))
    if report.failed:
        text = "These were asked for when the bundle was made, and could not be had:"
        notices.append(_notice(text, report.failed, "notice"))
    return join(notices)


def _notice(words: str, names: tuple[str, ...] | list[str], class_: str) -> Markup:
    return tag(
        "div", tag("p", words), tag("ul", [tag("li", name) for name in names]), class_=class_
    )


def _images(report: Report, human_size: HumanSize) -> Markup:
    tools = _tools(_SHOWS, (*_SORTS, *_MORE_SORTS), "Which images")
    return tag("section", tag("h2", "Images"), tools, image_list(report, human_size))


def _tools(
    shows: Iterable[tuple[str, str]], sorts: Iterable[tuple[str, str]], label: str
) -> Markup:
    """What the script makes work; without it, it is not seen."""
    show = [tag("option", words, value=key) for key, words in shows]
    sort = [tag("option", words, value=key) for key, words in sorts]
    return tag(
        "div",
        tag("input", id="find", type="search", placeholder="Search", aria_label="Search"),
        tag("select", show, id="show", aria_label=label),
        tag("select", sort, id="sort", aria_label="Order"),
        tag("button", "Open all", id="open-all", type="button"),
        tag("button", "Print", id="print", type="button"),
        tag("span", "", id="count", class_="count", role="status"),
        class_="tools",
        hidden=True,
    )


def _pictures(report: Report, human_size: HumanSize) -> Markup:
    figures = []
    for number, column in enumerate(report.platforms):
        rows = arranged(
            [
                Row(_short(image.name), item.layers)
                for image in report.images
                for item in image.platforms
                if item.column == column and item.layers
            ]
        )
        if rows:
            summary = tag(
                "summary", column, " ", tag("span", counted(len(rows), "image"), class_="soft")
            )
            figure = tag("details", summary, drawn(rows, human_size), open=number == 0)
            figures.append(tag("div", figure, class_="sheet figure"))
    if not figures:
        return Markup("")
    about = (
        "The layers of each image, lowest first; lengths are bytes. A coloured block is a layer "
        "that several images share: it is in the file once."
    )
    legend = tag(
        "p",
        tag("span", tag("i", class_="shared"), "in several images"),
        tag("span", tag("i", class_="own"), "in one"),
        class_="legend",
    )
    heading = tag("h2", "What the images share")
    return tag("section", heading, tag("p", about, class_="about"), figures, legend)


def _short(name: str) -> str:
    """A name without its registry, which is the same for most of them."""
    first, slash, rest = name.partition("/")
    return rest if slash and ("." in first or ":" in first) else first + slash + rest


def _check(report: Report) -> Markup:
    about = (
        "This page describes, and proves nothing. It was made from the manifests and "
        "configurations; layers were not read. Whether signatures are good was not looked at."
    )
    target = " ".join(map(shlex.quote, report.files or (report.title,)))
    commands = f"imgsync verify {target}"
    lock: tuple[Markup, ...] = ()
    if report.lock is not None:
        commands += f"\ntar -xOf {target} index.json    # io.imgsync.lock is the lock above"
        words = (
            "The lock names every image, object and size. Its digest stands in index.json, and "
            "all of the file but the content of its objects follows from it; those have their "
            "digests. So two files with this lock hold the same."
        )
        lock = (tag("p", words, class_="about"),)
    blanks = ("Checked by", "Date", "Signature")
    approval = tag(
        "div",
        tag("dl", [tag("div", tag("dt", blank)) for blank in blanks]),
        class_="approval",
    )
    return tag(
        "section",
        tag("h2", "How to check this"),
        tag("p", about, class_="about"),
        tag("pre", *_lines(commands)),
        lock,
        approval,
        class_="check",
    )


def _lines(commands: str) -> list[str]:
    """Lines of text; a line break of a name is written as an escape, these are not."""
    lines: list[str] = []
    for line in commands.split("\n"):
        lines += [line, Markup("\n")]
    return lines[:-1]
