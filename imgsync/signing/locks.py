"""Signatures of bundles: of the bytes of the lock, which names every digest and thus everything.

The signature stands beside the bundle, never in it (``docs/decisions``, "Signatures stand beside").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.errors import NotSigned
from imgsync.signing.ssh import check, fingerprint, sign
from imgsync.stores.archive.beside import read_signature

if TYPE_CHECKING:
    from pathlib import Path

NAMESPACE: Final = "imgsync"
"""What ssh-keygen calls the purpose of a signature: one for a bundle is good for nothing else."""


def sign_lock(path: Path, raw_lock: bytes, key: str) -> bytes:
    """The signature of a bundle's lock; the one that stands there where the key made it before.

    Nobody is asked for a passphrase, or to touch a token, for what has not changed.

    Raises:
        NotFound, AccessDenied: the key cannot be used.
    """
    before = read_signature(path)
    if before is not None:
        try:
            known = check(raw_lock, before, NAMESPACE)
        except NotSigned:
            pass
        else:
            mine = fingerprint(key)
            if mine and known.endswith(mine):
                return before
    return sign(raw_lock, key, NAMESPACE)
