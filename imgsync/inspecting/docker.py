"""What ``docker load`` gets of an archive, and why it gets nothing of some images."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from imgsync.errors import ImgsyncError, InvalidReference
from imgsync.model.bundle_files import blob_path
from imgsync.model.media_types import compression_of
from imgsync.model.reference import Reference
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.docker_save import DockerArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.stores import Holding
    from imgsync.stores.archive.docker_manifest import DockerEntry
    from imgsync.walk import Graph


class DockerSight(NamedTuple):
    """``sees`` is the platform that docker gets; else ``why`` says why it gets nothing.

    Both are empty where docker reads no such store at all.
    """

    sees: str = ""
    why: str = ""


def docker_sight(
    holding: Holding,
    root: Root,
    graph: Graph,
    present: Callable[[Descriptor], bool],
    platforms: Mapping[Digest, Platform],
) -> DockerSight:
    """What a docker that reads ``manifest.json`` (before version 25) gets of this root."""
    if isinstance(holding, DockerArchive):
        return DockerSight(str(platforms.get(root.descriptor.digest, "the image")))
    if not isinstance(holding, Archive):
        return DockerSight()
    try:
        entries = holding.docker_entries()
    except ImgsyncError:
        return DockerSight(why="manifest.json is damaged")
    if entries is None:
        return DockerSight(why="the archive has no manifest.json")
    listed = {(entry.config, name) for entry in entries for name in _names(entry)}
    for descriptor, manifest in graph.manifests(root.descriptor):
        if (blob_path(manifest.config.digest), root.name) in listed:
            return DockerSight(str(platforms.get(descriptor.digest, "the image")))
    return DockerSight(why=_why(root, graph, present))


def _names(entry: DockerEntry) -> Iterator[Reference]:
    for tag in entry.tags:
        with suppress(InvalidReference):
            yield Reference.parse(tag)


def _why(root: Root, graph: Graph, present: Callable[[Descriptor], bool]) -> str:
    manifests = [item for _, item in graph.manifests(root.descriptor)]
    images = [item for item in manifests if item.is_image]
    whole = [item for item in images if all(present(child) for child in item.children)]
    if not images:
        return "it is no image that runs"
    if root.name is None:
        return "it has no name"
    if not root.name.tag:
        return "it has no tag"
    if not whole:
        return "no platform of it is whole here"
    if all(
        any(compression_of(layer.media_type) == "zstd" for layer in item.layers) for item in whole
    ):
        return "its layers are compressed with zstd"
    return "manifest.json does not list it"
