"""Which tags a mirror may take away again. Pure: from receipts and what stands there to a decision.

A tag goes only if all of this holds: the last receipt about it says that we pushed it, it still
means what we pushed, the config does not select it any more, the push is older than ``--keep``,
and no tag that stays and no lock needs its digest. Whatever is not certain stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgsync.mirror.receipts import PUSHED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from imgsync.mirror.receipts import Receipt, ReceiptBook
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference

SELECTED: Final = "the config selects it"
YOUNG: Final = "pushed too recently"
MOVED: Final = "means something else now"
GONE: Final = "is gone already"
UNKNOWN: Final = "could not be looked at"
NEEDED: Final = "another tag needs its digest"
IN_LOCK: Final = "a lock needs its digest"


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tag means at a destination, and the documents below it."""

    digest: Digest
    needs: frozenset[Digest] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One tag that we pushed: removed, or kept for a reason; ``why`` is empty if it goes."""

    receipt: Receipt
    why: str = ""

    @property
    def goes(self) -> bool:
        """Whether it is to be removed."""
        return not self.why


def candidates(
    book: ReceiptBook, selected: Collection[Reference], now_s: float, keep_s: float
) -> list[Verdict]:
    """What the receipts and the config alone decide, sorted by name.

    Those that may go are to be looked at (`decide`). ``selected`` are the targets of all tags
    that the config selects now; where that could not be found out, nothing may be asked at all.
    """
    verdicts = []
    for destination, receipt in sorted(book.latest.items()):
        if receipt.what != PUSHED:
            continue
        if destination in selected:
            why = SELECTED
        elif now_s - receipt.when < keep_s:
            # A receipt from the future is young too: a clock is wrong somewhere.
            why = YOUNG
        else:
            why = ""
        verdicts.append(Verdict(receipt, why))
    return verdicts


def decide(
    verdicts: Iterable[Verdict],
    standing: Mapping[Reference, Standing],
    looked_at: Collection[str],
    locked: Collection[Digest] = (),
) -> list[Verdict]:
    """The final word about each candidate, once it is known what stands at the destinations.

    Args:
        verdicts: from `candidates`.
        standing: every tag of the candidates' repositories, ours or not. A registry that
            deletes by digest would take along what has the same, or has it as a child.
        looked_at: the names of the repositories that could be looked at.
        locked: digests of locks that must stay deliverable, with everything below their roots.
    """
    verdicts = list(verdicts)
    going = {verdict.receipt.destination for verdict in verdicts if verdict.goes}
    going = {name for name in going if name in standing}
    moved = {
        verdict.receipt.destination
        for verdict in verdicts
        if verdict.receipt.destination in going
        and standing[verdict.receipt.destination].digest != verdict.receipt.digest
    }
    needed = {
        (name.name, digest)
        for name, stands in standing.items()
        if name not in going or name in moved
        for digest in (stands.digest, *stands.needs)
    }

    def why(receipt: Receipt) -> str:
        destination, digest = receipt.destination, receipt.digest
        if destination.name not in looked_at:
            return UNKNOWN
        if destination not in standing:
            return GONE
        if destination in moved:
            return MOVED
        if digest in locked:
            return IN_LOCK
        return NEEDED if (destination.name, digest) in needed else ""

    return [
        Verdict(verdict.receipt, why(verdict.receipt)) if verdict.goes else verdict
        for verdict in verdicts
    ]
