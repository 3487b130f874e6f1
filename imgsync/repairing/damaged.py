"""DamagedBundle: a bundle that may be wrong at any byte, seen through its lock.

The lock says where every byte belongs, so damage is found by place, whatever the tar looks like
to a tar reader. It is read from the bundle itself, or from its copy beside it. The names may have
been changed since; they are read from ``index.json`` where that is still right.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from imgsync.content import CHUNK_BYTES
from imgsync.decompression import compression_by_magic
from imgsync.errors import ImgsyncError, InvalidArchive, InvalidInput
from imgsync.model.bundle_files import blob_path
from imgsync.model.digest import Digest
from imgsync.model.layout_index import parse_layout_index
from imgsync.model.lock import Lock
from imgsync.model.tar_header import BLOCK_BYTES, END_OF_ARCHIVE, padding
from imgsync.model.tar_layout import Member, Place, TarLayout, tar_layout
from imgsync.model.volumes import named_roots
from imgsync.stores.archive.disk import pwrite_all, turn_os_errors
from imgsync.stores.archive.file_slice import FileSlice, holds
from imgsync.stores.archive.packed_file import is_packed_name
from imgsync.stores.files import OpenFile

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from imgsync.content import VerifiedStream
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference

MAX_SMALL_BYTES: Final = 1 << 30
"""A lock or index larger than this is damage to its header, not a lock."""


class DamagedBundle:
    """A Destination for the blobs that are bad; the rest it can write by itself.

    Attributes:
        names_lost: the names were changed after the bundle was made, and ``index.json`` is
            damaged: those of the lock are written again.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        """Open a bundle, to heal it or only to look.

        Raises:
            InvalidArchive: no lock can be had; without it no byte has a place.
            InvalidInput: it is compressed, so that no byte has a place either.
        """
        self.path = path
        self.side = str(path)
        if is_packed_name(path) or compression_by_magic(OpenFile.at(path).read_at(0, 6)):
            msg = f"{path} is compressed, and nothing of it is healed in place"
            hint = f"make it anew from its lock: imgsync bundle -f {path}.lock.json -o FILE"
            raise InvalidInput(msg, hint=hint)
        with turn_os_errors(path):
            mode = os.O_RDWR if writable else os.O_RDONLY
            self._fd = os.open(path, mode | os.O_CLOEXEC)
        try:
            self.lock = self._find_lock()
            roots, self.names_lost = self._find_roots()
            self.layout: TarLayout = tar_layout(self.lock, roots)
        except BaseException:
            os.close(self._fd)
            raise
        self.healed: set[Digest] = set()
        self._mutex = threading.Lock()

    def bad_members(self) -> list[Member]:
        """All members of which a byte is wrong, in their order; every blob is hashed once."""
        with ThreadPoolExecutor(os.cpu_count() or 1, "check") as pool:
            good = list(pool.map(self._is_good, self.layout.members))
        return [
            member for member, is_good in zip(self.layout.members, good, strict=True) if not is_good
        ]

    @property
    def has_good_end(self) -> bool:
        """Whether the file ends as it must: zeros, and nothing behind them."""
        end = self.layout.size - len(END_OF_ARCHIVE)
        return self._read(end, len(END_OF_ARCHIVE) + 1) == END_OF_ARCHIVE

    def write_own(self, members: Collection[Member]) -> None:
        """Write all of these members that is no blob's bytes, and the end of the file."""
        with turn_os_errors(self.side):
            os.ftruncate(self._fd, self.layout.size)
            for member in members:
                pwrite_all(self._fd, member.header, member.offset)
                if member.data is not None:
                    pwrite_all(self._fd, member.data, member.data_offset)
                pwrite_all(self._fd, bytes(padding(member.size)), member.data_offset + member.size)
            end = self.layout.size - len(END_OF_ARCHIVE)
            pwrite_all(self._fd, END_OF_ARCHIVE, end)

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """All that are asked for: only what is bad is."""
        return {item.digest for item in descriptors}

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Write a blob into its place."""
        offset = self.layout.places[descriptor.digest].offset
        while chunk := stream.read(CHUNK_BYTES):
            with turn_os_errors(self.side):
                pwrite_all(self._fd, chunk, offset + stream.tell() - len(chunk))
        with self._mutex:
            self.healed.add(descriptor.digest)

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Nothing to do: the names stand in ``index.json``."""

    def sync(self) -> None:
        """Let what was written survive a loss of power."""
        with turn_os_errors(self.side):
            os.fsync(self._fd)

    def close(self) -> None:
        """Give back the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Close it when the block ends."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """See `close`."""
        self.close()

    def _read(self, offset: int, size: int) -> bytes:
        return FileSlice(self._fd, offset, size, self.side).read()

    def _is_good(self, member: Member) -> bool:
        behind = member.data_offset + member.size
        if self._read(member.offset, len(member.header)) != member.header:
            return False
        if self._read(behind, padding(member.size)) != bytes(padding(member.size)):
            return False
        if member.data is not None:
            return self._read(member.data_offset, member.size) == member.data
        if member.descriptor is None:
            raise AssertionError
        place = Place(member.data_offset, member.size)
        return holds(self._fd, place, member.descriptor, self.side)

    def _find_lock(self) -> Lock:
        name, size = _header_of(self._read(0, BLOCK_BYTES))
        raw = self._read(BLOCK_BYTES, size) if name.startswith("blobs/") else b""
        if raw and name == blob_path(Digest.of(raw)):
            return Lock.parse(raw, self.side)
        beside = self.path.with_name(f"{self.path.name}.lock.json")
        try:
            return Lock.parse(beside.read_bytes(), str(beside))
        except (OSError, ImgsyncError):
            msg = f"{self.path}: its lock is damaged, and {beside.name} is not beside it"
            hint = f"put a copy of {beside.name} there; the sender has it, and it is small"
            raise InvalidArchive(msg, hint=hint) from None

    def _find_roots(self) -> tuple[Sequence[Root], bool]:
        """The roots with their names, and whether newer names may be lost."""
        as_made = named_roots(self.lock)
        layout = tar_layout(self.lock, as_made)
        manifest, index = layout.members[-2:]
        if self._read(index.data_offset, index.size) == index.data:
            return as_made, False
        # Names of another length move index.json, and its own header still says where it is.
        _, manifest_size = _header_of(self._read(manifest.offset, BLOCK_BYTES))
        offset = manifest.data_offset + manifest_size + padding(manifest_size)
        name, size = _header_of(self._read(offset, BLOCK_BYTES))
        if name == "index.json":
            raw = self._read(offset + BLOCK_BYTES, size)
            try:
                roots = parse_layout_index(raw, self.side).roots
                is_ours = all(root.descriptor.digest in self.lock.objects for root in roots)
                if is_ours and tar_layout(self.lock, roots).members[-1].data == raw:
                    return roots, False
            except ImgsyncError:
                pass
        return as_made, True


def _header_of(header: bytes) -> tuple[str, int]:
    """Name and size in a tar header that may be anything."""
    try:
        name = header[:100].rstrip(b"\0").decode("ascii")
        size = int(header[124:135], 8)
    except ValueError:
        return "", 0
    return name, min(size, MAX_SMALL_BYTES)
