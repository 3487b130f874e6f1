"""Policy: which bundles are let in, decided before anything of them is used.

A good signature of the lock proves every root, and so every byte that is proved against it later.
What it says nothing of is what ``index.json`` says now: so that must name what the lock names.
Other names (`imgsync retag`) keep the signature, and could let the wrong image be started under
the right name; they are refused unless they are accepted on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput, NotSigned
from imgsync.model.volumes import named_roots
from imgsync.signing.locks import NAMESPACE
from imgsync.signing.ssh import Signer, verify
from imgsync.stores.archive.beside import read_signature, signature_of
from imgsync.stores.disk import turn_os_errors
from imgsync.stores.image_layout import ImageLayout
from imgsync.stores.selected import Selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.stores import Holding

ADVICE = "get the bundle and its .lock.json.sig from who signed it"


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a bundle.

    Attributes:
        lock: the digest of its lock.
        renamed: what has another name now than when it was signed, one text each.
    """

    signer: Signer
    lock: Digest
    renamed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may sign.

    Attributes:
        allowed_signers: a file as ssh-keygen(1) has it; None lets everything in.
        signatures: where signatures stand that are not beside their bundles.
        accepts_renamed: let in what was renamed after it was signed.
    """

    allowed_signers: Path | None = None
    signatures: tuple[Path, ...] = ()
    accepts_renamed: bool = False

    def check(self, holding: Holding, path: Path | None) -> Signed | None:
        """Who signed what a store holds; None if nobody wants to know.

        Args:
            holding: what was opened.
            path: the file or folder that it is; None where it is none.

        Raises:
            NotSigned: it is no bundle, or it is not signed, or not by whom it must be, or it was
                altered, or renamed.
        """
        signed = self.signer_of(holding, path)
        if signed is not None and signed.renamed and not self.accepts_renamed:
            names = "\n".join(f"  {line}" for line in signed.renamed[:10])
            more = len(signed.renamed) - 10
            rest = f"\n  and {more} more" if more > 0 else ""
            msg = f"{holding.side}: names were changed after it was signed:\n{names}{rest}"
            raise NotSigned(msg, hint="--accept-renamed, if that was done on this side")
        return signed

    def signer_of(self, holding: Holding, path: Path | None) -> Signed | None:
        """As `check`, and renaming is told, not refused."""
        if self.allowed_signers is None:
            return None
        while isinstance(holding, Selected):
            holding = holding.inner
        try:
            return self._signed(holding, path, self.allowed_signers)
        except NotSigned as error:
            msg = f"{holding.side}: {error.message}"
            raise NotSigned(msg, hint=error.hint or ADVICE) from None

    def _signed(self, holding: Holding, path: Path | None, allowed: Path) -> Signed:
        lock = holding.lock() if isinstance(holding, ImageLayout) else None
        if lock is None or path is None or not isinstance(holding, ImageLayout):
            raise NotSigned("it is no bundle of imgsync, so nobody can have signed it")
        signer = self._signer(lock.to_bytes(), path, allowed)
        try:
            before = named_roots(lock)
        except InvalidInput as error:
            raise NotSigned(error.message) from None
        index = holding.index()
        me = lock.descriptor().digest
        if index.lock != me or _contents(before) != _contents(index.roots):
            raise NotSigned("it was altered: it names other images than the lock that was signed")
        return Signed(signer, me, tuple(_renamed(before, index.roots)))

    def _signer(self, raw_lock: bytes, path: Path, allowed: Path) -> Signer:
        problems = []
        for signature in self._signatures(path):
            try:
                return verify(raw_lock, signature, allowed, NAMESPACE)
            except NotSigned as error:
                problems.append(error)
        if problems:
            raise problems[0]
        raise NotSigned(f"it is not signed: there is no {signature_of(path).name} beside it")

    def _signatures(self, path: Path) -> Iterator[bytes]:
        beside = read_signature(path)
        if beside is not None:
            yield beside
        for file in self.signatures:
            with turn_os_errors(file):
                data = file.read_bytes()
            yield data


def _contents(roots: Iterable[Root]) -> set[tuple[object, ...]]:
    """What is named, whatever it is called, with all that could change what is made of it."""
    return {
        (root.name is None, item, item.platform, item.urls, root.subject)
        for root, item in ((root, root.descriptor) for root in roots)
    }


def _renamed(before: Iterable[Root], now: Iterable[Root]) -> Iterator[str]:
    old = {(root.label, root.descriptor.digest) for root in before}
    new = {(root.label, root.descriptor.digest) for root in now}
    for digest in sorted({digest for _, digest in old ^ new}):
        gone = sorted(name for name, key in old - new if key == digest)
        come = sorted(name for name, key in new - old if key == digest)
        yield f"{', '.join(gone) or 'nothing'} -> {', '.join(come) or 'nothing'} ({digest.short})"
