"""Packing: a finished tar as zstd, frame by frame on all cores, written in order.

Which bytes a frame holds is planned (`imgsync.model.seek_table.frame_sizes`), so the frames do not
depend on how many workers there were. What zstd makes of them is a function of the library's
version too: the promise of the same bytes is about the tar inside (``docs/format.md``).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidArchive
from imgsync.model.seek_table import FRAME_BYTES, SeekTable
from imgsync.stores.disk import discard, turn_os_errors
from imgsync.stores.layout_folder import write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

LEVEL: Final = 3
_WINDOW_LOG: Final = 23
"""A window of 8 MiB, so that a frame is searched as a whole; what every decoder must offer."""

Batch = tuple[int, tuple[int, ...]]
"""Where some frames begin in the tar, and how many bytes each of them holds."""
Packed = list[tuple[bytes, int]]
"""Frames, each with how many bytes it holds."""


def pack(
    fd: int,
    path: Path,
    sizes: Iterable[int],
    *,
    jobs: int = 0,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> int:
    """Make ``path`` of the tar that stands open, synced; the size of the file in bytes.

    Args:
        fd: the tar.
        path: the file to make; it is written anew.
        sizes: how many bytes each frame holds; all together they are the tar.
        jobs: workers, as many as there are cores if 0.
        on_bytes: gets how many bytes of the tar are done.

    Raises:
        NoSpace, StoreError: it could not be written; what there is of it is deleted.
        InvalidArchive: the tar is shorter than that.
    """
    with turn_os_errors(path):
        out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        table = SeekTable()
        with turn_os_errors(path):
            for frame, n_bytes in _packed(fd, path, sizes, jobs or os.cpu_count() or 1):
                write_all(out, frame)
                table.add(len(frame), n_bytes)
                on_bytes(n_bytes)
            end = table.to_bytes()
            write_all(out, end)
            os.fsync(out)
    except BaseException:
        discard(path)
        raise
    finally:
        os.close(out)
    return table.size + len(end)


def _packed(fd: int, path: Path, sizes: Iterable[int], jobs: int) -> Iterator[tuple[bytes, int]]:
    """The frames in order; never more than two batches for each worker are in memory."""
    packer = _Packer(fd, path)
    waiting: deque[Future[Packed]] = deque()
    with ThreadPoolExecutor(jobs, "pack") as pool:
        try:
            for batch in _batches(sizes):
                waiting.append(pool.submit(packer.pack, batch))
                if len(waiting) >= 2 * jobs:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batches(sizes: Iterable[int]) -> Iterator[Batch]:
    """Small frames are handed out together: there may be a hundred thousand."""
    offset, batch = 0, list[int]()
    for size in sizes:
        if batch and sum(batch) + size > FRAME_BYTES:
            yield offset, tuple(batch)
            offset += sum(batch)
            batch = []
        batch.append(size)
    if batch:
        yield offset, tuple(batch)


class _Packer:
    """What the workers share. The library's objects are made for one thread each."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._local = threading.local()

    def pack(self, batch: Batch) -> Packed:
        offset, sizes = batch
        packed = []
        for size in sizes:
            data = os.pread(self._fd, size, offset)
            if len(data) < size:
                msg = f"{self._path}: the tar became shorter while it was compressed"
                raise InvalidArchive(msg, hint="is something else writing to it?")
            packed.append((self._compress(data), size))
            offset += size
        return packed

    def _compress(self, data: bytes) -> bytes:
        compress: Callable[[bytes], bytes] | None = getattr(self._local, "compress", None)
        if compress is None:
            compress = self._local.compress = new_compressor()
        return compress(data)


def new_compressor() -> Callable[[bytes], bytes]:
    """What makes a frame of some bytes, as the format says it; for one thread."""
    import zstandard  # noqa: PLC0415 - costs as much as a small command

    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=_WINDOW_LOG, write_content_size=True, write_checksum=True
    )
    compress: Callable[[bytes], bytes]
    compress = zstandard.ZstdCompressor(compression_params=parameters).compress
    return compress
