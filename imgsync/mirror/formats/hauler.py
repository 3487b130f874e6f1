"""hauler's manifests of ``kind: Images`` (pkg/apis/hauler.cattle.io/v1 of 2026).

A file may have several documents; those of other kinds (Charts, Files) are refused, because a
mirror would leave them out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import InvalidInput
from imgsync.mirror.config import NO_REFERRERS, MirrorConfig
from imgsync.mirror.formats.common import (
    is_true,
    items,
    record,
    refuse_others,
    source_of,
    text,
)
from imgsync.mirror.names import parse_image, parse_platform, parse_target, tag_of
from imgsync.mirror.nodes import MapNode, TextNode
from imgsync.mirror.reading import Reading
from imgsync.mirror.tags import TagRule
from imgsync.model.map_rule import is_host
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.mirror.config import MirrorSource
    from imgsync.mirror.formats import Given
    from imgsync.mirror.nodes import Node

_GROUP: Final = "content.hauler.cattle.io/"
_ANNOTATION: Final = "hauler.dev/"
_KEYS: Final = ("name", "platform", "rewrite", "exclude-extras")
_NO_COSIGN: Final = "does not check signatures; `cosign verify` does, they come along"
_UNABLE: Final = {
    **dict.fromkeys(
        (
            *("key", "use-tlog-verify", "certificate-identity", "certificate-identity-regexp"),
            *("certificate-oidc-issuer", "certificate-oidc-issuer-regexp"),
            "certificate-github-workflow-repository",
        ),
        _NO_COSIGN,
    ),
    "local": "mirrors from registries; `imgsync push docker-daemon:NAME` takes it from docker",
    "ca-file": "takes certificates from --ca-file HOST=FILE",
    "insecure-skip-tls-verify": "takes this from --insecure-host HOST",
    "retries": "takes this from --retries",
    "store": "has no store",
}
_FOR_ALL: Final = ("platform", "registry", "rewrite", "exclude-extras")


def is_format(document: Node) -> bool:
    """Whether it has hauler's apiVersion."""
    if not isinstance(document, MapNode):
        return False
    version = document.get("apiVersion")
    return isinstance(version, TextNode) and version.text.startswith(_GROUP)


def read(given: Given) -> MirrorConfig:
    """Read all documents of the file.

    Raises:
        InvalidInput: everything that is wrong, each with line and column.
    """
    reading = Reading()
    sources: list[MirrorSource] = []
    for document in given.documents:
        if isinstance(document, TextNode) and document.is_null:
            continue
        fields = record(document, reading, "the document")
        if fields is not None:
            sources += _document(fields, given, reading)
    reading.finish()
    return MirrorConfig(given.label, tuple(sources))


def _document(fields: MapNode, given: Given, reading: Reading) -> Iterator[MirrorSource]:
    kind = fields.get("kind")
    if not isinstance(kind, TextNode) or kind.text != "Images":
        what = kind.text if isinstance(kind, TextNode) else "something"
        hint = "keep its images in a file of their own"
        reading.refuse(kind or fields, f"kind {what}: a mirror is of images only", hint=hint)
        return
    keys = ("apiVersion", "kind", "metadata", "spec")
    refuse_others(fields, keys, reading, "hauler's Images")
    for_all = _annotations(fields, reading)
    spec = fields.get("spec")
    images = record(spec, reading, "spec") if spec is not None else None
    node = images.get("images") if images is not None else None
    for item in items(node, reading, "images") if node is not None else ():
        image = record(item, reading, "an image")
        if image is not None:
            source = _image(image, for_all, given, reading)
            if source is not None:
                yield source


def _annotations(fields: MapNode, reading: Reading) -> MapNode:
    """Hauler's annotations, which hold for all images, without their prefix."""
    metadata = fields.get("metadata")
    node = metadata.get("annotations") if isinstance(metadata, MapNode) else None
    entries = [
        (replace(name, text=name.text.removeprefix(_ANNOTATION)), value)
        for name, value in (node.entries if isinstance(node, MapNode) else ())
        if name.text.startswith(_ANNOTATION)
    ]
    found = MapNode((node or fields).place, tuple(entries))
    refuse_others(found, _FOR_ALL, reading, "hauler's annotations", _UNABLE)
    return found


def _image(
    fields: MapNode, for_all: MapNode, given: Given, reading: Reading
) -> MirrorSource | None:
    refuse_others(fields, _KEYS, reading, "hauler's image", _UNABLE)
    node = fields.get("name")
    if node is None:
        reading.refuse(fields, "an image has no name")
        return None
    said = {key: fields.get(key) or for_all.get(key) for key in (*_KEYS, "registry")}
    written = text(node, reading, "name")
    registry = _text(said["registry"], reading)
    if written is None:
        return None
    if registry and not is_host(written.partition("/")[0]):
        written = f"{registry}/{written}"
    image = reading.convert(node, written, parse_image)
    if image is None:
        return None
    more: dict[str, Any] = {}
    platform = said["platform"]
    wanted = _text(platform, reading)
    if platform is not None and wanted:
        checked = reading.convert(platform, wanted, parse_platform)
        more["platforms"] = PlatformChoice.parse([checked] if checked else [])
    if is_true(said["exclude-extras"]):
        more["referrers"] = NO_REFERRERS
    rewrite = said["rewrite"]
    new_name = _text(rewrite, reading)
    if rewrite is not None and new_name:
        more["name"] = reading.convert(rewrite, new_name, lambda name: _rewritten(image, name))
    return source_of(node, image, TagRule(exact=(tag_of(image),)), given.defaults, **more)


def _text(node: Node | None, reading: Reading) -> str:
    if node is None or (isinstance(node, TextNode) and node.is_null):
        return ""
    return text(node, reading, "a text") or ""


def _rewritten(image: Reference, written: str) -> Reference:
    """The name that hauler would give the image: on its own registry, where none is said."""
    path = written.removeprefix("/")
    named = parse_target(path)
    if not is_host(path.partition("/")[0]):
        repository = path.partition(":")[0]
        named = Reference(image.registry, repository, named.tag, named.digest)
    if not named.tag and image.digest is not None:
        msg = f"{written!r} needs a tag: the image is named by its digest"
        raise InvalidInput(msg)
    return named.with_tag(named.tag or image.tag)
