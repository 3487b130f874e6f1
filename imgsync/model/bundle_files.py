"""The three small files of a bundle, as functions of its lock and names (``docs/format.md``)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from imgsync.model.digest import Digest
from imgsync.model.media_types import IMAGE_CONFIGS, OCI_INDEX, Kind, compression_of, is_image_layer
from imgsync.model.strict_json import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.lock import Lock

OCI_LAYOUT_FILE: Final = b'{"imageLayoutVersion":"1.0.0"}'

ANNOTATION_CONTAINERD_NAME: Final = "io.containerd.image.name"
ANNOTATION_REF_NAME: Final = "org.opencontainers.image.ref.name"
ANNOTATION_FORMAT: Final = "io.imgsync.format"
ANNOTATION_LOCK: Final = "io.imgsync.lock"
ANNOTATION_NAMES: Final = "io.imgsync.names"
ANNOTATION_EXTRA_NAME: Final = "io.imgsync.extra.name"
ANNOTATION_EXTRA_SUBJECT: Final = "io.imgsync.extra.subject"

FORMAT_VERSION: Final = "1"


def blob_path(digest: Digest) -> str:
    """Where content stands in an image layout (image-spec, image-layout.md)."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def index_file(roots: Iterable[Root], lock_digest: Digest | None = None) -> bytes:
    """``index.json``: names first, then extra roots; see ``docs/format.md`` for the order."""
    ordered = sorted(
        roots,
        key=lambda root: (
            root.name is None,
            str(root.name) if root.name is not None else root.extra,
            str(root.descriptor.digest),
        ),
    )
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_entry(root) for root in ordered],
    }
    if lock_digest is not None:
        value["annotations"] = {
            ANNOTATION_FORMAT: FORMAT_VERSION,
            ANNOTATION_LOCK: str(lock_digest),
            # Names may be changed, so nothing else tells a changed name from a damaged one.
            ANNOTATION_NAMES: str(Digest.of(canonical(value["manifests"]))),
        }
    return canonical(value)


def docker_manifest_file(roots: Iterable[Root], lock: Lock) -> bytes:
    """``manifest.json``: what ``docker load`` can take, of one platform."""
    tags: defaultdict[Digest, list[str]] = defaultdict(list)
    for root in roots:
        if root.name is not None and root.name.tag:
            manifest = docker_choice(root, lock)
            if manifest is not None:
                tags[manifest].append(f"{root.name.name}:{root.name.tag}")
    entries = []
    for manifest, names in sorted(tags.items(), key=lambda item: sorted(item[1])):
        config, *layers = _children(lock, manifest)
        entries.append(
            {
                "Config": blob_path(config),
                "RepoTags": sorted(set(names)),
                "Layers": [blob_path(layer) for layer in layers],
            }
        )
    return canonical(entries)


def docker_choice(root: Root, lock: Lock) -> Digest | None:
    """The manifest of a root that docker gets, or None if there is none that it can take."""
    candidates = [item for item in _manifests(root, lock) if _is_for_docker(item, lock)]
    for item in candidates:
        platform = lock.objects[item].platform
        if platform is not None and platform.satisfies(lock.docker_platform):
            return item
    return candidates[0] if candidates else None


def _manifests(root: Root, lock: Lock) -> Iterator[Digest]:
    stack = [root.descriptor.digest]
    seen: set[Digest] = set()
    while stack:
        digest = stack.pop()
        if digest in seen or digest in lock.absent:
            continue
        seen.add(digest)
        match lock.descriptor_of(digest).kind:
            case Kind.MANIFEST:
                yield digest
            case Kind.INDEX:
                stack.extend(reversed(_children(lock, digest)))
            case Kind.BLOB:
                pass


def _is_for_docker(manifest: Digest, lock: Lock) -> bool:
    """A runnable image whose content is all here, with layers that docker 20.10 can read."""
    children = _children(lock, manifest)
    if any(child in lock.absent for child in children):
        return False
    platform = lock.objects[manifest].platform
    if platform is not None and platform.is_unknown:
        return False
    config, *layers = (lock.objects[child].media_type for child in children)
    return config in IMAGE_CONFIGS and all(
        is_image_layer(layer) and compression_of(layer) in {"", "gzip"} for layer in layers
    )


def _children(lock: Lock, digest: Digest) -> Sequence[Digest]:
    return lock.objects[digest].children or ()


def _entry(root: Root) -> dict[str, Any]:
    if root.name is not None:
        name = str(root.name)
        annotations = {ANNOTATION_CONTAINERD_NAME: name, ANNOTATION_REF_NAME: name}
    else:
        annotations = {ANNOTATION_EXTRA_NAME: root.extra}
        if root.subject is not None:
            annotations[ANNOTATION_EXTRA_SUBJECT] = str(root.subject)
    return {
        "mediaType": root.descriptor.media_type,
        "digest": str(root.descriptor.digest),
        "size": root.descriptor.size,
        "annotations": annotations,
    }
