"""One run at a time for each namespace of each containerd.

Two imports at once disturb each other (1.6 fails with "already exists"), and the forced garbage
collection of one would count what the other has not finished.

The lock is a file that is held by ``flock``, so it goes with its holder, however that ends. It
stands in a folder of root's, and belongs to whom the socket belongs to: whoever may open the one
may open the other. So nobody else can hold the lock, or put a link in its place. A user who comes
before root has ever been there since the last boot takes a folder of his own, and meets only
himself. Runs from other hosts take the same file, through `imgsync.fleet.node_lock`.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContainerdError, LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED: Final = Path("/run/imgsync")
"""Not beside the socket, whose folder goes when containerd stops; nor where anybody may write."""

OWN: Final = ("/run/user/{uid}/imgsync", "/tmp/imgsync-{uid}")  # noqa: S108 - see _own_folder
"""Of a user who is not root: the first whose parent is there. Not what the environment says: that
of cron is another one."""

_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_MOST_BYTES: Final = 200


@contextmanager
def locked(place: str, namespace: str) -> Iterator[None]:
    """Hold the lock of a containerd, by the path of its socket.

    Raises:
        LockHeld: another run has it; the message says which and since when.
        ContainerdError: it cannot be opened.
    """
    fd = _open(place, lock_name(place, namespace))
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise held(namespace, os.pread(fd, _MOST_BYTES, 0)) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()}, since {now()}\n".encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def lock_name(place: str, namespace: str) -> str:
    """The name of the file; the same is put together by the shell of a node."""
    return f"{namespace}{place.replace('/', '.')}.lock"


def held(namespace: str, holder: bytes) -> LockHeld:
    """The error of a lock that another one has; ``holder`` is what he wrote into it."""
    text = holder.decode(errors="replace").strip() or "it does not say which"
    msg = f"another imgsync works on namespace {namespace}: {text}"
    return LockHeld(msg, hint="wait until it has ended, then run again")


def now() -> str:
    """The time as it stands in a lock; with its zone, because it may be read on another host."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z")


def _open(place: str, name: str) -> int:
    is_root = os.geteuid() == 0
    with suppress(OSError):
        if is_root:
            SHARED.mkdir(mode=0o755, exist_ok=True)
        fd = os.open(SHARED / name, _FLAGS | (os.O_CREAT if is_root else 0), 0o600)
        if is_root:
            _share(fd, place)
        return fd
    path = _own_folder(os.geteuid()) / name
    try:
        return os.open(path, _FLAGS | os.O_CREAT, 0o600)
    except OSError as error:
        msg = f"the lock {path} cannot be opened: {error.strerror}"
        raise ContainerdError(msg) from None


def _share(fd: int, socket: str) -> None:
    """Let the lock be for whom the socket is."""
    with suppress(OSError):
        found = os.stat(socket)  # noqa: PTH116 - beside fchown
        os.fchown(fd, found.st_uid, found.st_gid)
        os.fchmod(fd, 0o600 | (found.st_mode & 0o066))


def _own_folder(uid: int) -> Path:
    """A folder of this user's, which nobody else can write to; others may write beside it."""
    first, other = (Path(text.format(uid=uid)) for text in OWN)
    folder = first if first.parent.is_dir() else other
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        msg = f"the folder {folder} for locks cannot be made: {error.strerror}"
        raise ContainerdError(msg) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        msg = f"{folder} is not a folder of this user alone, so a lock there would mean nothing"
        raise ContainerdError(msg, hint=f"look whose it is: ls -ld {folder}")
    return folder
