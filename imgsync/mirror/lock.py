"""One run of a mirror at a time: a lock that goes with the process, however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imgsync.errors import LockHeld
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_BYTES = 4096


@contextmanager
def hold_lock(path: Path, command: str) -> Iterator[None]:
    """Hold the lock of this path; ``command`` is what others are told to wait for.

    The file stays when the lock is given back: whoever removed it could remove another's.

    Raises:
        LockHeld: another process has it; the message says which, what it runs and since when.
        StoreError: the file cannot be opened.
    """
    with turn_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _held(os.pread(fd, _MAX_BYTES, 0), path, time.time()) from None
        holder = {
            "command": command,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.time(),
        }
        with turn_os_errors(path):
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(holder, sort_keys=True).encode()[:_MAX_BYTES], 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _held(raw: bytes, path: Path, now_s: float) -> LockHeld:
    hint = "it is not harmful: the next run does what is left"
    try:
        value: dict[str, Any] = json.loads(raw)
        since_s = float(value["since"])
        since = datetime.fromtimestamp(since_s, UTC).isoformat(sep=" ", timespec="seconds")
        message = (
            f"another run has the lock: process {int(value['pid'])} on {value['host']}, "
            f"`{value['command']}`, since {since}, for {max(0, round(now_s - since_s))} s"
        )
    except (ValueError, KeyError, TypeError, OverflowError, OSError):
        message = f"another run has the lock {path}"
    return LockHeld(message, hint=hint)
