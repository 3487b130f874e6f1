"""The small files beside a bundle: a copy of its lock, and the lock's signature.

The signature is that of exactly these bytes, so ``ssh-keygen`` makes and checks it without
imgsync. One of another lock must not stay: it would look as if the bundle were altered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import NotFound
from imgsync.stores.disk import turn_os_errors, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def lock_of(path: Path) -> Path:
    """Where the copy of a bundle's lock stands."""
    return path.with_name(f"{path.name}.lock.json")


def signature_of(path: Path) -> Path:
    """Where the signature of a bundle's lock stands; ssh-keygen puts it there by itself."""
    return path.with_name(f"{path.name}.lock.json.sig")


def read_signature(path: Path) -> bytes | None:
    """The signature beside a bundle; None if there is none.

    Raises:
        AccessDenied, StoreError: it cannot be read.
    """
    beside = signature_of(path)
    try:
        with turn_os_errors(beside):
            return beside.read_bytes()
    except NotFound:
        return None


def write_beside(path: Path, raw_lock: bytes, signature: bytes | None = None) -> None:
    """Keep the lock beside the bundle, and its signature where there is one.

    Raises:
        NoSpace, AccessDenied, StoreError: they cannot be written.
    """
    lock, beside = lock_of(path), signature_of(path)
    with turn_os_errors(lock):
        if not lock.exists() or lock.read_bytes() != raw_lock:
            beside.unlink(missing_ok=True)
            write_whole(lock, raw_lock)
        if signature is not None and (not beside.exists() or beside.read_bytes() != signature):
            write_whole(beside, signature)
