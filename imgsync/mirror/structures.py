"""Shapes of lists and mappings: what `imgsync.mirror.shapes` are put together to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from imgsync.mirror.nodes import ListNode, MapNode, Node, TextNode
from imgsync.mirror.reading import Reading
from imgsync.mirror.shapes import Shape, unfit


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
            return unfit(self, node, reading)
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
        return unfit(self, node, reading)

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
            return unfit(self, node, reading)
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
            return unfit(self, node, reading)
        built = []
        for name, value in node.entries:
            said = self.item.read(value, reading)
            if said is not None:
                built.append(self.build(name, said, reading))
        return tuple(item for item in built if item is not None)

    def schema(self) -> dict[str, Any]:
        """An object of such values."""
        return {"type": "object", "additionalProperties": self.item.schema()}
