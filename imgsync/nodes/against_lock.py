"""A namespace beside a lock: which of its images are there, and right. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from imgsync.model.bundle import AbsentReason
from imgsync.model.volumes import closure_of

if TYPE_CHECKING:
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.reference import Reference
    from imgsync.nodes.facts import NamespaceFacts

Rename = Callable[["Reference"], "Reference"]


class Verdict(StrEnum):
    """What is to be said of one image of a lock; these words are in the JSON and do not change."""

    RIGHT = "right"
    RUNS = "runs here"
    INCOMPLETE = "incomplete"
    DAMAGED = "damaged"
    WRONG_NAME = "wrong name"
    OTHER_CONTENT = "other content"
    MISSING = "missing"

    def passes(self, require: str) -> bool:
        """Whether it is what was required: ``runs`` or ``whole``."""
        return self is Verdict.RIGHT or (require == "runs" and self is Verdict.RUNS)


@dataclass(frozen=True, slots=True)
class LockedImage:
    """One name of a lock.

    Attributes:
        name: what the node must have.
        root: what the name must mean.
        verdict: right (all that the lock has is there), runs here (all that this node needs),
            incomplete, damaged, wrong name (it is there under others only), other content (the
            name means something else), or missing.
        means: what the name means instead.
        names: those that the image has instead.
        lacking: what of it is not there, or bad.
    """

    name: str
    root: Descriptor
    verdict: Verdict
    means: Digest | None = None
    names: tuple[str, ...] = ()
    lacking: tuple[Descriptor, ...] = ()


def compare(facts: NamespaceFacts, lock: Lock, rename: Rename) -> tuple[LockedImage, ...]:
    """Look for every image of the lock; ``rename`` gives the name that an import gave it."""
    return tuple(
        _look(facts, lock, str(_full(rename(root.name), root.descriptor.digest)), root.descriptor)
        for root in lock.roots
        if root.name is not None
    )


def _full(name: Reference, digest: Digest) -> Reference:
    return name.with_tag(name.tag) if name.tag else name.at(digest)


def _look(facts: NamespaceFacts, lock: Lock, name: str, root: Descriptor) -> LockedImage:
    record = facts.records.get(name)
    if record is not None and record.digest != root.digest:
        return LockedImage(name, root, Verdict.OTHER_CONTENT, means=record.digest)
    names = facts.names_of(root.digest)
    if record is None:
        # The name by digest comes with every import, and says nothing of where it came from.
        others = tuple(other for other in names if "@" not in other) or names
        verdict = Verdict.WRONG_NAME if names else Verdict.MISSING
        return LockedImage(name, root, verdict, names=others)
    lacking = tuple(
        lock.descriptor_of(digest)
        for digest in sorted(closure_of(lock, root.digest), key=str)
        if lock.absent.get(digest) is not AbsentReason.PLATFORM
        and (digest not in facts.present or digest in facts.damaged)
    )
    if not lacking:
        return LockedImage(name, root, Verdict.RIGHT)
    own = facts.state(root.digest).for_host(facts.node)
    if own is not None and own.is_whole:
        verdict = Verdict.RUNS
    elif any(item.digest in facts.damaged for item in lacking):
        verdict = Verdict.DAMAGED
    else:
        verdict = Verdict.INCOMPLETE
    return LockedImage(name, root, verdict, lacking=lacking)
