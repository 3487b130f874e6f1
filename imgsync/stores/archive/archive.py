"""Archive: a tar that is an OCI image layout, read by offset and never extracted.

Bundles of imgsync, ``ctr images export``, kind, docker 25 and newer, buildkit ``type=oci``,
``skopeo copy … oci-archive:``, podman ``oci-archive``, hauler. What `docker save` wrote before is
`imgsync.stores.archive.docker_save`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from imgsync.errors import InvalidDigest, NotFound
from imgsync.model.bundle_files import blob_path
from imgsync.model.digest import Digest
from imgsync.model.layout_index import LayoutIndex, parse_layout_file
from imgsync.stores.archive.docker_manifest import DockerEntry, parse_docker_manifest
from imgsync.stores.image_layout import ImageLayout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.lock import Lock
    from imgsync.stores.archive.tar_file import TarFile
    from imgsync.stores.files import FilePlace


class Archive(ImageLayout):
    """Holding and Listing.

    Attributes:
        tar: the members.
    """

    def __init__(self, tar: TarFile) -> None:
        """Read a tar's ``oci-layout``; everything else when it is needed.

        Raises:
            InvalidArchive: a layout of another version.
        """
        self.tar = tar
        self._check_layout_file()

    def _check_layout_file(self) -> None:
        if "oci-layout" in self.tar:
            parse_layout_file(self.tar.read_small("oci-layout"), f"{self.side}: oci-layout")

    @property
    def side(self) -> str:
        """The file's path."""
        return self.tar.side

    def small_file(self, name: str) -> bytes:
        """The bytes of a member that is no blob."""
        return self.tar.read_small(name)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The bytes of the member that has this digest for a name."""
        entry = self.tar.find(blob_path(descriptor.digest))
        if entry is None:
            msg = f"{self.side}: {descriptor.short} is not there"
            raise NotFound(msg)
        return self.tar.open(entry, offset)

    def place(self, digest: Digest) -> FilePlace | None:
        """Where content stands in the file, for ``sendfile``; None if it is not there.

        The file stays open as long as this archive or a stream of it is there.
        """
        entry = self.tar.find(blob_path(digest))
        return None if entry is None else self.tar.place(entry)

    def sizes(self) -> Mapping[Digest, int]:
        """Every member under ``blobs/`` whose name is a digest."""
        return self._sizes

    @cached_property
    def _sizes(self) -> dict[Digest, int]:
        found: dict[Digest, int] = {}
        for name in self.tar.index.entries:
            match name.split("/"):
                case ["blobs", algorithm, encoded]:
                    with suppress(InvalidDigest):
                        digest = Digest(algorithm, encoded)
                        entry = self.tar.find(name)
                        if entry is not None:
                            found[digest] = entry.size
        return found

    def index(self) -> LayoutIndex:
        """What ``index.json`` says; read once."""
        return self._index

    @cached_property
    def _index(self) -> LayoutIndex:
        return super().index()

    def lock(self) -> Lock | None:
        """The lock of our own bundle; read and proved once."""
        return self._lock

    @cached_property
    def _lock(self) -> Lock | None:
        return super().lock()

    def docker_entries(self) -> tuple[DockerEntry, ...] | None:
        """What docker sees in this archive; None if it has no ``manifest.json``.

        Raises:
            InvalidArchive: ``manifest.json`` is damaged.
        """
        if "manifest.json" not in self.tar:
            return None
        return parse_docker_manifest(
            self.tar.read_small("manifest.json"), f"{self.side}: manifest.json"
        )

    def notes(self) -> Sequence[str]:
        """What a user should know about how it is made."""
        notes = [*super().notes(), *self.tar.notes()]
        if "oci-layout" not in self.tar:
            notes.append(f"{self.side} has no file oci-layout; containerd would not read it so")
        return notes
