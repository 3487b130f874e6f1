"""image-syncer's map of images, ``SOURCE: DESTINATION`` (its README of 2025), as YAML or JSON.

A source is a repository (all tags), ``REPO:TAG``, ``REPO:A,B``, ``REPO@DIGEST`` or
``REPO:/REGEX/``. A destination has no tag, or as many as the source, or is a list of such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidInput
from imgsync.mirror.config import MirrorConfig
from imgsync.mirror.formats.common import EVERY_TAG, record, refuse_others, search, source_of, text
from imgsync.mirror.names import parse_repository, parse_tag, parse_target, tag_of
from imgsync.mirror.nodes import ListNode, MapNode, TextNode
from imgsync.mirror.reading import Reading
from imgsync.mirror.tags import TagRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.mirror.config import MirrorSource
    from imgsync.mirror.formats import Given
    from imgsync.mirror.nodes import Node
    from imgsync.model.reference import Reference

_UNABLE: Final = {
    "auth": "takes no password from this file; `imgsync login HOST` once, or --authfile"
}


def is_format(document: Node) -> bool:
    """Whether it is a map of texts to texts or lists of them, alone or under ``images``."""
    if not isinstance(document, MapNode) or not document.entries:
        return False
    images = document.get("images")
    if isinstance(images, MapNode):
        document = images
    return all(_is_destination(value) for _, value in document.entries)


def _is_destination(value: Node) -> bool:
    # Every destination names a registry, or at least a namespace.
    if isinstance(value, ListNode):
        return bool(value.items) and all(map(_is_destination, value.items))
    return isinstance(value, TextNode) and "/" in value.text


def read(given: Given) -> MirrorConfig:
    """Read the file.

    Raises:
        InvalidInput: everything that is wrong, each with line and column.
    """
    # image-syncer fills in variables in every destination.
    reading = Reading(given.environment, interpolate=True)
    top = record(given.documents[0], reading, "the file")
    if top is not None and isinstance(top.get("images"), MapNode):
        refuse_others(top, ("images",), reading, "image-syncer's", _UNABLE)
        top = record(top.get("images") or top, reading, "images")
    sources: list[MirrorSource] = []
    for name, value in top.entries if top is not None else ():
        sources += _sources(name, value, given, reading)
    reading.finish()
    return MirrorConfig(given.label, tuple(sources))


def _sources(name: TextNode, value: Node, given: Given, reading: Reading) -> Iterator[MirrorSource]:
    asked = reading.convert(name, name.text, _source)
    if asked is None:
        return
    repository, tags, rule = asked
    for node in value.items if isinstance(value, ListNode) else (value,):
        written = text(node, reading, "a destination")
        targets = reading.convert(node, written, _targets) if written is not None else None
        if targets is None:
            continue
        if targets[0].tag or targets[0].digest is not None:
            if len(targets) != len(tags):
                n = len(tags) or "any number of"
                reading.refuse(node, f"{len(targets)} tags for {n} at the source")
                continue
            for tag, target in zip(tags, targets, strict=True):
                if target.digest is not None and tag != tag_of(target):
                    reading.refuse(node, f"{target.digest.short} is not the source's digest")
                one = TagRule(exact=(tag,))
                yield source_of(name, repository, one, given.defaults, target=_bare(target))
        else:
            yield source_of(name, repository, rule, given.defaults, target=targets[0])


def _source(written: str) -> tuple[Reference, tuple[str, ...], TagRule]:
    """The repository, the tags that are named, and which are wanted."""
    head, slash, regex = written.partition(":/")
    if slash and regex.endswith("/"):
        pattern = search(regex.removesuffix("/"))
        return parse_repository(head), (), TagRule(patterns=((pattern,),), is_filter=True)
    images = _targets(written)
    tags = tuple(tag_of(image) for image in images if tag_of(image))
    return images[0], tags, TagRule(exact=tags) if tags else EVERY_TAG


def _targets(written: str) -> list[Reference]:
    """A repository, or its images with each of the tags."""
    first, *others = written.split(",")
    image = parse_target(first)
    if others and not image.tag:
        msg = f"{written!r}: a comma stands between tags, and there is none before it"
        raise InvalidInput(msg)
    return [image, *(image.with_tag(parse_tag(tag)) for tag in others)]


def _bare(target: Reference) -> Reference:
    return target.with_tag(target.tag)
