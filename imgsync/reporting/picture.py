"""The picture of what images share: their layers as bars, one row an image, drawn as SVG. Pure.

Rows stand in an order in which those with the same lowest layers are neighbours, and what they
share is one block across them: a base is seen as one wide piece at the left, from which images
grow to the right. Lengths are bytes. Everything is a percentage, so that the picture is as wide as
the page; no style attributes, which the page's policy forbids.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgsync.reporting.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imgsync.model.descriptor import Descriptor

ROW_PX: Final = 24
_GAP_PX: Final = 4
_LEAST: Final = 0.4
"""Percent of the width that the smallest layer gets, so that it is seen at all."""


@dataclass(frozen=True, slots=True)
class Row:
    """One image of one platform; ``layers`` lowest first."""

    name: str
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A layer, across the rows ``first`` to ``last`` whose images have it at this place.

    Attributes:
        start, width: percent of the picture.
        n_users: images of the picture that have this layer, at whatever place.
    """

    layer: Descriptor
    first: int
    last: int
    start: float
    width: float
    n_users: int


def arranged(rows: Sequence[Row]) -> list[Row]:
    """The rows with neighbours that share the most; larger families come first."""
    families = Counter(prefix for row in rows for prefix in _prefixes(row))
    return sorted(
        rows,
        key=lambda row: ([(-families[chain], chain[-1]) for chain in _prefixes(row)], row.name),
    )


def blocks_of(rows: Sequence[Row]) -> Iterator[Block]:
    """The blocks of rows that are arranged."""
    users = Counter(digest for row in rows for digest in {item.digest for item in row.layers})
    longest = max((sum(item.size for item in row.layers) for row in rows), default=0) or 1
    # What the least widths add must not push the longest row out of the picture.
    most = max((len(row.layers) for row in rows), default=0)
    scale = max(100 - most * _LEAST, 10) / longest
    starts = [0.0] * len(rows)
    for depth in range(most):
        first = 0
        while first < len(rows):
            last = first
            if depth < len(rows[first].layers):
                chain = rows[first].layers[: depth + 1]
                while last + 1 < len(rows) and rows[last + 1].layers[: depth + 1] == chain:
                    last += 1
                width = _LEAST + chain[-1].size * scale
                digest = chain[-1].digest
                yield Block(chain[-1], first, last, starts[first], width, users[digest])
                for number in range(first, last + 1):
                    starts[number] += width
            first = last + 1


def drawn(rows: Sequence[Row], human_size: Callable[[int], str]) -> Markup:
    """Names and bars of rows that are arranged."""
    names = [tag("li", row.name, title=row.name) for row in rows]
    shapes = [_shape(block, human_size) for block in blocks_of(rows)]
    svg = tag(
        "svg",
        shapes,
        width="100%",
        height=len(rows) * ROW_PX,
        role="img",
        aria_label="Layers of the images; what several share is one block",
    )
    return tag("div", tag("ol", names), tag("div", svg), class_="picture")


def _shape(block: Block, human_size: Callable[[int], str]) -> Markup:
    is_shared = block.n_users > 1
    size = human_size(block.layer.size)
    where = f"in {block.n_users} images" if is_shared else "in this image only"
    height = (block.last - block.first + 1) * ROW_PX - _GAP_PX
    y = block.first * ROW_PX + _GAP_PX // 2
    rect = tag(
        "rect",
        x="0.5",
        y="0.5",
        width="100%",
        height=height - 1,
        rx=2,
        class_="shared" if is_shared else "own",
    )
    label = Markup("")
    if block.width > 7:
        users = (Markup(" &times; "), str(block.n_users)) if is_shared else ()
        label = tag("text", size, users, x=6, y=height // 2 + 4)
    # An svg of its own for each block cuts off what does not fit into it.
    return tag(
        "svg",
        tag("title", f"{block.layer.digest}, {size}, {where}"),
        rect,
        label,
        x=f"{block.start:.3f}%",
        y=y,
        width=f"{block.width:.3f}%",
        height=height,
    )


def _prefixes(row: Row) -> Iterator[tuple[str, ...]]:
    chain = tuple(str(item.digest) for item in row.layers)
    yield from (chain[: depth + 1] for depth in range(len(chain)))
