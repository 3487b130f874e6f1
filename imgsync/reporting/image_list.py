"""The list of images, with its matrix of platforms; below each image what opens. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from imgsync.reporting.evidence import Evidence, Kind
from imgsync.reporting.facts import (
    BASE,
    LICENCES,
    REVISION,
    SOURCE,
    TITLE,
    VENDOR,
    VERSION,
    ImageReport,
    PlatformFacts,
    Report,
)
from imgsync.reporting.markup import Markup, join, tag
from imgsync.reporting.words import absence_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HumanSize = Callable[[int], str]

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)T.*", re.ASCII | re.DOTALL)
_SHOWN: Final = (
    ("Title", TITLE),
    ("Version", VERSION),
    ("Source", SOURCE),
    ("Revision", REVISION),
    ("Licences", LICENCES),
    ("Vendor", VENDOR),
    ("Based on", BASE),
)
_STATES: Final = {
    "whole": ("\N{BLACK CIRCLE}", "whole"),
    "out": ("\N{WHITE CIRCLE}", "left out, declared"),
    "lost": ("\N{MULTIPLICATION X}", "missing"),
}


def image_list(report: Report, human_size: HumanSize) -> Markup:
    """The table; a body of its own for each image, so that what belongs together stays so."""
    columns = report.platforms
    head = tag(
        "tr",
        _sortable("name", "Image"),
        [tag("th", tag("span", column), class_="p", scope="col") for column in columns],
        _sortable("size", "Size", is_number=True),
        _sortable("own", "Own", is_number=True, title="What no other image here needs"),
        _sortable("created", "Created"),
        tag("th", "Evidence", scope="col"),
        _sortable("licence", "Licence"),
    )
    bodies = [_body(image, columns, human_size) for image in report.images]
    table = tag("table", tag("thead", head), bodies, id="images", class_="list")
    legend = [
        tag("span", tag("b", sign, class_=key), f" {words}")
        for key, (sign, words) in _STATES.items()
    ]
    return join(
        tag("div", table, class_="sheet"),
        tag("p", legend, class_="legend"),
    )


def _sortable(key: str, words: str, *, is_number: bool = False, title: str = "") -> Markup:
    return tag(
        "th",
        tag("button", words, type="button"),
        scope="col",
        data_key=key,
        data_words=words,
        data_number=is_number,
        data_down=is_number or key == "created",
        class_="number" if is_number else None,
        title=title or None,
    )


def _body(image: ImageReport, columns: Sequence[str], human_size: HumanSize) -> Markup:
    licence = image.label(LICENCES)
    row = tag(
        "tr",
        tag(
            "td",
            tag("button", "", class_="open", type="button", hidden=True, aria_label="Details"),
            tag("strong", image.name),
            tag("code", str(image.root.descriptor.digest)),
            tag("span", image.label(SOURCE), class_="soft") if image.label(SOURCE) else (),
            class_="name",
            data_v=image.name,
        ),
        [_cell(image, column) for column in columns],
        tag("td", human_size(image.size), class_="number", data_l="Size", data_v=image.size),
        tag("td", human_size(image.own_size), class_="number", data_l="Own", data_v=image.own_size),
        tag("td", date(image.created), class_="date", data_l="Created", data_v=image.created),
        tag("td", badges(image), data_l="Evidence"),
        tag("td", licence or "", data_l="Licence", data_v=licence),
    )
    more = tag(
        "tr",
        tag("td", _details(image, human_size), colspan=len(columns) + 6),
        class_="more",
    )
    return tag("tbody", row, more, data_is=" ".join(_marks(image)))


def _marks(image: ImageReport) -> Iterator[str]:
    """What the box of the page can choose by."""
    if not image.is_signed:
        yield "unsigned"
    if not image.has(Kind.SBOM):
        yield "no-sbom"
    if not image.label(LICENCES):
        yield "no-licence"
    if image.absences:
        yield "not-whole"


def _cell(image: ImageReport, column: str) -> Markup:
    states = {state_of(item) for item in image.platforms if item.column == column}
    # Of several versions of an os the best counts here, and the details have each.
    for key in ("whole", "lost", "out"):
        if key in states:
            sign, words = _STATES[key]
            label = f"{column}: {words}"
            return tag(
                "td",
                tag("span", sign, class_=key, role="img", aria_label=label, title=label),
                class_="p",
                data_l=column,
            )
    return tag("td", class_="p")


def state_of(platform: PlatformFacts) -> str:
    """Whole, left out as declared, or lost."""
    if platform.is_whole:
        return "whole"
    return "out" if platform.is_declared else "lost"


def badges(image: ImageReport) -> Markup:
    """What there is of evidence about an image, each kind once."""
    found = ["signed"] if image.is_signed else []
    found += [str(kind) for kind in Kind if kind is not Kind.SIGNATURE and image.has(kind)]
    return join([tag("span", words, class_="badge") for words in found])


def date(created: str) -> str:
    """The day of a time as configs write it; whatever else they write is shown as it is."""
    found = _DATE.fullmatch(created)
    return found[1] if found else created[:40]


def _details(image: ImageReport, human_size: HumanSize) -> Iterator[Markup]:
    pairs = [
        ("Digest", tag("code", str(image.root.descriptor.digest))),
        ("Read from", tag("code", image.root.origin) if image.root.origin else ""),
        *((words, image.label(key)) for words, key in _SHOWN),
    ]
    yield _pairs([(name, value) for name, value in pairs if value])
    if image.platforms:
        yield tag("h3", "Platforms")
        yield _platforms(image, human_size)
    if image.evidence:
        yield tag("h3", "Evidence, present and not checked")
        yield tag("ul", [_evidence_line(item, image) for item in image.evidence])
    if image.absences:
        yield tag("h3", "Not in the file")
        yield tag("ul", [tag("li", absence_words(item, human_size)) for item in image.absences])
    labels = image.labels
    if labels:
        pairs_of_labels = _pairs([(key, labels[key]) for key in sorted(labels)])
        yield tag("details", tag("summary", f"All labels ({len(labels)})"), pairs_of_labels)


def _pairs(pairs: Sequence[tuple[str, str]]) -> Markup:
    return tag(
        "dl", [join(tag("dt", name), tag("dd", value)) for name, value in pairs], class_="pairs"
    )


def _platforms(image: ImageReport, human_size: HumanSize) -> Markup:
    names = ("Platform", "", "Manifest", "Created", "Layers", "Size")
    head = tag("tr", [tag("th", name, scope="col") for name in names])
    rows = []
    for item in image.platforms:
        key = state_of(item)
        rows.append(
            tag(
                "tr",
                tag("td", item.name),
                tag("td", _STATES[key][1], class_=key),
                tag("td", tag("code", str(item.manifest.digest))),
                tag("td", date(item.created), class_="date"),
                tag("td", str(len(item.layers))),
                tag("td", human_size(item.size), class_="number"),
            )
        )
    return tag("div", tag("table", tag("thead", head), tag("tbody", rows)), class_="sheet")


def _evidence_line(item: Evidence, image: ImageReport) -> Markup:
    names = {platform.manifest.digest: platform.name for platform in image.platforms}
    names[image.root.descriptor.digest] = "the image"
    names |= {other.descriptor.digest: f"its {other.kind}" for other in image.evidence}
    about = f" of {names[item.about]}" if item.about in names else ""
    lost = "" if item.is_whole else ", not whole"
    return tag(
        "li", f"{item.kind}{about}{lost}: {item.form} ", tag("code", str(item.descriptor.digest))
    )
