"""DamagedBundle: a bundle that may be wrong at any byte, seen through its lock.

The lock says where every byte belongs, so damage is found by place, whatever the tar looks like
to a tar reader (`imgsync.stores.archive.by_lock`).
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from imgsync.content import CHUNK_BYTES
from imgsync.errors import InvalidArchive, InvalidInput
from imgsync.model.tar_header import END_OF_ARCHIVE, padding
from imgsync.model.tar_layout import Member, Place, TarLayout, tar_layout
from imgsync.stores.archive.beside import lock_of
from imgsync.stores.archive.by_lock import (
    advice_about_compressed,
    advice_without_lock,
    find_lock,
    find_roots,
    is_compressed,
)
from imgsync.stores.archive.file_slice import FileSlice, holds
from imgsync.stores.disk import pwrite_all, turn_os_errors
from imgsync.stores.files import OpenFile

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference


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
        file = OpenFile.at(path)
        if is_compressed(path, file):
            msg = f"{path} is compressed, and nothing of it is healed in place"
            raise InvalidInput(msg, hint=advice_about_compressed(path))
        lock = find_lock(file, path)
        if lock is None:
            msg = f"{path}: its lock is damaged, and {lock_of(path).name} is not beside it"
            raise InvalidArchive(msg, hint=advice_without_lock(path))
        self.lock = lock
        roots, self.names_lost = find_roots(file, lock)
        self.layout: TarLayout = tar_layout(lock, roots)
        with turn_os_errors(path):
            mode = os.O_RDWR if writable else os.O_RDONLY
            self._fd = os.open(path, mode | os.O_CLOEXEC)
        self.healed: set[Digest] = set()
        self._mutex = threading.Lock()
        self._is_ending = False

    def bad_members(self) -> list[Member]:
        """All members of which a byte is wrong, in their order; every blob is hashed once."""
        with ThreadPoolExecutor(os.cpu_count() or 1, "check") as pool:
            try:
                good = list(pool.map(self._is_good, self.layout.members))
            except BaseException:
                self._is_ending = True
                raise
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
        return holds(
            self._fd, place, member.descriptor, self.side, is_ending=lambda: self._is_ending
        )
