"""YAML as nodes that know their line and column.

Every text stays as it was written: ``1.10`` is the tag ``1.10`` and not the number 1.1, ``no`` is
Norway. What a text means is decided where it is read (`imgsync.mirror.fields`), because only there
it is known what is expected.

Only PyYAML's event parser is used. It builds no Python objects, and does not recurse, so neither
a tag like ``!!python/object`` nor a deep nest can do harm. Aliases are followed, because people
write their defaults with them, up to a size that no honest config has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml

from imgsync.errors import InvalidInput

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 200_000
"""Counted with every alias followed: a bomb of aliases is ten lines long and has 10^9 nodes."""

ENV_TAG: Final = "!env"
_MERGE: Final = "<<"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_CORE_TAGS: Final = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")
)


@dataclass(frozen=True, slots=True)
class Place:
    """A file, a line and a column, both from 1 on."""

    label: str
    line: int
    column: int

    def __str__(self) -> str:
        """As compilers write it, so that editors can jump there."""
        return f"{self.label}:{self.line}:{self.column}"

    def refuse(self, problem: str, *, hint: str = "") -> NoReturn:
        """Raise an error about what stands here.

        Raises:
            InvalidInput: always.
        """
        raise self.error(problem, hint=hint)

    def error(self, problem: str, *, hint: str = "") -> InvalidInput:
        """An error about what stands here."""
        return InvalidInput(f"{self}: {problem}", hint=hint)


@dataclass(frozen=True, slots=True)
class TextNode:
    """A text; ``is_plain`` if it stood without quotes, so that it may mean a number or nothing."""

    place: Place
    text: str
    is_plain: bool = True
    asks_env: bool = False
    size: int = 1

    @property
    def is_null(self) -> bool:
        """Whether nothing was said."""
        return self.is_plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    place: Place
    items: tuple[Node, ...]
    size: int = 1


@dataclass(frozen=True, slots=True)
class MapNode:
    """Keys, which are texts, and their values, in their order."""

    place: Place
    entries: tuple[tuple[TextNode, Node], ...]
    size: int = 1

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        return next((value for name, value in self.entries if name.text == key), None)

    def key(self, key: str) -> TextNode:
        """The key itself, for its place."""
        return next(name for name, _ in self.entries if name.text == key)


Node = TextNode | ListNode | MapNode


def kind_of(node: Node) -> str:
    """What messages call it."""
    match node:
        case MapNode():
            return "a mapping"
        case ListNode():
            return "a list"
        case TextNode() if node.is_null:
            return "nothing"
        case TextNode():
            return repr(node.text[:80])


def parse_documents(raw: bytes, label: str) -> list[Node]:
    """Read all documents of a YAML file; JSON is YAML.

    Raises:
        InvalidInput: with line and column: no YAML, a key twice, a tag that imgsync does not
            know, too large.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"{label} has {len(raw)} bytes, a config has at most {MAX_BYTES}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{label}:{line}: this is not UTF-8 text") from None
    return list(_Composer(text, label).documents())


@dataclass(slots=True)
class _Open:
    """A collection whose end was not seen yet."""

    start: yaml.CollectionStartEvent
    place: Place
    nodes: list[Node] = field(default_factory=list)


class _Composer:
    def __init__(self, text: str, label: str) -> None:
        self._text = text
        self._label = label
        self._anchors: dict[str, Node] = {}

    def documents(self) -> Iterator[Node]:
        stack: list[_Open] = []
        try:
            for event in yaml.parse(self._text, Loader=yaml.SafeLoader):
                node = self._node(event, stack)
                if node is None:
                    continue
                if node.size > MAX_NODES:
                    node.place.refuse("too large, once its aliases are followed")
                if stack:
                    stack[-1].nodes.append(node)
                else:
                    yield node
        except yaml.MarkedYAMLError as error:
            raise self._error(error) from None
        except yaml.YAMLError as error:
            raise InvalidInput(f"{self._label} is not YAML: {error}") from None

    def _node(self, event: yaml.Event, stack: list[_Open]) -> Node | None:
        match event:
            case yaml.DocumentStartEvent():
                self._anchors = {}
            case yaml.ScalarEvent():
                return self._keep(event, self._scalar(event))
            case yaml.AliasEvent():
                return self._alias(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                place = self._place(event)
                self._check_tag(event.tag, place)
                if len(stack) >= MAX_DEPTH:
                    place.refuse(f"nested more than {MAX_DEPTH} levels deep")
                stack.append(_Open(event, place))
            case yaml.SequenceEndEvent():
                done = stack.pop()
                return self._keep(
                    done.start, ListNode(done.place, tuple(done.nodes), _size(done.nodes))
                )
            case yaml.MappingEndEvent():
                done = stack.pop()
                entries = tuple(_entries(done.nodes))
                return self._keep(done.start, MapNode(done.place, entries, _size(done.nodes)))
            case _:
                pass
        return None

    def _scalar(self, event: yaml.ScalarEvent) -> TextNode:
        place = self._place(event)
        asks_env = event.tag == ENV_TAG
        if not asks_env:
            self._check_tag(event.tag, place)
        # `!!str 5` is a text, as "5" is.
        is_plain = event.style is None and not (event.tag or "").endswith(":str")
        return TextNode(place, event.value, is_plain, asks_env)

    def _alias(self, event: yaml.AliasEvent) -> Node:
        node = self._anchors.get(str(event.anchor))
        if node is None:
            msg = f"*{event.anchor} stands for nothing before this line"
            self._place(event).refuse(msg, hint="a pattern that begins with * needs quotes")
        return node

    def _keep(self, event: yaml.NodeEvent, node: Node) -> Node:
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _check_tag(self, tag: str | None, place: Place) -> None:
        if tag not in (None, "!") and tag not in _CORE_TAGS:
            name = str(tag).replace("tag:yaml.org,2002:", "!!")
            msg = f"{name} is a tag that imgsync does not know"
            place.refuse(msg, hint="a text that begins with ! needs quotes")

    def _place(self, event: yaml.Event) -> Place:
        return self._at(event.start_mark)

    def _at(self, mark: Any) -> Place:
        return Place(self._label, mark.line + 1, mark.column + 1)

    def _error(self, error: yaml.MarkedYAMLError) -> InvalidInput:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        if mark is None:
            return InvalidInput(f"{self._label} is not YAML: {problem}")
        return self._at(mark).error(f"not YAML: {problem}")


def _size(nodes: list[Node]) -> int:
    return 1 + sum(node.size for node in nodes)


def _entries(nodes: list[Node]) -> Iterator[tuple[TextNode, Node]]:
    """Keys and values, which stand alternately; what ``<<`` brings stands behind what is said."""
    seen: dict[str, TextNode] = {}
    merged: list[tuple[TextNode, Node]] = []
    for key, value in zip(nodes[::2], nodes[1::2], strict=True):
        if not isinstance(key, TextNode):
            key.place.refuse(f"{kind_of(key)} cannot be a key")
        if key.is_plain and key.text == _MERGE:
            merged.extend(_merged(value))
            continue
        if key.text in seen:
            first = seen[key.text].place
            key.place.refuse(f"{key.text} stands there twice, first in line {first.line}")
        seen[key.text] = key
        yield key, value
    for key, value in merged:
        if key.text not in seen:
            seen[key.text] = key
            yield key, value


def _merged(value: Node) -> Iterator[tuple[TextNode, Node]]:
    for part in value.items if isinstance(value, ListNode) else (value,):
        if not isinstance(part, MapNode):
            part.place.refuse(f"<< needs a mapping, not {kind_of(part)}")
        yield from part.entries
