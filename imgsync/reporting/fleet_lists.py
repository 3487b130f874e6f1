"""A fleet on a page: its sums, its nodes, and the matrix of images and nodes. Pure.

Made for fifty nodes and three hundred images: what is not right stands first, and each image says
in words on which nodes it is not, so that nobody has to look for a sign among thousands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.nodes.against_lock import Verdict
from imgsync.reporting.fleet_facts import groups_of
from imgsync.reporting.markup import Markup, tag
from imgsync.reporting.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.model.digest import Digest
    from imgsync.reporting.fleet_facts import FleetFacts, ImageOnNode, NodeFacts

_SIGNS: Final = {
    Verdict.RIGHT: "\N{BLACK CIRCLE}",
    Verdict.RUNS: "\N{CIRCLE WITH LEFT HALF BLACK}",
    Verdict.INCOMPLETE: "\N{CIRCLE WITH UPPER RIGHT QUADRANT BLACK}",
    Verdict.DAMAGED: "\N{BLACK UP-POINTING TRIANGLE}",
    Verdict.WRONG_NAME: "\N{ALMOST EQUAL TO}",
    Verdict.OTHER_CONTENT: "\N{NOT EQUAL TO}",
    Verdict.MISSING: "\N{MULTIPLICATION X}",
}
_UNKNOWN: Final = "?"
_MOST_COLUMNS_ON_PAPER: Final = 40

SHOWS: Final = (
    ("", "All nodes and images"),
    ("not-right", "Only what is not right"),
    *((verdict.value.replace(" ", "-"), f"With: {verdict.value}") for verdict in list(Verdict)[1:]),
    ("not-asked", "Nodes that were not asked"),
)


def fleet_sums(fleet: FleetFacts) -> list[tuple[str, str, str]]:
    """What stands at the head: name, value, note."""
    lost = sum(not node.is_asked for node in fleet.nodes)
    names = fleet.image_names
    bad = {(image.name, image.digest) for node in fleet.nodes for image in node.bad(fleet.require)}
    places = sum(len(node.images) for node in fleet.nodes)
    n_bad = sum(len(node.bad(fleet.require)) for node in fleet.nodes)
    asked = "all of them were asked" if not lost else f"{lost} could not be asked"
    return [
        ("Nodes that are right", f"{fleet.n_right} of {len(fleet.nodes)}", asked),
        ("Images right everywhere", f"{len(names) - len(bad)} of {len(names)}", "where asked"),
        ("Images on nodes", f"{places - n_bad:,} of {places:,}", "are right"),
    ]


def how_checked(fleet: FleetFacts) -> str:
    """When, where, and how far was looked."""
    when = fleet.checked.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    need = "all that the node needs" if fleet.require == "runs" else "everything"
    read = "every byte was read" if fleet.hashed else "manifests were read, layers looked for"
    return f"{when}, namespace {fleet.namespace}; of each image {need} must be there; {read}"


def fleet_notices(fleet: FleetFacts) -> Markup | tuple[()]:
    """The nodes that could not be asked, with what they said."""
    lost = [node for node in fleet.nodes if not node.is_asked]
    if not lost:
        return ()
    lines = [
        tag("li", tag("strong", node.label), f" {node.verdict}: {node.error}") for node in lost
    ]
    words = "Nothing is known of these nodes:"
    return tag("div", tag("p", words), tag("ul", lines), class_="notice bad")


def node_list(fleet: FleetFacts, *, is_main: bool) -> Markup:
    """A row for each node, those that are not right first; what is wrong opens below it.

    With ``is_main`` the box of the page chooses among its rows.
    """
    head = [tag("th", name, scope="col") for name in ("Node", "State", "Platform")]
    head += [tag("th", name, scope="col", class_="number") for name in ("Right", "Not right")]
    bodies = [_node(node, fleet.require, is_main=is_main) for node in fleet.by_need]
    table = tag("table", tag("thead", tag("tr", head)), bodies, class_="list opens")
    return tag("section", tag("h2", "Nodes"), tag("div", table, class_="sheet"))


def matrix(fleet: FleetFacts, *, is_main: bool) -> Markup:
    """A row for each image, a column for each node, those that are not right first."""
    nodes, names = fleet.by_need, fleet.image_names
    if not names:
        return Markup("")
    found = [{(image.name, image.digest): image for image in node.images} for node in nodes]
    head = [
        tag("th", "Image", scope="col", class_="name"),
        tag("th", "Nodes", scope="col"),
        [tag("th", tag("span", node.label), class_="p", scope="col") for node in nodes],
    ]
    bodies = []
    for name in names:
        places = [(node, images.get(name)) for node, images in zip(nodes, found, strict=True)]
        bodies.append(_image(name, places, fleet.require, is_main=is_main))
    is_wide = len(nodes) > _MOST_COLUMNS_ON_PAPER
    table = tag(
        "table",
        tag("thead", tag("tr", head)),
        bodies,
        id="images" if is_main else None,
        class_="list many" if is_wide else "list",
    )
    sheet = tag(
        "div",
        table,
        class_="sheet matrix",
        role="region",
        aria_label="Images and nodes",
        tabindex="0",
    )
    return tag(
        "section",
        tag("h2", "Images on the nodes"),
        sheet,
        tag("p", list(_legend(fleet.require)), class_="legend"),
        class_="broad",
    )


def _legend(require: str) -> Iterator[Markup]:
    for verdict, sign in _SIGNS.items():
        yield tag("span", tag("b", sign, class_=_class(verdict, require)), f" {verdict.value}")
    yield tag("span", tag("b", _UNKNOWN, class_="out"), " not asked")


def _class(verdict: Verdict, require: str) -> str:
    return "whole" if verdict.passes(require) else "lost"


def _marks(verdicts: set[Verdict], require: str) -> Iterator[str]:
    """What the box of the page can choose by."""
    if any(not verdict.passes(require) for verdict in verdicts):
        yield "not-right"
    yield from sorted(verdict.value.replace(" ", "-") for verdict in verdicts)


def _node(node: NodeFacts, require: str, *, is_main: bool) -> Markup:
    bad = node.bad(require)
    marks = [*_marks({image.verdict for image in node.images}, require)]
    if not node.is_asked:
        marks = ["not-right", "not-asked"]
    is_right = node.is_right(require)
    has_more = bool(bad) or not node.is_asked
    button = tag("button", "", class_="open", type="button", hidden=True, aria_label="Details")
    row = tag(
        "tr",
        tag("td", button if has_more else (), tag("strong", node.label), class_="name"),
        tag("td", _state(node, is_right=is_right), class_="whole" if is_right else "lost"),
        tag("td", node.platform, data_l="Platform"),
        _number(len(node.images) - len(bad) if node.is_asked else None, "Right"),
        _number(len(bad) if node.is_asked else None, "Not right"),
    )
    more: Markup | tuple[()] = ()
    if has_more:
        more = tag("tr", tag("td", _wrong(node, bad), colspan=5), class_="more")
    return tag("tbody", row, more, data_is=" ".join(marks) if is_main else None)


def _state(node: NodeFacts, *, is_right: bool) -> str:
    if not node.is_asked:
        return node.verdict
    return "right" if is_right else "not right"


def _number(value: int | None, label: str) -> Markup:
    return tag("td", "" if value is None else str(value), class_="number", data_l=label)


def _wrong(node: NodeFacts, bad: list[ImageOnNode]) -> Iterator[Markup]:
    if not node.is_asked:
        yield tag("p", node.error)
        return
    for verdict, images in groups_of(bad):
        if len(images) == len(node.images) > 1:
            yield tag("p", f"All {len(images)} images: {verdict.value}")
            if not any(image.remark for image in images):
                continue
        yield tag("h3", f"{verdict.value} ({len(images)})")
        yield tag("ul", [tag("li", image.name, _remark(image)) for image in images])


def _remark(image: ImageOnNode) -> Markup | tuple[()]:
    return tag("span", f": {image.remark}", class_="soft") if image.remark else ()


def _image(
    name: tuple[str, Digest],
    places: list[tuple[NodeFacts, ImageOnNode | None]],
    require: str,
    *,
    is_main: bool,
) -> Markup:
    found = [(node, image) for node, image in places if image is not None]
    verdicts = {image.verdict for _, image in found}
    row = tag(
        "tr",
        tag("th", tag("strong", name[0]), tag("code", str(name[1])), scope="row", class_="name"),
        tag("td", list(_where(found, require)), class_="lines where", data_l="Nodes"),
        [_cell(node, image, require) for node, image in places],
    )
    return tag("tbody", row, data_is=" ".join(_marks(verdicts, require)) if is_main else None)


def _where(found: list[tuple[NodeFacts, ImageOnNode]], require: str) -> Iterator[Markup]:
    n_right = sum(image.verdict.passes(require) for _, image in found)
    if n_right == len(found):
        yield tag("span", f"right on all {n_right}" if n_right > 1 else "right", class_="soft")
        return
    yield tag("span", f"right on {n_right} of {len(found)}")
    for verdict in Verdict:
        labels = [node.label for node, image in found if image.verdict is verdict]
        if labels and not verdict.passes(require):
            where = ", ".join(labels) if len(labels) < len(found) else "all"
            yield tag("span", f"{verdict.value}: {where}", class_="lost")


def _cell(node: NodeFacts, image: ImageOnNode | None, require: str) -> Markup:
    sign, key, words = _UNKNOWN, "out", node.verdict or "not asked"
    if image is not None:
        sign, key, words = _SIGNS[image.verdict], _class(image.verdict, require), image.verdict
    label = f"{node.label}: {words}"
    return tag(
        "td",
        tag("span", sign, class_=key, role="img", aria_label=label, title=label),
        class_="p",
    )


def fleet_words(fleet: FleetFacts) -> str:
    """In one line."""
    return f"{fleet.n_right} of {counted(len(fleet.nodes), 'node')} right"
