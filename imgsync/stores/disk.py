"""What imgsync asks of a file system: room, whole writes, and errors in the user's words."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import AccessDenied, InvalidInput, NoSpace, NotFound, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.errors import ImgsyncError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def turn_os_errors(path: Path | str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into ours, which names the file.

    Raises:
        NoSpace: the file system or the user's quota is full, or the file is too large for it.
        NotFound, AccessDenied, StoreError: all else.
    """
    try:
        yield
    except OSError as error:
        raise of_os_error(error, path) from error


def of_os_error(error: OSError, path: Path | str) -> ImgsyncError:
    """Our error for one of the operating system."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return NoSpace(f"{path}: {reason}", hint="free some space; the same command then goes on")
    if error.errno == errno.EFBIG:
        return NoSpace(
            f"{path}: the file system cannot hold a file of this size",
            hint="write to another file system (FAT32 ends at 4 GiB)",
        )
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return NotFound(f"{path}: {reason}")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return AccessDenied(f"{path}: {reason}")
    return StoreError(f"{path}: {reason}")


def check_room(path: Path, needed: int) -> None:
    """Refuse before the first byte what the file system of ``path`` cannot hold.

    Raises:
        NoSpace: needed and free bytes are told.
    """
    with turn_os_errors(path):
        status = os.statvfs(path.parent)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        msg = f"{path.parent}: {needed} bytes are needed and {free} are free"
        raise NoSpace(msg, hint=f"free {needed - free} bytes, or write to another place with -o")


def check_file_size(path: Path, size: int) -> None:
    """Make ``path`` a file of ``size`` bytes, without using room, or say that it cannot be.

    Raises:
        NoSpace: the file system's largest file is smaller.
    """
    with turn_os_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)


def final_path(path: Path) -> Path:
    """What a file is renamed to in the end: a symbolic link stays one, and leads to it.

    Raises:
        InvalidInput: a device or a pipe is there: a rename would take it away from everybody.
    """
    if is_special(path):
        msg = f"{path} is no file: a device or a pipe"
        raise InvalidInput(msg, hint="give the path of a file; - is standard output")
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_whole(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Let ``path`` hold these bytes, or what it held before, whatever happens in between.

    To a device or a pipe they are written as they are.

    Raises:
        NoSpace, NotFound, AccessDenied, StoreError: it cannot be written.
    """
    with turn_os_errors(path):
        if is_special(path):
            path.write_bytes(data)
            return
        final = final_path(path)
        partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
        try:
            fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(final)
        except BaseException:
            discard(partial)
            raise
        sync_folder(final.parent)


def discard(path: Path) -> None:
    """Delete what is of no use after a failure; it must not hide why that was."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def pwrite_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of ``data`` at ``offset``; the kernel may take it in pieces."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        view = memoryview(data)[written:]
        written += os.pwrite(fd, view, offset + written)


def sync_folder(path: Path) -> None:
    """Make a rename in this folder survive a loss of power."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
