"""Receipts as files, signed beside: ``FILE`` and ``FILE.sig``."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from imgsync import __version__
from imgsync.errors import ImgsyncError, InvalidArchive, NotFound, NotSigned
from imgsync.receipts.record import BundleUsed, Receipt
from imgsync.signing.ssh import Signer, sign, verify
from imgsync.stores.disk import turn_os_errors, write_whole
from imgsync.stores.image_layout import ImageLayout
from imgsync.stores.selected import Selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from imgsync.model.digest import Digest
    from imgsync.receipts.record import Arrival, NodeReached
    from imgsync.stores import Holding

NAMESPACE: Final = "imgsync-receipt"
"""Another one than that of locks: who may confirm what arrived may not thereby sign bundles."""
MAX_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a run before it begins.

    Attributes:
        command: push, import or seed.
        bundles: its sources.
    """

    command: str
    began: datetime
    bundles: tuple[BundleUsed, ...]

    @classmethod
    def begin(cls, command: str, sources: Iterable[tuple[str, Holding]]) -> Run:
        """Now, from these sources: each as it was typed, and what was opened."""
        used = tuple(BundleUsed(typed, lock_digest(holding)) for typed, holding in sources)
        return cls(command, datetime.now(UTC), used)

    def ended(
        self,
        where: Iterable[str],
        images: Sequence[Arrival],
        n_objects: int,
        n_bytes: int,
        nodes: Sequence[NodeReached] = (),
    ) -> Receipt:
        """The receipt of the run, which has just ended."""
        return Receipt(
            self.command,
            f"imgsync {__version__}",
            socket.gethostname(),
            tuple(sorted(set(where))),
            self.began,
            datetime.now(UTC),
            self.bundles,
            tuple(images),
            n_objects,
            n_bytes,
            tuple(nodes),
        )


def lock_digest(holding: Holding) -> Digest | None:
    """The digest of a bundle's lock; None of all else."""
    while isinstance(holding, Selected):
        holding = holding.inner
    lock = holding.lock() if isinstance(holding, ImageLayout) else None
    return lock.descriptor().digest if lock is not None else None


def signature_of(path: Path) -> Path:
    """Where a receipt's signature stands; ssh-keygen puts it there by itself."""
    return path.with_name(f"{path.name}.sig")


def write_receipt(path: Path, receipt: Receipt, sign_key: str = "") -> None:
    """Write a receipt over the one that may be there, and sign it if there is a key.

    Raises:
        NoSpace, NotFound, AccessDenied, StoreError: it cannot be written or signed.
    """
    raw = receipt.to_bytes()
    beside = signature_of(path)
    with turn_os_errors(path):
        # One of an older receipt would look as if this one were altered.
        beside.unlink(missing_ok=True)
    write_whole(path, raw)
    if sign_key:
        try:
            write_whole(beside, sign(raw, sign_key, NAMESPACE))
        except ImgsyncError as error:
            error.hint = (
                f"the receipt is there, without a signature; `ssh-keygen -Y sign -n {NAMESPACE} "
                f"-f {sign_key} {path}` signs it"
            )
            raise


def read_receipt(path: Path, allowed: Path | None = None) -> tuple[Receipt, Signer | None]:
    """Read a receipt; and who of the allowed signers signed it, where it matters.

    Raises:
        NotSigned: nobody, or nobody of those that are allowed, or it was altered.
        InvalidArchive: it is no receipt.
        NotFound, AccessDenied: it cannot be read.
    """
    raw = _read(path)
    signer = _signer(path, raw, allowed) if allowed is not None else None
    return Receipt.parse(raw, str(path)), signer


def _signer(path: Path, raw: bytes, allowed: Path) -> Signer:
    try:
        signature = _read(signature_of(path))
    except NotFound:
        msg = f"{path} is not signed: there is no {signature_of(path).name} beside it"
        raise NotSigned(msg) from None
    try:
        return verify(raw, signature, allowed, NAMESPACE)
    except NotSigned as error:
        raise NotSigned(f"{path}: {error.message}") from None


def _read(path: Path) -> bytes:
    with turn_os_errors(path):
        if path.stat().st_size > MAX_BYTES:
            raise InvalidArchive(f"{path} is larger than any receipt")
        return path.read_bytes()
