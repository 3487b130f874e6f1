"""Archives that are compressed as a whole (``.tar.gz``, ``.tar.zst``, …): one pass into a file.

A compressed tar cannot be read by offset, unless it is zstd with a seek table (`frames_file`), as
ours are. So it is decompressed once, to a file without a name, which vanishes with the process
however it ends. What comes out is a tar or is refused at its first block, and the file system
always keeps some room: a few bytes can claim to be terabytes.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO, Final

from imgsync.content import CHUNK_BYTES
from imgsync.decompression import Decompressed, compression_by_magic
from imgsync.errors import InvalidArchive, NoSpace
from imgsync.events import Noted, Report, ignore
from imgsync.model.tar_header import BLOCK_BYTES
from imgsync.stores.archive.frames_file import FramesFile, open_frames
from imgsync.stores.archive.tar_index import is_tar_header
from imgsync.stores.disk import of_os_error, turn_os_errors
from imgsync.stores.files import OpenFile, Section
from imgsync.stores.layout_folder import write_all

MIN_FREE_BYTES: Final = 256 * 1024 * 1024
"""What is left to everybody else on the file system of the temporary file."""
_CHECK_BYTES: Final = 64 * 1024 * 1024


def open_tar_file(path: Path, *, report: Report = ignore) -> OpenFile | FramesFile:
    """The bytes of a tar by position, of a file that may be compressed.

    Raises:
        NotFound, AccessDenied, StoreError: the file cannot be opened.
        InvalidArchive: what comes out is no tar, or its seek table is wrong.
        ContentError: it is damaged.
        NoSpace: it does not fit, or would not leave enough room.
    """
    file = OpenFile.at(path)
    compression = compression_by_magic(file.read_at(0, 6))
    if not compression:
        return file
    if compression == "zstd":
        frames = open_frames(file)
        if frames is not None:
            return frames
    temporary, folder = anonymous_file(path.parent)
    report(Noted(f"{path} is compressed ({compression}): decompressing it once, to {folder}"))
    with temporary:
        stream = Decompressed(Section(file, 0, file.size), compression, str(path))
        _copy(stream, temporary.fileno(), folder, path)
        return OpenFile(os.dup(temporary.fileno()), str(path))


def anonymous_file(*near: Path) -> tuple[IO[bytes], Path]:
    """A new file without a name, and the folder whose room it takes.

    That is ``TMPDIR``, else one of ``near``, else ``/var/tmp``; ``/tmp`` comes last, because it is
    often in memory.

    Raises:
        NoSpace, AccessDenied, NotFound: none of them can be written to.
    """
    chosen = os.environ.get("TMPDIR")
    folders = [Path(chosen)] if chosen else [*near, Path("/var/tmp"), Path("/tmp")]  # noqa: S108 - no name
    for folder in folders:
        try:
            return tempfile.TemporaryFile(dir=folder, buffering=0), folder
        except OSError as error:
            last = of_os_error(error, folder)
    raise last


def _copy(stream: Decompressed, fd: int, folder: Path, path: Path) -> None:
    first = b""
    while len(first) < BLOCK_BYTES and (chunk := stream.read(CHUNK_BYTES)):
        first += chunk
    if not is_tar_header(first[:BLOCK_BYTES]):
        twice = compression_by_magic(first[:6])
        what = f"is {twice} once more" if twice else "is no tar archive"
        msg = f"{path}: what comes out of decompression {what}"
        raise InvalidArchive(msg)
    written, next_check = 0, 0
    chunk = first
    while chunk:
        if written >= next_check:
            _check_free(folder, path, written)
            next_check = written + _CHECK_BYTES
        with turn_os_errors(folder):
            write_all(fd, chunk)
        written += len(chunk)
        chunk = stream.read(CHUNK_BYTES)


def _check_free(folder: Path, path: Path, written: int) -> None:
    with turn_os_errors(folder):
        status = os.statvfs(folder)
    if status.f_bavail * status.f_frsize < MIN_FREE_BYTES + _CHECK_BYTES:
        msg = (
            f"{folder} has no room for what {path} holds: {written} bytes were decompressed, "
            f"{status.f_bavail * status.f_frsize} are free"
        )
        raise NoSpace(msg, hint="set TMPDIR to a folder with more room, or decompress it by hand")
