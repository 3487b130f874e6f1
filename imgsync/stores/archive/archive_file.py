"""ArchiveFile: the destination that is a bundle's tar, filled in parallel and continued.

The tar is planned whole before (`imgsync.model.tar_layout`), so blobs go straight to their places
in ``NAME.tar.partial`` in any order: no temporary copy, bytes on disk exactly once. The final name
appears by a rename, after everything is there and synced.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from imgsync.content import CHUNK_BYTES
from imgsync.events import Noted, Report, ignore
from imgsync.model.tar_header import END_OF_ARCHIVE
from imgsync.stores.archive.file_slice import FileSlice, holds
from imgsync.stores.disk import (
    check_file_size,
    pwrite_all,
    sync_folder,
    turn_os_errors,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.model.tar_layout import TarLayout
    from imgsync.stores.archive.journal import Journal

PROGRESS_BYTES: Final = 8 * 1024 * 1024
"""How much of a blob may have to be fetched again after a crash, at the most."""


def partial_of(path: Path) -> Path:
    """Where a bundle grows until it is whole."""
    return path.with_name(f"{path.name}.partial")


def journal_of(path: Path) -> Path:
    """Where the journal of a growing bundle stands."""
    return path.with_name(f"{path.name}.partial.journal")


def packed_of(path: Path) -> Path:
    """Where a bundle is compressed when its partial is whole."""
    return path.with_name(f"{path.name}.partial.zst")


class ArchiveFile:
    """A Destination and Resuming store; `finish` gives the file its name."""

    def __init__(
        self, path: Path, layout: TarLayout, journal: Journal, *, report: Report = ignore
    ) -> None:
        """Open the partial of ``path`` at its full size, with holes.

        Raises:
            NoSpace: the file system does not hold files of this size.
        """
        self.path = path
        self.partial = partial_of(path)
        self._layout = layout
        self._journal = journal
        self._report = report
        self._trusted: set[Digest] = set()
        self._is_ending = False
        self._mutex = threading.Lock()
        check_file_size(self.partial, layout.size)
        with turn_os_errors(self.partial):
            self._fd = os.open(self.partial, os.O_RDWR | os.O_CLOEXEC)

    @property
    def side(self) -> str:
        """The file's path."""
        return str(self.path)

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """All but those that an earlier run stored and that still hash to their digest."""
        kept = [item for item in descriptors if item.digest in self._journal.done]
        if kept:
            n_bytes = sum(item.size for item in kept)
            self._report(Noted(f"checking {n_bytes} bytes kept from an earlier run"))
            with ThreadPoolExecutor(os.cpu_count() or 1, "check") as pool:
                try:
                    for item, good in zip(kept, pool.map(self._is_good, kept), strict=True):
                        if good:
                            self._trusted.add(item.digest)
                except BaseException:
                    self._is_ending = True
                    raise
        return {item.digest for item in descriptors} - self._trusted

    def kept(self, descriptor: Descriptor) -> FileSlice | None:
        """The bytes that an earlier run stored of a blob that it did not finish."""
        n_bytes = min(self._journal.progress.get(descriptor.digest, 0), descriptor.size - 1)
        if n_bytes <= 0:
            return None
        place = self._layout.places[descriptor.digest]
        return FileSlice(self._fd, place.offset, n_bytes, self.side)

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Fill the blob's place; progress is written down as it goes."""
        digest = descriptor.digest
        place = self._layout.places[digest].offset
        noted = stream.tell()
        while True:
            position = stream.tell()
            chunk = stream.read(CHUNK_BYTES)
            if not chunk:
                break
            with turn_os_errors(self.side):
                pwrite_all(self._fd, chunk, place + position)
            if position + len(chunk) - noted >= PROGRESS_BYTES and position + len(chunk) < (
                descriptor.size
            ):
                noted = position + len(chunk)
                self._journal.add_progress(digest, noted)
        self._journal.add_done(digest)

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Nothing to do: the names stand in ``index.json``, which the layout has."""

    def finish(self) -> int:
        """Write all that is not a blob, sync, and give the file its name; its size in bytes."""
        self._write_members()
        with turn_os_errors(self.side):
            os.fsync(self._fd)
            self.partial.rename(self.path)
            sync_folder(self.path.parent)
        self._journal.remove()
        return self._layout.size

    def close(self) -> None:
        """Give back the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Close it when the block ends; what was stored stays for the next run."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """See `close`."""
        self.close()

    def _write_members(self) -> None:
        with turn_os_errors(self.side):
            for member in self._layout.members:
                pwrite_all(self._fd, member.header, member.offset)
                if member.data is not None:
                    pwrite_all(self._fd, member.data, member.data_offset)
            pwrite_all(self._fd, END_OF_ARCHIVE, self._layout.size - len(END_OF_ARCHIVE))

    def _is_good(self, descriptor: Descriptor) -> bool:
        place = self._layout.places.get(descriptor.digest)
        return place is not None and holds(
            self._fd, place, descriptor, self.side, is_ending=lambda: self._is_ending
        )
