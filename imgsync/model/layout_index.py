"""Reading the ``index.json`` of any OCI layout: names and roots, whoever wrote them.

Tools name images in different ways. What is taken here, first that fits (image-spec,
annotations.md, and the tools' own habits):

- ``io.containerd.image.name``: a full name; containerd, docker, buildkit, kind, imgsync
- ``org.opencontainers.image.ref.name``: a full name (podman, imgsync), or a tag alone (skopeo,
  umoci), which no image name can be made of; it stays the root's label, by which ``oci:DIR:NAME``
  finds it
- ``org.opencontainers.image.base.name``: only a label; it may be what the image is based on
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError, InvalidArchive, InvalidDigest, InvalidReference
from imgsync.model.bundle import Root
from imgsync.model.bundle_files import (
    ANNOTATION_CONTAINERD_NAME,
    ANNOTATION_EXTRA_NAME,
    ANNOTATION_EXTRA_SUBJECT,
    ANNOTATION_FORMAT,
    ANNOTATION_LOCK,
    ANNOTATION_REF_NAME,
    FORMAT_VERSION,
)
from imgsync.model.digest import Digest
from imgsync.model.manifest import Index, document_of, sniff_media_type
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.reference import Reference
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.lock import Lock

LAYOUT_VERSION: Final = "1.0.0"
ANNOTATION_BASE_NAME: Final = "org.opencontainers.image.base.name"
ANNOTATION_HAULER_KIND: Final = "kind"
_HAULER_EXTRAS: Final = ("/sigs", "/atts", "/sboms", "/referrers")
"""Ends of ``kind`` by which hauler marks what belongs to the image of the same name."""


@dataclass(frozen=True, slots=True)
class LayoutIndex:
    """What an ``index.json`` says.

    Attributes:
        roots: in its order; two may have the same name.
        lock: the digest of the lock, if imgsync wrote it.
        is_ours: whether imgsync wrote it.
        notes: what a user should know about its names.
    """

    roots: tuple[Root, ...]
    lock: Digest | None = None
    is_ours: bool = False
    notes: tuple[str, ...] = ()


def parse_layout_file(raw: bytes, where: str) -> None:
    """Check the content of ``oci-layout``; containerd refuses every other version too.

    Raises:
        InvalidArchive: not JSON, or another version.
    """
    try:
        version = parse_object(raw, where).get("imageLayoutVersion")
    except ImgsyncError as error:
        raise InvalidArchive(error.message) from None
    if version != LAYOUT_VERSION:
        msg = f"{where} has the imageLayoutVersion {version!r}, {LAYOUT_VERSION!r} expected"
        raise InvalidArchive(msg)


def parse_layout_index(raw: bytes, where: str) -> LayoutIndex:
    """Read an ``index.json``.

    Raises:
        InvalidManifest: it is not an image index, or one of its entries is no descriptor.
        InvalidArchive: a newer imgsync wrote it.
    """
    value = parse_object(raw, where)
    media_type = sniff_media_type(value, where, declared=OCI_INDEX)
    document = document_of(value, raw, media_type, where)
    if not isinstance(document, Index):
        msg = f"{where} is a manifest, an index expected"
        raise InvalidArchive(msg)
    lock, is_ours = _lock_of(document.annotations, where)
    notes: list[str] = []
    roots = tuple(_root(entry, notes) for entry in document.manifests)
    return LayoutIndex(roots, lock, is_ours, tuple(notes))


def with_lock(roots: tuple[Root, ...], lock: Lock) -> tuple[Root, ...]:
    """The roots with what the lock knows of them: origin and the choice of platforms.

    Names may have changed since the lock was written; then the digest says which root it is.
    """
    by_name = {(root.name, root.extra, root.descriptor.digest): root for root in lock.roots}
    by_digest: dict[Digest, Root] = {}
    for root in lock.roots:
        by_digest.setdefault(root.descriptor.digest, root)
    known = []
    for root in roots:
        same = by_name.get((root.name, root.extra, root.descriptor.digest)) or by_digest.get(
            root.descriptor.digest
        )
        if same is not None:
            root = replace(root, origin=same.origin, platforms=same.platforms)  # noqa: PLW2901 - the same root
        known.append(root)
    return tuple(known)


def _lock_of(annotations: Mapping[str, str], where: str) -> tuple[Digest | None, bool]:
    version, text = annotations.get(ANNOTATION_FORMAT), annotations.get(ANNOTATION_LOCK)
    if version is None and text is None:
        return None, False
    if version != FORMAT_VERSION:
        msg = f"{where} is of the bundle format {version!r}, {FORMAT_VERSION!r} expected"
        raise InvalidArchive(msg, hint="it was made by a newer imgsync, or is damaged")
    try:
        return Digest.parse(text or ""), True
    except InvalidDigest as error:
        msg = f"{where} does not name its lock: {error.message}"
        raise InvalidArchive(msg) from None


def _root(entry: Descriptor, notes: list[str]) -> Root:
    said = entry.annotations
    bare = replace(entry, annotations={})
    if ANNOTATION_EXTRA_NAME in said or ANNOTATION_EXTRA_SUBJECT in said:
        return Root(
            None,
            bare,
            extra=said.get(ANNOTATION_EXTRA_NAME, ""),
            subject=_subject(said.get(ANNOTATION_EXTRA_SUBJECT)),
        )
    full, ref = said.get(ANNOTATION_CONTAINERD_NAME, ""), said.get(ANNOTATION_REF_NAME, "")
    if said.get(ANNOTATION_HAULER_KIND, "").endswith(_HAULER_EXTRAS):
        return Root(None, bare, extra=_label(ref or full))
    candidates = [full, ref if any(mark in ref for mark in "/:@") else ""]
    for text in candidates if entry.is_document else ():
        try:
            if text:
                return Root(Reference.parse(text), bare)
        except InvalidReference as error:
            notes.append(f"a name in index.json cannot be used: {error.message}")
    return Root(None, bare, extra=_label(ref or full or said.get(ANNOTATION_BASE_NAME, "")))


def _label(text: str) -> str:
    # It is printed and looked for, and may come from anybody.
    return text if text.isprintable() else ascii(text)


def _subject(text: str | None) -> Digest | None:
    try:
        return Digest.parse(text) if text is not None else None
    except InvalidDigest:
        return None
