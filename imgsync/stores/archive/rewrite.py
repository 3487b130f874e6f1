"""Other names for a bundle: only the tail of its tar changes (``docs/format.md``, "Members").

``manifest.json`` and ``index.json`` are the last members, and where the blobs stand does not
depend on names. So a new file shares all blobs with the old one where the file system can do that
(reflink), or gets them copied within the kernel; and a change in place writes some kilobytes.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from imgsync.errors import Conflict, InvalidArchive
from imgsync.model.tar_header import END_OF_ARCHIVE, padding
from imgsync.model.tar_layout import tar_layout
from imgsync.stores.archive.beside import read_signature, write_beside
from imgsync.stores.archive.packed_tail import packed_tail
from imgsync.stores.archive.redo import Redo, check_tail, rewrite_in_place
from imgsync.stores.disk import check_room, discard, pwrite_all, sync_folder, turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgsync.model.bundle import Root
    from imgsync.model.lock import Lock
    from imgsync.model.tar_layout import TarLayout
    from imgsync.stores.archive.frames_file import FramesFile

FICLONE: Final = 0x40049409
"""linux/fs.h; the kernel shares the blocks of both files until one of them is written to."""

_TAIL: Final = "manifest.json"
_COPY_BYTES: Final = 64 * 1024 * 1024


def renamed_to_file(
    path: Path,
    out: Path,
    lock: Lock,
    old: Sequence[Root],
    new: Sequence[Root],
    *,
    frames: FramesFile | None = None,
) -> None:
    """Make the bundle ``out`` of the one at ``path``, with the names of ``new``.

    ``frames`` is the bundle where it is a compressed one; the new one is then compressed too.

    Raises:
        Conflict: both are the same file.
        InvalidArchive: the file is not the bundle of this lock and of ``old``.
        NoSpace: there is no room for a second one; nothing was written under its name.
    """
    if out.exists() and out.samefile(path):
        msg = f"{out} is the bundle that is read"
        raise Conflict(msg, hint="give another name, or --in-place")
    offset, old_tail, new_tail = _tails(lock, old, new)
    if frames is not None:
        layout = tar_layout(lock, new)
        offset, old_tail, new_tail = packed_tail(frames, offset, old_tail, new_tail, layout)
    partial = out.with_name(f"{out.name}.partial")
    with turn_os_errors(path):
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        check_tail(source, path, offset, old_tail)
        try:
            _write(source, partial, offset, new_tail)
            with turn_os_errors(out):
                partial.rename(out)
                sync_folder(out.parent)
        except BaseException:
            discard(partial)
            raise
    finally:
        os.close(source)
    # The lock is the same, so its signature is good for the new bundle too.
    write_beside(out, lock.to_bytes(), read_signature(path))


def renamed_in_place(path: Path, lock: Lock, old: Sequence[Root], new: Sequence[Root]) -> None:
    """Let the bundle have the names of ``new``; see `imgsync.stores.archive.redo`.

    Raises:
        InvalidArchive: the file is not the bundle of this lock and of ``old``.
    """
    offset, old_tail, new_tail = _tails(lock, old, new)
    if old_tail != new_tail:
        rewrite_in_place(path, Redo(lock.descriptor().digest, offset, old_tail, new_tail))


def _tails(lock: Lock, old: Sequence[Root], new: Sequence[Root]) -> tuple[int, bytes, bytes]:
    offset, old_tail = _tail(tar_layout(lock, old))
    _, new_tail = _tail(tar_layout(lock, new))
    return offset, old_tail, new_tail


def _tail(layout: TarLayout) -> tuple[int, bytes]:
    """Where the names begin, and all bytes from there to the end of the file."""
    names = [member.name for member in layout.members]
    members = layout.members[names.index(_TAIL) :]
    tail = b""
    for member in members:
        data = member.data or b""
        tail += member.header + data + bytes(padding(len(data)))
    return members[0].offset, tail + END_OF_ARCHIVE


def _write(source: int, partial: Path, offset: int, tail: bytes) -> None:
    with turn_os_errors(partial):
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        if not _is_cloned(source, fd):
            check_room(partial, offset + len(tail))
            with turn_os_errors(partial):
                _copy(source, fd, offset)
        with turn_os_errors(partial):
            pwrite_all(fd, tail, offset)
            os.ftruncate(fd, offset + len(tail))
            os.fsync(fd)
    finally:
        os.close(fd)


def _is_cloned(source: int, fd: int) -> bool:
    """Whether the file system could share the blocks (btrfs, xfs and some others, one disk)."""
    try:
        fcntl.ioctl(fd, FICLONE, source)
    except OSError:
        return False
    return True


def _copy(source: int, fd: int, n_bytes: int) -> None:
    """The first bytes of a file, without their passing through this process where possible."""
    done = 0
    while done < n_bytes:
        left = min(n_bytes - done, _COPY_BYTES)
        try:
            n_copied = os.copy_file_range(source, fd, left, done, done)
        except OSError:
            # Two file systems that cannot, or one of a kernel before 5.3.
            n_copied = 0
        if n_copied == 0:
            data = os.pread(source, min(left, 1024 * 1024), done)
            pwrite_all(fd, data, done)
            n_copied = len(data)
        if n_copied == 0:
            # Cut under our eyes; what stands behind would be zeros.
            msg = "the bundle became shorter while it was copied"
            raise InvalidArchive(msg, hint="is something else writing to it?")
        done += n_copied
