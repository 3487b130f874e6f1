"""DockerArchive: a docker-save archive without an OCI layout, read as OCI by a fixed recipe.

`docker save` before version 25, podman, ``skopeo copy … docker-archive:``, crane, kaniko, jib,
bazel. Such an archive has no manifest, so one is made: the config's bytes unchanged, each layer
uncompressed with the config's diff_id as its digest, canonical JSON. The digest depends on nothing
but the image, so every machine gets the same one (containerd's own conversion depends on what its
store has at the time).

Layers are read where they stand; compressed ones are decompressed while they are read.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from imgsync.content import CHUNK_BYTES
from imgsync.decompression import Decompressed, compression_by_magic
from imgsync.errors import (
    InvalidArchive,
    InvalidManifest,
    InvalidReference,
    MissingContent,
    NotFound,
)
from imgsync.model.bundle import Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.image_config import MAX_CONFIG_BYTES, parse_config
from imgsync.model.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from imgsync.model.reference import Reference
from imgsync.model.strict_json import canonical
from imgsync.stores import Resolved
from imgsync.stores.archive.docker_manifest import DockerEntry, parse_docker_manifest
from imgsync.stores.selected import find_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.stores.archive.tar_file import TarFile
    from imgsync.stores.archive.tar_index import Entry
    from imgsync.stores.files import FilePlace


class _Layer(NamedTuple):
    """Where a layer stands; ``size`` is the one that it has when it is decompressed."""

    entry: Entry
    compression: str
    size: int


class DockerArchive:
    """Holding and Listing.

    Attributes:
        tar: the members.
    """

    def __init__(self, tar: TarFile) -> None:
        """Read configs, and make manifests.

        Raises:
            InvalidArchive, MissingContent: ``manifest.json`` names members that are not there,
                or a config that does not fit its layers.
        """
        self.tar = tar
        self._documents: dict[Digest, bytes] = {}
        self._layers: dict[Digest, _Layer] = {}
        self._copies: list[tuple[Descriptor, _Layer]] = []
        self._by_member: dict[int, _Layer] = {}
        self._notes: list[str] = []
        where = f"{tar.side}: manifest.json"
        self._roots = tuple(
            root
            for entry in parse_docker_manifest(tar.read_small("manifest.json"), where)
            for root in self._image(entry)
        )

    @property
    def side(self) -> str:
        """The file's path."""
        return self.tar.side

    def bundle(self) -> Bundle:
        """One root for each tag; an image without a tag is a root without a name."""
        return Bundle(self._roots)

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means, with the manifest that was made for it."""
        root = find_root(self._roots, reference, self.side)
        return Resolved(root.descriptor, self._documents[root.descriptor.digest])

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The bytes of a manifest, a config, or a layer as it is without compression."""
        raw = self._documents.get(descriptor.digest)
        if raw is not None:
            return io.BytesIO(raw[offset:])
        layer = self._layers.get(descriptor.digest)
        if layer is None:
            msg = f"{self.side}: {descriptor.short} is not there"
            raise NotFound(msg)
        return self._open(layer, offset)

    def place(self, digest: Digest) -> FilePlace | None:
        """Where a layer stands in the file, for ``sendfile``; None if it stands there otherwise."""
        layer = self._layers.get(digest)
        if layer is None or layer.compression:
            return None
        return self.tar.place(layer.entry)

    def sizes(self) -> Mapping[Digest, int]:
        """Manifests, configs and layers."""
        sizes = {digest: len(raw) for digest, raw in self._documents.items()}
        return sizes | {digest: layer.size for digest, layer in self._layers.items()}

    def copies(self) -> Iterator[tuple[Descriptor, Readable]]:
        """Layers that stand in a second member too, which docker would read for some image.

        Nothing says that both members are the same but a look at their bytes.
        """
        return ((descriptor, self._open(layer, 0)) for descriptor, layer in self._copies)

    def notes(self) -> Sequence[str]:
        """What a user should know about how it is made."""
        return [*self._notes, *self.tar.notes()]

    def _image(self, entry: DockerEntry) -> Iterator[Root]:
        raw = self._config(entry.config)
        where = f"{self.side}: {entry.config}"
        try:
            config = parse_config(raw, where)
        except InvalidManifest as error:
            raise InvalidArchive(error.message) from None
        if len(config.diff_ids) != len(entry.layers):
            msg = f"{where} knows {len(config.diff_ids)} layers, manifest.json {len(entry.layers)}"
            raise InvalidArchive(msg)
        layers = [
            self._layer(digest, name)
            for digest, name in zip(config.diff_ids, entry.layers, strict=True)
        ]
        me = Descriptor(OCI_CONFIG, Digest.of(raw), len(raw))
        manifest = canonical(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": me.to_json(),
                "layers": [layer.to_json() for layer in layers],
            }
        )
        digest = Digest.of(manifest)
        self._documents[me.digest] = raw
        self._documents[digest] = manifest
        root = Descriptor(OCI_MANIFEST, digest, len(manifest), config.platform)
        for tag in entry.tags:
            try:
                yield Root(Reference.parse(tag), root)
            except InvalidReference as error:
                self._notes.append(f"a name in manifest.json cannot be used: {error.message}")
                yield Root(None, root, extra=tag if tag.isprintable() else ascii(tag))
        if not entry.tags:
            yield Root(None, root)

    def _config(self, name: str) -> bytes:
        entry = self._member(name, "config")
        if entry.size > MAX_CONFIG_BYTES:
            msg = f"{self.side}: the config {name} has {entry.size} bytes"
            raise InvalidArchive(msg)
        return self.tar.file.read_at(entry.data_offset, entry.size)

    def _layer(self, digest: Digest, name: str) -> Descriptor:
        entry = self._member(name, "layer")
        layer = self._by_member.get(entry.header_offset)
        if layer is None:
            compression = compression_by_magic(self.tar.file.read_at(entry.data_offset, 6))
            size = self._decompressed_size(entry, compression) if compression else entry.size
            layer = self._by_member[entry.header_offset] = _Layer(entry, compression, size)
        known = self._layers.setdefault(digest, layer)
        if known.entry != entry:
            # The other member may have other bytes, and other tools would read it.
            self._copies.append((Descriptor(OCI_LAYER, digest, layer.size), layer))
        return Descriptor(OCI_LAYER, digest, known.size)

    def _member(self, name: str, what: str) -> Entry:
        entry = self.tar.find(name)
        if entry is None:
            msg = f"{self.side}: the {what} {name}, which manifest.json names, is not there"
            raise MissingContent(msg, hint="the archive is damaged; save the image again")
        return entry

    def _decompressed_size(self, entry: Entry, compression: str) -> int:
        # A manifest needs the size, and no format says it truly before the data has been read.
        size = 0
        with self._decompressed(entry, compression) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                size += len(chunk)
        return size

    def _open(self, layer: _Layer, offset: int) -> Readable:
        if not layer.compression:
            return self.tar.open(layer.entry, offset)
        stream = self._decompressed(layer.entry, layer.compression)
        while offset > 0:
            offset -= len(stream.read(min(offset, CHUNK_BYTES))) or offset
        return stream

    def _decompressed(self, entry: Entry, compression: str) -> Decompressed:
        what = f"{self.side}: member {entry.name}"
        return Decompressed(self.tar.open(entry), compression, what)
