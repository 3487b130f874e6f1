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


class DockerEyes:
    """What a docker that reads ``manifest.json`` (before version 25) gets of a store."""

    def __init__(
        self,
        holding: Holding,
        graph: Graph,
        present: Callable[[Descriptor], bool],
        platforms: Mapping[Digest, Platform],
    ) -> None:
        """Look at this store, of which ``graph`` is the walk."""
        self._graph = graph
        self._present = present
        self._platforms = platforms
        self._is_docker_archive = isinstance(holding, DockerArchive)
        self._listed: set[tuple[str, Reference]] = set()
        self._why_nothing: str | None = None
        self._is_archive = isinstance(holding, Archive)
        if isinstance(holding, Archive):
            try:
                entries = holding.docker_entries()
            except ImgsyncError:
                self._why_nothing = "manifest.json is damaged"
                return
            if entries is None:
                self._why_nothing = "the archive has no manifest.json"
            self._listed = {
                (entry.config, name) for entry in entries or () for name in _names(entry)
            }

    def sight(self, root: Root) -> DockerSight:
        """What it gets of this root."""
        if self._is_docker_archive:
            return self._seen(root.descriptor)
        if not self._is_archive:
            return DockerSight()
        if self._why_nothing is not None:
            return DockerSight(why=self._why_nothing)
        for descriptor, manifest in self._graph.manifests(root.descriptor):
            if (blob_path(manifest.config.digest), root.name) in self._listed:
                return self._seen(descriptor)
        return DockerSight(why=_why(root, self._graph, self._present))

    def _seen(self, manifest: Descriptor) -> DockerSight:
        return DockerSight(str(self._platforms.get(manifest.digest, "the image")))


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
