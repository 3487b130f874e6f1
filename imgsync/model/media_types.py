"""Media types, and the one place that knows what kind of object each of them is."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
OCI_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD: Final = "application/vnd.oci.image.layer.v1.tar+zstd"
OCI_EMPTY: Final = "application/vnd.oci.empty.v1+json"
OCI_ARTIFACT_MANIFEST: Final = "application/vnd.oci.artifact.manifest.v1+json"

DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER_ZSTD: Final = "application/vnd.docker.image.rootfs.diff.tar.zstd"

SCHEMA1: Final = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
"""Docker schema 1 (before 2017): told to the user, never transferred."""

INDEXES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFESTS: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
IMAGE_CONFIGS: Final = frozenset({OCI_CONFIG, DOCKER_CONFIG})

ACCEPT: Final = (
    OCI_INDEX,
    OCI_MANIFEST,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_ARTIFACT_MANIFEST,
    *sorted(SCHEMA1),
)
"""What a request for a manifest must accept, all of it: a registry converts otherwise."""


class Kind(StrEnum):
    """What an object is in the graph; follows from its media type alone."""

    INDEX = "index"
    MANIFEST = "manifest"
    BLOB = "blob"


def kind_of(media_type: str) -> Kind:
    """The kind of an object; every unknown type is a blob (image-spec: must not error)."""
    if media_type in INDEXES:
        return Kind.INDEX
    if media_type in MANIFESTS:
        return Kind.MANIFEST
    return Kind.BLOB


def is_image_layer(media_type: str) -> bool:
    """Whether this is a file-system layer of an image, however compressed."""
    return media_type.startswith(
        ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
    )


def compression_of(layer_media_type: str) -> str:
    """How an image layer of this type is compressed: ``gzip``, ``zstd`` or an empty text."""
    for suffix in ("gzip", "zstd"):
        if layer_media_type.endswith((f"+{suffix}", f".{suffix}")):
            return suffix
    return ""
