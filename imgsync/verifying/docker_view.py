"""Both views of a combined archive: what docker reads must be what everybody else reads.

Docker before 25 reads ``manifest.json``, containerd and OCI tools ``index.json``. An archive in
which they disagree shows one image to who checks it and another one to who runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.content import CHUNK_BYTES
from imgsync.errors import ImgsyncError, InvalidReference
from imgsync.model.bundle_files import blob_path
from imgsync.model.digest import Digest
from imgsync.model.image_config import ImageConfig
from imgsync.model.reference import Reference
from imgsync.verifying.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.manifest import Manifest
    from imgsync.stores.archive.archive import Archive
    from imgsync.stores.archive.docker_manifest import DockerEntry
    from imgsync.verifying.configs import Configs
    from imgsync.walk import Graph

ADVICE = "do not use it: docker and containerd would run different images"


def check_docker_view(
    archive: Archive, graph: Graph, roots: Sequence[Root], configs: Configs
) -> Iterator[Finding]:
    """Every image of ``manifest.json`` is one of ``index.json``, under the same names."""
    try:
        entries = archive.docker_entries()
        view = _OciView(graph, roots if entries else ())
        for entry in entries or ():
            yield from _Entry(archive, view, configs, entry).check()
    except ImgsyncError as error:
        problem = error.message.removeprefix(f"{archive.side}: ")
        yield Finding(Level.ERROR, "archive", problem, advice=error.hint or ADVICE)


class _OciView:
    """What ``index.json`` leads to: manifests by their config, and by the names above them."""

    def __init__(self, graph: Graph, roots: Sequence[Root]) -> None:
        self.by_config: dict[Digest, dict[Digest, Manifest]] = {}
        self.by_name: dict[Reference, set[Digest]] = {}
        for root in roots:
            below = {
                descriptor.digest: manifest
                for descriptor, manifest in graph.manifests(root.descriptor)
            }
            for digest, manifest in below.items():
                self.by_config.setdefault(manifest.config.digest, {})[digest] = manifest
            if root.name is not None:
                self.by_name.setdefault(root.name, set()).update(below)


class _Entry:
    def __init__(
        self, archive: Archive, view: _OciView, configs: Configs, entry: DockerEntry
    ) -> None:
        self._archive = archive
        self._view = view
        self._configs = configs
        self._entry = entry

    def check(self) -> Iterator[Finding]:
        entry = self._entry
        members = [entry.config, *entry.layers]
        digests = [self._digest(name) for name in members]
        for name, digest in zip(members, digests, strict=True):
            if digest is None:
                yield self._finding(f"manifest.json names {name}, which is not there")
        config, layers = digests[0], digests[1:]
        if config is None:
            return
        same = self._view.by_config.get(config, {})
        if not same:
            yield self._finding(
                f"manifest.json has an image with the config {config.short}, index.json has none"
            )
        elif not any(self._has_layers(manifest, layers) for manifest in same.values()):
            yield self._finding("the layers of manifest.json are not those of index.json")
        else:
            yield from self._check_names(set(same))

    def _check_names(self, manifests: set[Digest]) -> Iterator[Finding]:
        for tag in self._entry.tags:
            try:
                name = Reference.parse(tag)
            except InvalidReference as error:
                yield self._finding(f"manifest.json: {error.message}", Level.WARNING)
                continue
            below = self._view.by_name.get(name)
            if below is None:
                yield self._finding(f"only docker sees the name {tag}", Level.WARNING)
            elif not below & manifests:
                yield self._finding(f"{tag} is one image in manifest.json, another in index.json")

    def _has_layers(self, manifest: Manifest, layers: Sequence[Digest | None]) -> bool:
        if [layer.digest for layer in manifest.layers] == layers:
            return True
        config = self._configs.get(manifest.config.digest)
        return isinstance(config, ImageConfig) and list(config.diff_ids) == layers

    def _digest(self, name: str) -> Digest | None:
        """The digest of a member, which its name says where it is a blob (others prove that)."""
        member = self._archive.tar.find(name)
        if member is None:
            return None
        match name.split("/"):
            case ["blobs", algorithm, encoded]:
                digest = Digest(algorithm, encoded)
                return digest if blob_path(digest) == name else None
        hasher = Digest.of(b"").hasher()
        stream = self._archive.tar.open(member)
        while chunk := stream.read(CHUNK_BYTES):
            hasher.update(chunk)
        return Digest("sha256", hasher.hexdigest())

    def _finding(self, problem: str, level: Level = Level.ERROR) -> Finding:
        return Finding(level, "archive", problem, images=self._entry.tags, advice=ADVICE)
