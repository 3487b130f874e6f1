"""What goes with what it is about: signatures and SBOMs of images that prune takes away. Pure.

Only what a receipt says that this mirror has put there, that is about something which goes, that
still is what was pushed, and that no other tag and no lock needs. What somebody else has signed
at the destination stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.mirror.prune import GONE, IN_LOCK, MOVED, NEEDED, Standing, Verdict
from imgsync.mirror.receipts import ABOUT
from imgsync.model.referrer_tags import fallback_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgsync.mirror.receipts import Receipt, ReceiptBook
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference

Named = tuple[str, "Digest"]
"""A digest in a repository, by the repository's full name."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """Documents that go with a tag: nothing that stays in the repository needs them."""

    receipt: Receipt
    documents: frozenset[Named]


def doomed(
    verdicts: Sequence[Verdict], standing: Mapping[Reference, Standing], places: Collection[str]
) -> list[Doomed]:
    """What each tag that goes takes along, in the repositories ``places``."""
    going = {verdict.receipt.destination for verdict in verdicts if verdict.goes}
    needed = {
        (name.name, digest)
        for name, stands in standing.items()
        if name not in going
        for digest in (stands.digest, *stands.needs)
    }
    found = []
    for verdict in verdicts:
        name = verdict.receipt.destination
        if verdict.goes and name.name in places:
            stands = standing[name]
            documents = {(name.name, digest) for digest in (stands.digest, *stands.needs)}
            found.append(Doomed(verdict.receipt, frozenset(documents - needed)))
    return found


def about(
    book: ReceiptBook,
    going: Sequence[Doomed],
    standing: Mapping[Reference, Standing],
    locked: Collection[Digest] = (),
) -> list[Verdict]:
    """The word about everything that is about what goes, and about that in turn."""
    by_subject: dict[Named, list[Receipt]] = {}
    for receipt in book.latest.values():
        if receipt.what == ABOUT and receipt.subject is not None:
            by_subject.setdefault((receipt.destination.name, receipt.subject), []).append(receipt)
    gone_tags = {item.receipt.destination for item in going}
    stack = sorted({named for item in going for named in item.documents}, key=str)
    seen = set(stack)
    verdicts = []
    while stack:
        named = stack.pop()
        for receipt in by_subject.get(named, ()):
            why = _why(receipt, named[1], standing, gone_tags, locked)
            verdicts.append(Verdict(receipt, why))
            below = receipt.destination.name, receipt.digest
            if why in {"", GONE} and below not in seen:
                seen.add(below)
                stack.append(below)
    return sorted(verdicts, key=lambda verdict: verdict.receipt.destination)


def _why(
    receipt: Receipt,
    subject: Digest,
    standing: Mapping[Reference, Standing],
    gone_tags: Collection[Reference],
    locked: Collection[Digest],
) -> str:
    name = receipt.destination
    if name.tag and name not in standing:
        return GONE
    if name.tag and standing[name].digest != receipt.digest:
        return MOVED
    if receipt.digest in locked:
        return IN_LOCK
    # The list under the fallback tag of what goes is no need: the line is taken out of it.
    own = {name, name.with_tag(fallback_tag(subject))}
    is_needed = any(
        other.name == name.name
        and other not in own
        and other not in gone_tags
        and receipt.digest in {stands.digest, *stands.needs}
        for other, stands in standing.items()
    )
    return NEEDED if is_needed else ""
