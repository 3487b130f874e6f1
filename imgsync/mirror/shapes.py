"""Shapes: what a config may look like, said once, for reading it and for its JSON schema.

A shape reads a node into a value and notes everything that is wrong, and it says itself as JSON
schema (draft 2020-12), so that the published schema cannot drift from what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

from imgsync.mirror.nodes import ListNode, MapNode, Node, TextNode, kind_of
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
            return _unfit(self, node, reading)
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
            return _unfit(self, node, reading)
        text = reading.text(node)
        try:
            value = int(text) if self.is_whole else float(text)
        except ValueError:
            return _unfit(self, node, reading)
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
            return _unfit(self, node, reading)
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
            else _unfit(self, node, reading)
        )

    def schema(self) -> dict[str, Any]:
        """An enumeration."""
        return {"enum": list(self.as_json or self.words)}


@dataclass(frozen=True, slots=True)
class Many:
    """A list of one kind; ``or_one`` allows a single one without a list around it."""

    item: Shape
    or_one: bool = False
    least: int = 0

    @property
    def what(self) -> str:
        """A list, or the item."""
        return f"{self.item.what}, or a list of such" if self.or_one else "a list"

    def fits(self, node: Node) -> bool:
        """Whether it is a list, or what may stand for one."""
        return isinstance(node, ListNode) or (self.or_one and self.item.fits(node))

    def read(self, node: Node, reading: Reading) -> Any:
        """A tuple of those items that are right."""
        if isinstance(node, ListNode):
            if len(node.items) < self.least:
                reading.refuse(node, "the list is empty")
            values = [self.item.read(item, reading) for item in node.items]
        elif self.or_one and self.item.fits(node):
            values = [self.item.read(node, reading)]
        else:
            return _unfit(self, node, reading)
        return tuple(value for value in values if value is not None)

    def schema(self) -> dict[str, Any]:
        """An array, or the item's schema."""
        array: dict[str, Any] = {"type": "array", "items": self.item.schema()}
        if self.least:
            array["minItems"] = self.least
        return {"anyOf": [self.item.schema(), array]} if self.or_one else array


@dataclass(frozen=True, slots=True)
class Either:
    """The first of several shapes that fits."""

    shapes: tuple[Shape, ...]

    @property
    def what(self) -> str:
        """All of them."""
        return ", or ".join(shape.what for shape in self.shapes)

    def fits(self, node: Node) -> bool:
        """Whether one of them fits."""
        return any(shape.fits(node) for shape in self.shapes)

    def read(self, node: Node, reading: Reading) -> Any:
        """What the first one that fits reads."""
        for shape in self.shapes:
            if shape.fits(node):
                return shape.read(node, reading)
        return _unfit(self, node, reading)

    def schema(self) -> dict[str, Any]:
        """Any of theirs."""
        return {"anyOf": [shape.schema() for shape in self.shapes]}


@dataclass(frozen=True, slots=True)
class Placed:
    """Another shape, whose value comes as a pair with its node."""

    shape: Shape

    @property
    def what(self) -> str:
        """As the other one."""
        return self.shape.what

    def fits(self, node: Node) -> bool:
        """As the other one."""
        return self.shape.fits(node)

    def read(self, node: Node, reading: Reading) -> Any:
        """The node and the value."""
        value = self.shape.read(node, reading)
        return None if value is None else (node, value)

    def schema(self) -> dict[str, Any]:
        """As the other one."""
        return self.shape.schema()


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an object: what may stand there, and a sentence for the schema."""

    shape: Shape
    about: str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known keys.

    Attributes:
        refused: keys that people may try, and what to tell them.
        build: makes a value of the mapping and the values that were said.
    """

    what: str
    keys: Mapping[str, Key]
    refused: Mapping[str, str] = field(default_factory=dict)
    build: Callable[[MapNode, dict[str, Any], Reading], Any] | None = None

    def fits(self, node: Node) -> bool:
        """Whether it is a mapping."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading) -> Any:
        """What ``build`` makes of the values; keys whose value is wrong are left out."""
        if not isinstance(node, MapNode):
            return _unfit(self, node, reading)
        n_before = len(reading.problems)
        values: dict[str, Any] = {}
        for name, value in node.entries:
            key = self.keys.get(name.text)
            if key is None:
                self._refuse(name, reading)
                continue
            said = key.shape.read(value, reading)
            if said is not None:
                values[name.text] = said
        for name_text, key in self.keys.items():
            if key.is_required and node.get(name_text) is None:
                reading.refuse(node, f"{self.what} has no {name_text}")
        if self.build is None:
            return values
        return self.build(node, values, reading) if len(reading.problems) == n_before else None

    def _refuse(self, name: TextNode, reading: Reading) -> None:
        if name.text in self.refused:
            reading.refuse(name, self.refused[name.text])
            return
        close = get_close_matches(name.text, self.keys, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(self.keys)}"
        reading.refuse(name, f"{self.what} has no key {name.text!r}", hint=hint)

    def schema(self) -> dict[str, Any]:
        """An object with these properties and no others."""
        value: dict[str, Any] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                name: {"description": key.about, **key.shape.schema()}
                for name, key in self.keys.items()
            },
        }
        required = [name for name, key in self.keys.items() if key.is_required]
        return value | ({"required": required} if required else {})


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping with keys that the user chooses; ``build`` gets the key, and what stands there."""

    what: str
    item: Shape
    build: Callable[[TextNode, Any, Reading], Any]

    def fits(self, node: Node) -> bool:
        """Whether it is a mapping."""
        return isinstance(node, MapNode)

    def read(self, node: Node, reading: Reading) -> Any:
        """A tuple of what ``build`` makes of each entry."""
        if not isinstance(node, MapNode):
            return _unfit(self, node, reading)
        built = []
        for name, value in node.entries:
            said = self.item.read(value, reading)
            if said is not None:
                built.append(self.build(name, said, reading))
        return tuple(item for item in built if item is not None)

    def schema(self) -> dict[str, Any]:
        """An object of such values."""
        return {"type": "object", "additionalProperties": self.item.schema()}


def _unfit(shape: Shape, node: Node, reading: Reading) -> None:
    reading.refuse(node, f"{shape.what} is expected, {kind_of(node)} stands here")
