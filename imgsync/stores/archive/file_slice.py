"""FileSlice: a part of an open file as a stream of its own, read by offset.

Several threads read several slices of one file at once, because ``pread`` has no position that
they would share. A file that is cut under our eyes is a short stream, not a crash, as it would be
with mmap.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from imgsync.content import CHUNK_BYTES
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.tar_layout import Place


class FileSlice(io.RawIOBase):
    """``size`` bytes of the file ``fd`` from ``offset`` on. Closing it leaves ``fd`` open."""

    def __init__(self, fd: int, offset: int, size: int, side: str) -> None:
        """Take a part of an open file; ``side`` is how errors call the file."""
        super().__init__()
        self._fd = fd
        self._position = offset
        self._end = offset + size
        self._side = side

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes, all that is left if negative; empty at the end."""
        left = self._end - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted <= 0:
            return b""
        with turn_os_errors(self._side):
            data = os.pread(self._fd, wanted, self._position)
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer, without a copy in between."""
        view = memoryview(buffer).cast("B")[: self._end - self._position]
        if not view:
            return 0
        with turn_os_errors(self._side):
            n_bytes = os.preadv(self._fd, [view], self._position)
        self._position += n_bytes
        return n_bytes


def never() -> bool:
    """Nobody interrupts."""
    return False


def holds(
    fd: int,
    place: Place,
    descriptor: Descriptor,
    side: str,
    *,
    is_ending: Callable[[], bool] = never,
) -> bool:
    """Whether the bytes at this place of a file are all of this content, and right.

    ``is_ending`` is asked now and then whether nobody wants to know any more.
    """
    hasher = descriptor.digest.hasher()
    n_bytes = 0
    stream = FileSlice(fd, place.offset, place.size, side)
    while not is_ending() and (chunk := stream.read(CHUNK_BYTES)):
        hasher.update(chunk)
        n_bytes += len(chunk)
    return n_bytes == descriptor.size and hasher.hexdigest() == descriptor.digest.hex
