"""The whole tar of a bundle, planned before a byte of it is written.

All sizes are known once the manifests are read, so each member's header, name and offset follow
from the lock and the names: any number of workers can then fill the blobs' places in any order,
and ``verify`` can compute again what must stand there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from imgsync.model.bundle_files import (
    OCI_LAYOUT_FILE,
    blob_path,
    docker_manifest_file,
    index_file,
)
from imgsync.model.tar_header import END_OF_ARCHIVE, header_bytes, padding, tar_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock


class Place(NamedTuple):
    """Where a blob's bytes stand in the file: offset and size, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the tar.

    Attributes:
        offset: of its header, in bytes from the start of the file.
        data_offset: of its data.
        data: of the small files that imgsync writes itself (and the lock), else None.
        descriptor: of a blob of the pool, else None.
    """

    size: int
    offset: int
    data_offset: int
    data: bytes | None = None
    descriptor: Descriptor | None = None

    file_name: str = ""

    @property
    def name(self) -> str:
        """The member's name; that of a blob is not kept, there may be a hundred thousand."""
        return self.file_name or (blob_path(self.descriptor.digest) if self.descriptor else "")

    @property
    def header(self) -> bytes:
        """The bytes from ``offset`` up to ``data_offset``."""
        return tar_header(self.name, self.size)

    @property
    def end(self) -> int:
        """Where the next member starts: behind the data and its padding."""
        return self.data_offset + self.size + padding(self.size)


@dataclass(frozen=True, slots=True)
class TarLayout:
    """Members in order, where each blob stands, and the size of the file in bytes."""

    members: tuple[Member, ...]
    places: Mapping[Digest, Place]
    size: int


def tar_layout(lock: Lock, roots: Iterable[Root] | None = None) -> TarLayout:
    """Plan the tar of a lock; ``roots`` are the lock's unless names were changed since."""
    roots = lock.roots if roots is None else tuple(roots)
    raw = lock.to_bytes()
    me = lock.descriptor()
    members: list[Member] = []
    places: dict[Digest, Place] = {}
    offset = 0
    for name, size, data, descriptor in _contents(lock, roots, raw, me):
        data_offset = offset + header_bytes(name, size)
        file_name = "" if descriptor is not None else name
        member = Member(size, offset, data_offset, data, descriptor, file_name)
        members.append(member)
        if descriptor is not None:
            places[descriptor.digest] = Place(data_offset, size)
        offset = member.end
    return TarLayout(tuple(members), places, offset + len(END_OF_ARCHIVE))


def _contents(
    lock: Lock, roots: tuple[Root, ...], raw: bytes, me: Descriptor
) -> Iterator[tuple[str, int, bytes | None, Descriptor | None]]:
    yield blob_path(me.digest), me.size, raw, me
    for item in lock.present():
        yield blob_path(item.digest), item.size, None, item
    for name, data in (
        ("oci-layout", OCI_LAYOUT_FILE),
        ("manifest.json", docker_manifest_file(roots, lock)),
        ("index.json", index_file(roots, me.digest)),
    ):
        yield name, len(data), data, None
