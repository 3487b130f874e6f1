"""The redo file of a bundle that is changed in place: from it the change can always be finished.

It holds the new tail and where it goes. It is synced before the first byte of the bundle changes
and deleted after the last one is synced, so whoever finds it whole writes the tail once more, and
whoever finds it cut off knows that the bundle has not been touched. Every command that opens a
bundle does this first (`finish_rewrite`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import AccessDenied, Conflict, InvalidArchive, InvalidDigest, LockHeld
from imgsync.model.bundle_files import blob_path
from imgsync.model.digest import Digest
from imgsync.stores.disk import discard, pwrite_all, sync_folder, turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FORMAT: Final = "imgsync.redo/1"


@dataclass(frozen=True, slots=True)
class Redo:
    """A change that is under way.

    Attributes:
        lock: the digest of the bundle's lock, by which it is known.
        offset: where the tail begins, in bytes.
        old: the tail that was there; whoever wants to undo the change by hand finds it here.
        new: the tail that is to be there; the file ends behind it.
    """

    lock: Digest
    offset: int
    old: bytes
    new: bytes

    def to_bytes(self) -> bytes:
        """A line of JSON, both tails, and a checksum of it all."""
        head = {
            "format": _FORMAT,
            "lock": str(self.lock),
            "offset": self.offset,
            "old": len(self.old),
            "new": len(self.new),
        }
        body = json.dumps(head, sort_keys=True).encode() + b"\n" + self.old + self.new
        return body + hashlib.sha256(body).digest()


def redo_of(path: Path) -> Path:
    """Where the redo file of a bundle stands."""
    return path.with_name(f"{path.name}.redo")


def rewrite_in_place(path: Path, redo: Redo) -> None:
    """Let the bundle end with the new tail, before or after a crash, but nothing between.

    Raises:
        LockHeld: another run changes it.
        InvalidArchive: it does not end with the old tail.
        AccessDenied, NoSpace, StoreError: it cannot be written; it is as it was.
    """
    beside = redo_of(path)
    with _locked(path) as fd:
        check_tail(fd, path, redo.offset, redo.old)
        with turn_os_errors(beside):
            _write_synced(beside, redo.to_bytes())
        _apply(fd, path, redo)


def finish_rewrite(path: Path) -> bool:
    """Finish a change that was broken off; whether there was one.

    Raises:
        LockHeld: it is not broken off, another run is at it.
        Conflict: the redo file is of another bundle.
        AccessDenied, StoreError: the change cannot be finished here.
    """
    beside = redo_of(path)
    if not beside.exists():
        return False
    try:
        with _locked(path) as fd:
            # Read under the lock: the other run may have finished meanwhile.
            with suppress(FileNotFoundError):
                redo = _parse(beside.read_bytes())
                if redo is None:
                    # It was cut off, so the bundle was not touched.
                    with turn_os_errors(beside):
                        beside.unlink()
                    return False
                _check_same(fd, path, redo)
                _apply(fd, path, redo)
                return True
            return False
    except AccessDenied as error:
        msg = f"{path} was being retagged when it stopped, and cannot be written here"
        hint = f"where it can be written, `imgsync inspect {path}` finishes it"
        raise AccessDenied(msg, hint=hint) from error


def check_tail(fd: int, path: Path, offset: int, tail: bytes) -> None:
    """Refuse a bundle that does not end in this way.

    Raises:
        InvalidArchive: it is damaged, or was changed by something else.
    """
    with turn_os_errors(path):
        found = os.pread(fd, len(tail) + 1, offset)
    if found != tail:
        msg = f"{path} does not end as imgsync wrote it"
        hint = f"`imgsync verify {path}` tells what is wrong with it"
        raise InvalidArchive(msg, hint=hint)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    with turn_os_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{path}: another run changes it"
            raise LockHeld(msg, hint="wait for it, then run the same command again") from None
        yield fd
    finally:
        os.close(fd)


def _apply(fd: int, path: Path, redo: Redo) -> None:
    with turn_os_errors(path):
        pwrite_all(fd, redo.new, redo.offset)
        os.ftruncate(fd, redo.offset + len(redo.new))
        os.fsync(fd)
        redo_of(path).unlink()
        sync_folder(path.parent)


def _check_same(fd: int, path: Path, redo: Redo) -> None:
    name = blob_path(redo.lock).encode()
    with turn_os_errors(path):
        begins = os.pread(fd, len(name) + 1, 0)
        size = os.fstat(fd).st_size
    if begins != name + b"\0" or size < redo.offset:
        msg = f"{redo_of(path)} is of another bundle than {path}"
        raise Conflict(msg, hint="put the bundle back that it belongs to, or delete it")


def _write_synced(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        pwrite_all(fd, data, 0)
        os.fsync(fd)
    except BaseException:
        # Without its checksum it says nothing, but a full disk is no place to leave it.
        discard(path)
        raise
    finally:
        os.close(fd)
    sync_folder(path.parent)


def _parse(raw: bytes) -> Redo | None:
    """The change, or None if the file is not whole."""
    body, checksum = raw[:-32], raw[-32:]
    if hashlib.sha256(body).digest() != checksum:
        return None
    line, _, tails = body.partition(b"\n")
    with suppress(ValueError, InvalidDigest):
        head: Any = json.loads(line)
        match head:
            case {
                "format": str(version),
                "lock": str(lock),
                "offset": int(offset),
                "old": int(n_old),
                "new": int(n_new),
            } if version == _FORMAT and n_old + n_new == len(tails):
                return Redo(Digest.parse(lock), offset, tails[:n_old], tails[n_old:])
            case _:
                pass
    return None
