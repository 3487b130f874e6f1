"""skopeo sync YAML: registries, each with its images (cmd/skopeo/sync.go of 2026).

Where they go is the command line's ``--to``. By default imgsync keeps the whole path under it, as
``skopeo sync --scoped`` does, only without the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.mirror.config import HostSettings, MirrorConfig
from imgsync.mirror.formats.common import (
    EVERY_TAG,
    items,
    merge_host,
    record,
    refuse_others,
    search,
    source_of,
    text,
)
from imgsync.mirror.names import parse_repository, parse_tag
from imgsync.mirror.nodes import MapNode, TextNode
from imgsync.mirror.reading import Reading
from imgsync.mirror.tags import TagRule
from imgsync.mirror.version_range import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.mirror.config import MirrorSource
    from imgsync.mirror.formats import Given
    from imgsync.mirror.nodes import Node

_IMAGES: Final = "images"
_REGEX: Final = "images-by-tag-regex"
_SEMVER: Final = "images-by-semver"
_TLS: Final = "tls-verify"
_KEYS: Final = (_IMAGES, _REGEX, _SEMVER, _TLS)
_UNABLE: Final = {
    "credentials": "takes no password from this file; `imgsync login HOST` once, or --authfile",
    "cert-dir": "takes certificates from --ca-file, --cert and --key, or from the places of "
    "docker, podman and containerd",
}


def is_format(document: Node) -> bool:
    """Whether every value is a mapping with one of the keys that only skopeo has."""
    if not isinstance(document, MapNode) or not document.entries:
        return False
    known = {*_KEYS, *_UNABLE}
    return all(
        isinstance(value, MapNode) and known & {name.text for name, _ in value.entries}
        for _, value in document.entries
    )


def read(given: Given) -> MirrorConfig:
    """Read the file.

    Raises:
        InvalidInput: everything that is wrong, each with line and column.
    """
    reading = Reading()
    sources: list[MirrorSource] = []
    hosts: dict[str, HostSettings] = {}
    top = record(given.documents[0], reading, "the file")
    for name, value in top.entries if top is not None else ():
        fields = record(value, reading, name.text)
        if fields is not None:
            refuse_others(fields, _KEYS, reading, "skopeo's", _UNABLE)
            sources += _sources(name, fields, given, reading)
            verify = fields.get(_TLS)
            if isinstance(verify, TextNode) and verify.text.lower() == "false":
                merge_host(hosts, name.text.partition("/")[0], insecure=True)
    if not sources and not reading.problems:
        reading.refuse(given.documents[0], "no image is named")
    reading.finish()
    return MirrorConfig(given.label, tuple(sources), hosts)


def _sources(
    host: TextNode, fields: MapNode, given: Given, reading: Reading
) -> Iterator[MirrorSource]:
    for key in (_IMAGES, _REGEX, _SEMVER):
        value = fields.get(key)
        images = record(value, reading, key) if value is not None else None
        for name, said in images.entries if images is not None else ():
            rule = _rule(key, said, reading)
            repository = reading.convert(name, f"{host.text}/{name.text}", parse_repository)
            if rule is not None and repository is not None:
                yield source_of(name, repository, rule, given.defaults)


def _rule(key: str, said: Node, reading: Reading) -> TagRule | None:
    if key == _IMAGES:
        listed = items(said, reading, "tags")
        tags = [
            reading.convert(item, found, parse_tag)
            for item in listed
            if (found := text(item, reading, "a tag")) is not None
        ]
        return TagRule(exact=tuple(tag for tag in tags if tag)) if listed else EVERY_TAG
    written = text(said, reading, key)
    if written is None:
        return None
    if key == _REGEX:
        pattern = reading.convert(said, written, search)
        return TagRule(patterns=((pattern,),), is_filter=True) if pattern is not None else None
    versions = reading.convert(said, written, Range.parse)
    return TagRule(semver=(versions,), is_filter=True) if versions is not None else None
