"""One run at a time for each namespace of each containerd.

Two imports at once disturb each other (1.6 fails with "already exists"), and the forced garbage
collection of one would count what the other has not finished.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import ContainerdError, LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked(place: str, namespace: str) -> Iterator[None]:
    """Hold the lock; it goes with the process, however that ends.

    Raises:
        LockHeld: another run has it; the message says which and since when.
    """
    path = lock_path(place, namespace)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        msg = f"the lock {path} cannot be opened: {error.strerror}"
        raise ContainerdError(msg) from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 100, 0).decode(errors="replace").strip()
            msg = f"another imgsync works on namespace {namespace}: {holder or path}"
            raise LockHeld(msg, hint="wait until it has ended, then run again") from None
        os.ftruncate(fd, 0)
        now = time.strftime("%Y-%m-%d %H:%M:%S")
        os.pwrite(fd, f"process {os.getpid()}, since {now}\n".encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def lock_path(place: str, namespace: str) -> Path:
    """Where the lock is: not beside the socket, whose folder goes when containerd stops.

    ``place`` is that of a `Ctr`: which containerd.
    """
    key = hashlib.sha256(f"{place}\n{namespace}".encode()).hexdigest()[:16]
    for folder in (Path("/run/lock"), Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"))):
        if os.access(folder, os.W_OK | os.X_OK):
            return folder / f"imgsync-{key}.lock"
    return Path(tempfile.gettempdir()) / f"imgsync-{os.getuid()}-{key}.lock"
