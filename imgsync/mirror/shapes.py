"""Shapes: what a config may look like, said once, for reading it and for its JSON schema.

A shape reads a node into a value and notes everything that is wrong, and it says itself as JSON
schema (draft 2020-12), so that the published schema cannot drift from what is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from imgsync.mirror.nodes import Node, TextNode, kind_of
from imgsync.mirror.reading import Reading


class Shape(Protocol):
    """What may stand somewhere."""

    @property
    def what(self) -> str:
        """How messages call it: ``a text``."""
        ...

    def fits(self, node: Node) -> bool:
        """Whether the node is of this kind, right or wrong in its details."""
        ...

    def read(self, node: Node, reading: Reading) -> Any:
        """The value, or None and at least one problem."""
        ...

    def schema(self) -> dict[str, Any]:
        """The same as JSON schema."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and what is made of it.

    Attributes:
        convert: makes a value of it; raises InvalidInput if it cannot.
        is_number: whether JSON schema should know it as a number too, such as a tag ``7``.
        is_public: False where variables are never filled in.
    """

    what: str = "a text"
    convert: Callable[[str], Any] = str
    is_number: bool = False
    is_public: bool = True

    def fits(self, node: Node) -> bool:
        """Whether it is a scalar that says something."""
        return isinstance(node, TextNode) and not node.is_null

    def read(self, node: Node, reading: Reading) -> Any:
        """What ``convert`` makes of the text."""
        if not isinstance(node, TextNode) or node.is_null:
            return unfit(self, node, reading)
        n_before = len(reading.problems)
        text = reading.text(node, may_have_variables=self.is_public)
        if len(reading.problems) > n_before:
            return None
        return reading.convert(node, text, self.convert)

    def schema(self) -> dict[str, Any]:
        """A string, or a number where it may look like one."""
        return {"type": ["string", "number"] if self.is_number else "string"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number of at least ``least``, whole or not."""

    what: str
    least: float = 0
    is_whole: bool = True

    def fits(self, node: Node) -> bool:
        """Whether it is a scalar that says something."""
        return isinstance(node, TextNode) and not node.is_null

    def read(self, node: Node, reading: Reading) -> Any:
        """An int or a float."""
        if not isinstance(node, TextNode) or node.is_null:
            return unfit(self, node, reading)
        text = reading.text(node)
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            return unfit(self, node, reading)
        # NaN is not at least anything
        if not value >= self.least or value == float("inf"):
            reading.refuse(node, f"{self.what} is expected, of at least {self.least:g}")
            return None
        return value

    def schema(self) -> dict[str, Any]:
        """An integer or a number."""
        return {"type": "integer" if self.is_whole else "number", "minimum": self.least}


@dataclass(frozen=True, slots=True)
class Flag:
    """``true`` or ``false``, as YAML 1.2 has it: ``yes`` is a text."""

    what: str = "true or false"

    def fits(self, node: Node) -> bool:
        """Whether it is one of the two words."""
        return (
            isinstance(node, TextNode) and node.is_plain and node.text.lower() in {"true", "false"}
        )

    def read(self, node: Node, reading: Reading) -> Any:
        """A bool."""
        if not isinstance(node, TextNode) or not self.fits(node):
            return unfit(self, node, reading)
        return node.text.lower() == "true"

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Word:
    """One of a few words; ``as_json`` is what JSON schema takes them for, if not texts."""

    words: tuple[str, ...]
    as_json: tuple[Any, ...] = ()

    @property
    def what(self) -> str:
        """The words."""
        return " or ".join(self.words)

    def fits(self, node: Node) -> bool:
        """Whether it is one of them."""
        return isinstance(node, TextNode) and node.text in self.words

    def read(self, node: Node, reading: Reading) -> Any:
        """The word."""
        return (
            node.text
            if isinstance(node, TextNode) and self.fits(node)
            else unfit(self, node, reading)
        )

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"enum": list(self.as_json or self.words)}


def unfit(shape: Shape, node: Node, reading: Reading) -> None:
    """Note that something else stands where this shape is expected."""
    reading.refuse(node, f"{shape.what} is expected, {kind_of(node)} stands here")
