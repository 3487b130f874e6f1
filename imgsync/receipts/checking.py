"""What receipts prove about a lock: for each of its images, whether it arrived. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from imgsync.errors import VerificationFailed
from imgsync.model.media_types import Kind
from imgsync.model.volumes import closure_of, split, whole_lock
from imgsync.receipts.record import ARRIVED, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.platform import Platform
    from imgsync.receipts.record import Arrival, Receipt


class State(StrEnum):
    """What became of an image, best first."""

    ARRIVED = "arrived"
    IN_PART = "in part"
    WAITING = "waiting"
    LEFT_OUT = "left-out"
    SKIPPED = "skipped"
    FAILED = "failed"
    MISSING = "missing"
    NOT_CARRIED = "not carried"
    """A signature or the like, and the destination has no place for it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One image, and what the receipts say of it.

    Attributes:
        source: its name in the bundle, with the digest.
        arrival: the record that says so; None where there is none.
        lacks: platforms that the bundle has and the destination does not.
        nodes: of a seed, those on which it is not, with what they say of it.
    """

    source: str
    state: State
    arrival: Arrival | None = None
    lacks: tuple[str, ...] = ()
    nodes: tuple[tuple[str, State], ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether nothing is left to be done about it."""
        return self.state in {State.ARRIVED, State.NOT_CARRIED}


def check_receipts(receipts: Sequence[Receipt], locks: Sequence[Lock] = ()) -> list[Verdict]:
    """Every image of the locks, or without locks every image that the receipts name.

    What a seed brings must be on each of its nodes; several receipts are taken together, node by
    node.

    Raises:
        VerificationFailed: a receipt is about another bundle, or names what no lock has.
    """
    nodes = tuple(dict.fromkeys(node.label for receipt in receipts for node in receipt.nodes))
    if not locks:
        return _without_lock(receipts, nodes)
    known = {digest for lock in locks for digest in digests_of(lock)}
    roots = {source_of(root): (root, lock) for lock in locks for root in lock.roots}
    contents = {str(root.descriptor.digest) for root, _ in roots.values()}
    arrivals: dict[str, list[Arrival]] = {}
    for receipt in receipts:
        _check_about(receipt, known)
        for image in receipt.images:
            if _digest_of(image) not in contents:
                msg = f"a receipt names {image.source}, which the lock does not have"
                raise VerificationFailed(msg, hint="is it the lock of this bundle?")
            arrivals.setdefault(image.source, []).append(image)
    only_images = all(receipt.command in {"import", "seed"} for receipt in receipts)
    is_elsewhere_too = any(not receipt.nodes for receipt in receipts)
    places = (*nodes, "") if is_elsewhere_too else nodes
    return [
        _of_root(
            root, lock, _records(source, root, arrivals, roots), places, is_extra_left=only_images
        )
        for source, (root, lock) in roots.items()
    ]


def _without_lock(receipts: Sequence[Receipt], nodes: Sequence[str]) -> list[Verdict]:
    alone = [
        _verdict(image.source, image)
        for receipt in receipts
        for image in receipt.images
        if not image.node
    ]
    on_nodes: dict[str, list[Arrival]] = {}
    for receipt in receipts:
        for image in receipt.images:
            if image.node:
                on_nodes.setdefault(image.source, []).append(image)
    return alone + [
        _together(
            {
                node: _best(source, [image for image in images if image.node == node])
                for node in nodes
            }
        )
        for source, images in on_nodes.items()
    ]


def digests_of(lock: Lock) -> Iterator[Digest]:
    """The digests of a lock, and of all volumes of its set."""
    yield lock.descriptor().digest
    if lock.volume is not None:
        for plan in split(whole_lock(lock), lock.volume.size):
            yield plan.lock.descriptor().digest


def platforms_in(lock: Lock, root: Root) -> frozenset[str]:
    """The platforms of an image that a bundle has whole, all volumes of it, as its lock says."""
    absent = whole_lock(lock).absent
    found: set[str] = set()
    for digest in closure_of(lock, root.descriptor.digest) - absent.keys():
        item = lock.objects[digest]
        is_whole = not any(child in absent for child in item.children or ())
        if lock.descriptor_of(digest).kind is Kind.MANIFEST and is_whole:
            found.update({str(item.platform)} if _is_runnable(item.platform) else ())
    return frozenset(found)


def _is_runnable(platform: Platform | None) -> bool:
    return platform is not None and not platform.is_unknown


def _check_about(receipt: Receipt, known: set[Digest]) -> None:
    used = {bundle.lock for bundle in receipt.bundles}
    if used <= known and used:
        return
    other = ", ".join(
        f"{bundle.file} ({bundle.lock.short if bundle.lock is not None else 'no bundle'})"
        for bundle in receipt.bundles
        if bundle.lock not in known
    )
    msg = f"the receipt of {receipt.ended.isoformat()} is about another bundle: {other}"
    raise VerificationFailed(msg, hint="name its lock too: --lock is repeatable")


def _records(
    source: str, root: Root, arrivals: dict[str, list[Arrival]], roots: Iterable[str]
) -> list[Arrival]:
    """The records of this name; of its content under a name that the lock does not know, else.

    A bundle that was renamed on the way has other names than its lock.
    """
    if source in arrivals:
        return arrivals[source]
    names = set(roots)
    end = f"@{root.descriptor.digest}"
    return [
        image
        for other, images in arrivals.items()
        if other.endswith(end) and other not in names
        for image in images
    ]


def _of_root(
    root: Root,
    lock: Lock,
    records: list[Arrival],
    places: Sequence[str],
    *,
    is_extra_left: bool,
) -> Verdict:
    source = source_of(root)
    if not records and root.name is None and is_extra_left:
        return Verdict(source, State.NOT_CARRIED)
    expected = platforms_in(lock, root)
    digest = root.descriptor.digest
    return _together(
        {
            place: _best(
                source, [image for image in records if image.node == place], digest, expected
            )
            for place in places
        }
    )


def _best(
    source: str,
    records: list[Arrival],
    digest: Digest | None = None,
    expected: frozenset[str] = frozenset(),
) -> Verdict:
    """What several records of one place say together."""
    verdicts = [_verdict(source, image, digest, expected) for image in records]
    return min(verdicts, key=_rank, default=Verdict(source, State.MISSING))


def _together(by_place: dict[str, Verdict]) -> Verdict:
    """What several places say together: no better than the worst of them."""
    worst = max(by_place.values(), key=_rank)
    behind = tuple(
        (place, verdict.state)
        for place, verdict in by_place.items()
        if place and not verdict.is_there
    )
    return replace(worst, nodes=behind)


def _rank(verdict: Verdict) -> int:
    return list(State).index(verdict.state)


def _verdict(
    source: str,
    image: Arrival,
    digest: Digest | None = None,
    expected: frozenset[str] = frozenset(),
) -> Verdict:
    if image.what not in ARRIVED:
        return Verdict(source, State(image.what), image)
    is_same = str(image.digest) == (str(digest) if digest is not None else _digest_of(image))
    if is_same and (image.platforms is None or image.runs_here):
        return Verdict(source, State.ARRIVED, image)
    # An index that was rewritten, or content of some platforms: all that was carried must be there.
    lacks = tuple(sorted(expected - set(image.platforms or ())))
    whole = digest is not None and expected and not lacks
    return Verdict(source, State.ARRIVED if whole else State.IN_PART, image, lacks)


def _digest_of(image: Arrival) -> str:
    """The source's own digest: behind the last ``@``."""
    return image.source.rpartition("@")[2]
