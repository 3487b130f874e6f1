"""What the formats of other tools have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from imgsync.mirror.config import ALL_REFERRERS, Defaults, HostSettings, MirrorSource
from imgsync.mirror.names import make_mapping
from imgsync.mirror.nodes import ListNode, MapNode, Node, TextNode, kind_of
from imgsync.mirror.reading import Reading
from imgsync.mirror.tags import TagPattern, TagRule
from imgsync.model.mapping import Mapping
from imgsync.model.platform import PlatformChoice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.model.reference import Reference

EVERY_TAG: Final = TagRule(is_filter=True)


def mapping_of(defaults: Defaults) -> Mapping:
    """The mapping that the command line asks for."""
    to = defaults.to or ""
    keep_registry = bool(defaults.keep_registry and to)
    return make_mapping(to, defaults.rules or (), keep_registry=keep_registry)


def source_of(
    node: Node, repository: Reference, tags: TagRule, defaults: Defaults, **more: Any
) -> MirrorSource:
    """A source with the command line's wishes; ``more`` is what the format says itself.

    Raises:
        InvalidInput: the command line's mapping is wrong.
    """
    source = MirrorSource(
        node.place,
        replace(repository, tag="", digest=None),
        tags,
        mapping_of(defaults),
        platforms=defaults.platforms or PlatformChoice(),
        referrers=defaults.referrers or ALL_REFERRERS,
    )
    return replace(source, **more)


def search(text: str) -> TagPattern:
    """A regular expression that a part of the tag must match, as Go's MatchString does."""
    return TagPattern.of_regex(text)


def record(node: Node, reading: Reading, what: str) -> MapNode | None:
    """The node as a mapping, or None and a problem."""
    if isinstance(node, MapNode):
        return node
    reading.refuse(node, f"{what}: a mapping is expected, {kind_of(node)} stands here")
    return None


def items(node: Node, reading: Reading, what: str) -> tuple[Node, ...]:
    """The items of a list; nothing said is an empty one."""
    if isinstance(node, ListNode):
        return node.items
    if not (isinstance(node, TextNode) and node.is_null):
        reading.refuse(node, f"{what}: a list is expected, {kind_of(node)} stands here")
    return ()


def text(node: Node, reading: Reading, what: str) -> str | None:
    """The node's text, or None and a problem."""
    if isinstance(node, TextNode) and not node.is_null:
        n_before = len(reading.problems)
        written = reading.text(node)
        return written if len(reading.problems) == n_before else None
    reading.refuse(node, f"{what}: a text is expected, {kind_of(node)} stands here")
    return None


def is_true(node: Node | None) -> bool:
    """Whether a flag is set."""
    return isinstance(node, TextNode) and node.text.lower() in {"true", "yes", "on"}


def is_said(node: Node | None) -> bool:
    """Whether something other than nothing, false, zero or an empty list stands there."""
    match node:
        case None:
            return False
        case TextNode():
            return node.text.lower() not in {"", "~", "null", "false", "no", "off", "0"}
        case ListNode():
            return bool(node.items)
        case _:
            return bool(node.entries)


def refuse_others(
    fields: MapNode,
    known: Iterable[str],
    reading: Reading,
    what: str,
    unable: dict[str, str] | None = None,
) -> None:
    """Refuse every key that is not known; ``unable`` says why of those that imgsync has not."""
    known = set(known)
    for name, value in fields.entries:
        why = (unable or {}).get(name.text)
        if why is not None:
            if is_said(value):
                reading.refuse(name, f"{name.text}: imgsync {why}")
        elif name.text not in known:
            reading.refuse(name, f"{name.text} is no key of {what} that imgsync knows")


def merge_host(hosts: dict[str, HostSettings], host: str, **values: Any) -> None:
    """Add settings of a host to those that are known of it."""
    hosts[host] = replace(hosts.get(host, HostSettings(host)), **values)
