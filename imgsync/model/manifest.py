"""Manifest and Index: parsed from raw bytes that they keep, never written again.

``children`` of both is the one place that knows what a document needs to be whole. A ``subject``
is not among them: it names what the document is about, and may be absent (distribution-spec).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from imgsync.errors import InvalidManifest
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    IMAGE_CONFIGS,
    INDEXES,
    MANIFESTS,
    OCI_ARTIFACT_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1,
    is_image_layer,
)
from imgsync.model.strict_json import parse_object

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""The largest manifest or index that registries must accept (distribution-spec, and Harbor)."""

ATTESTATION_SUBJECT: Final = "vnd.docker.reference.digest"
"""Annotation by which buildkit names the manifest that an attestation manifest speaks about."""

SCHEMA1_HINT: Final = "rebuild it, or push it again with a current docker or buildkit"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image of one platform, or an artifact: a config and layers."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: dict[str, str]

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """Config and layers, in this order."""
        return (self.config, *self.layers)

    @property
    def is_image(self) -> bool:
        """Whether a runtime could run it: an image config, and file-system layers only."""
        return self.config.media_type in IMAGE_CONFIGS and all(
            is_image_layer(layer.media_type) for layer in self.layers
        )


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, usually one a platform, or of further indexes."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: dict[str, str]

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """All entries, attestation manifests included, in the order of the document."""
        return self.manifests


Document = Manifest | Index


def parse_document(raw: bytes, descriptor: Descriptor) -> Document:
    """Read the document that this descriptor names; its bytes were verified before.

    Raises:
        InvalidManifest: not a document of the descriptor's media type, or one that two tools
            would read in two ways (CVE-2021-41190).
    """
    where = f"{descriptor.kind} {descriptor.digest.short}"
    value = parse_object(raw, where)
    media_type = sniff_media_type(value, where, declared=descriptor.media_type)
    if media_type != descriptor.media_type:
        msg = f"{where} says that it is {media_type}, and is listed as {descriptor.media_type}"
        raise InvalidManifest(msg)
    return document_of(value, raw, media_type, where)


def document_of(value: dict[str, Any], raw: bytes, media_type: str, where: str) -> Document:
    """Make a document of JSON that is already read, as one of a known media type."""
    subject = value.get("subject")
    about = Descriptor.from_json(subject, f"{where}: subject") if subject is not None else None
    artifact_type = value.get("artifactType")
    artifact = artifact_type if isinstance(artifact_type, str) else ""
    annotations = value.get("annotations")
    notes = {
        key: text
        for key, text in (annotations if isinstance(annotations, dict) else {}).items()
        if isinstance(text, str)
    }
    if media_type in INDEXES:
        entries = _list(value, "manifests", where)
        return Index(
            raw, media_type, _descriptors(entries, where, "manifests"), about, artifact, notes
        )
    return Manifest(
        raw,
        media_type,
        Descriptor.from_json(value.get("config"), f"{where}: config"),
        _descriptors(_list(value, "layers", where), where, "layers"),
        about,
        artifact,
        notes,
    )


def sniff_media_type(value: dict[str, Any], where: str, *, declared: str = "") -> str:
    """The media type of a document, from its own words, else ``declared``, else its fields.

    Raises:
        InvalidManifest: schema 1, the removed artifact manifest, both kinds at once, or neither.
    """
    version, media_type = value.get("schemaVersion"), value.get("mediaType")
    if media_type is not None and not isinstance(media_type, str):
        msg = f"{where}: mediaType is not a text"
        raise InvalidManifest(msg)
    if version == 1 or media_type in SCHEMA1 or declared in SCHEMA1:
        msg = f"{where} is in Docker schema 1 (before 2017) and cannot be transferred"
        raise InvalidManifest(msg, hint=SCHEMA1_HINT)
    if OCI_ARTIFACT_MANIFEST in (media_type, declared):
        msg = f"{where} is an OCI artifact manifest, a type that was removed from the image-spec"
        raise InvalidManifest(msg, hint="push the artifact again with a current tool")
    if version != 2:
        msg = f"{where} has the schemaVersion {version!r}, 2 expected"
        raise InvalidManifest(msg)
    is_index = "manifests" in value
    if is_index and ("layers" in value or "config" in value):
        msg = f"{where} is an index and a manifest at once; tools would read it in different ways"
        raise InvalidManifest(msg)
    if not is_index and "config" not in value and "layers" not in value:
        msg = f"{where} is neither an index nor a manifest"
        raise InvalidManifest(msg)
    if media_type is None:
        media_type = declared or _inferred(value, is_index=is_index)
    if media_type not in (INDEXES if is_index else MANIFESTS):
        found = "an index" if is_index else "a manifest"
        msg = f"{where} has the fields of {found} and the media type {media_type!r}"
        raise InvalidManifest(msg)
    return str(media_type)


def describe(raw: bytes, *, declared: str = "", where: str = "document") -> Descriptor:
    """The descriptor of a document of which only the bytes are known.

    Raises:
        InvalidManifest: the bytes are no index or manifest.
    """
    value = parse_object(raw, where)
    media_type = sniff_media_type(value, where, declared=declared)
    return Descriptor(media_type, Digest.of(raw), len(raw))


def _inferred(value: dict[str, Any], *, is_index: bool) -> str:
    if is_index:
        entries = value.get("manifests")
        first = entries[0] if isinstance(entries, list) and entries else {}
        kind = first.get("mediaType", "") if isinstance(first, dict) else ""
        return DOCKER_LIST if kind == DOCKER_MANIFEST else OCI_INDEX
    config = value.get("config")
    kind = config.get("mediaType", "") if isinstance(config, dict) else ""
    return DOCKER_MANIFEST if str(kind).startswith("application/vnd.docker.") else OCI_MANIFEST


def _list(value: dict[str, Any], key: str, where: str) -> list[Any]:
    entries = value.get(key)
    if not isinstance(entries, list):
        msg = f"{where}: {key} is not a list"
        raise InvalidManifest(msg)
    return entries


def _descriptors(entries: list[Any], where: str, key: str) -> tuple[Descriptor, ...]:
    return tuple(
        Descriptor.from_json(entry, f"{where}: {key}[{position}]")
        for position, entry in enumerate(entries)
    )
