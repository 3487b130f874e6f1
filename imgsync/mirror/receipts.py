"""Receipts: what this mirror has put where, one JSON line each, only ever appended to.

`imgsync prune` removes nothing that a receipt does not claim. Each line has a checksum, so that
damage cannot turn one claim into another. A line that cannot be read is skipped and counted: what
is lost is a claim, and so at worst a tag that stays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from imgsync.errors import ImgsyncError, InvalidReference
from imgsync.mirror.files import read_if_there
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference
from imgsync.model.strict_json import canonical
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from pathlib import Path

PUSHED: Final = "pushed"
ABOUT: Final = "pushed-about"
REMOVED: Final = "removed"


@dataclass(frozen=True, slots=True)
class Receipt:
    """One push of an image, or of something about one; or one removal by prune.

    Attributes:
        when: seconds since 1970.
        what: ``pushed``, ``pushed-about`` or ``removed``.
        destination: registry, repository and tag; of what has none, the digest.
        digest: what the tag means since then, or meant until then.
        source: where it came from, with the source's own digest; empty for a removal.
        before: the digest that the tag meant before; empty if there was no such tag.
        subject: what it is about; None for an image.
    """

    when: float
    what: str
    destination: Reference
    digest: Digest
    source: str = ""
    before: str = ""
    subject: Digest | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read a line.

        Raises:
            ImgsyncError, ValueError, KeyError, TypeError, AttributeError: it is none.
        """
        destination = Reference.parse(value["destination"])
        said = {key: text for key, text in value.items() if key != "sum"}
        if value["sum"] != _sum(said):
            raise InvalidReference(f"{destination}: the receipt is damaged")
        if value["what"] not in {PUSHED, ABOUT, REMOVED}:
            raise InvalidReference(f"{destination} is no receipt")
        if value["what"] == PUSHED and not destination.tag:
            raise InvalidReference(f"{destination} is no receipt")
        return cls(
            datetime.fromisoformat(value["when"]).timestamp(),
            value["what"],
            destination.with_tag(destination.tag) if destination.tag else destination,
            Digest.parse(value["digest"]),
            str(value.get("source", "")),
            str(value.get("before", "")),
            Digest.parse(value["subject"]) if value["what"] == ABOUT else None,
        )

    def to_json(self) -> dict[str, str]:
        """As it stands in the file."""
        value = {
            "destination": str(self.destination),
            "digest": str(self.digest),
            "what": self.what,
            "when": datetime.fromtimestamp(self.when, UTC).isoformat(timespec="seconds"),
        }
        about = str(self.subject) if self.subject is not None else ""
        more = {"source": self.source, "before": self.before, "subject": about}
        value |= {key: text for key, text in more.items() if text}
        return value | {"sum": _sum(value)}


def _sum(value: dict[str, Any]) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:16]


def append_receipts(path: Path, receipts: Iterable[Receipt]) -> None:
    """Add lines and sync them. One write, so that two processes cannot mix their lines.

    Raises:
        StoreError, NoSpace: they cannot be written.
    """
    data = b"".join(canonical(receipt.to_json()) + b"\n" for receipt in receipts)
    if not data:
        return
    with turn_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                # A run that was killed has left half a line; it must not spoil this one.
                data = b"\n" + data
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)


@dataclass(frozen=True, slots=True)
class ReceiptBook:
    """All receipts of a file, oldest first, and how many lines could not be read."""

    receipts: tuple[Receipt, ...] = ()
    n_unreadable: int = 0

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; one that is not there has no receipts.

        Raises:
            StoreError: it is there and cannot be read.
        """
        return cls.parse(read_if_there(path) or b"")

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read the lines, as far as they are receipts."""
        receipts: list[Receipt] = []
        n_unreadable = 0
        for line in raw.splitlines():
            if not line.strip():
                continue
            try:
                receipts.append(Receipt.from_json(json.loads(line)))
            except (
                ImgsyncError,
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
                OverflowError,
                RecursionError,
            ):
                n_unreadable += 1
        return cls(tuple(receipts), n_unreadable)

    @property
    def latest(self) -> dict[Reference, Receipt]:
        """For each destination the receipt that counts: the last one."""
        return {receipt.destination: receipt for receipt in self.receipts}
