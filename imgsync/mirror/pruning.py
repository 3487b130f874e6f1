"""Pruning: what the config wants now, what stands at the destinations, and what may go of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError, NotFound, SomeFailed
from imgsync.mirror.choosing import choose
from imgsync.mirror.platforms import index_graph
from imgsync.mirror.prune import Standing, Verdict, candidates, decide
from imgsync.mirror.prune_about import Doomed, about, doomed
from imgsync.mirror.receipts import REMOVED, Receipt
from imgsync.model.media_types import Kind
from imgsync.model.referrer_tags import fallback_tag
from imgsync.pushing.fallback import unlist

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from imgsync.events import Report
    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.opening import AllRegistries, RegistryRepository
    from imgsync.mirror.receipts import ReceiptBook
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference

RemoveTag = Callable[["Reference", "Digest"], None]
"""Removes a tag that means a digest; of a name without a tag, the manifest of its digest."""


@dataclass(slots=True)
class Pruned:
    """What came of a prune.

    Attributes:
        verdicts: of every tag that a receipt claims.
        about: of what is about those that go, and of what is about that.
        failures: tags that should go and could not be removed, and repositories that could not
            be looked at.
        doomed: what each tag that goes takes along.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    about: list[Verdict] = field(default_factory=list)
    doomed: list[Doomed] = field(default_factory=list)
    removed: list[Reference] = field(default_factory=list)
    failures: list[tuple[str, ImgsyncError]] = field(default_factory=list)

    @property
    def going(self) -> list[Verdict]:
        """The tags that may be removed."""
        return [verdict for verdict in self.verdicts if verdict.goes]

    @property
    def about_going(self) -> list[Verdict]:
        """What is about them and may be removed."""
        return [verdict for verdict in self.about if verdict.goes]


def plan_prune(
    config: MirrorConfig,
    registries: AllRegistries,
    book: ReceiptBook,
    report: Report,
    *,
    now_s: float,
    keep_s: float,
    locked: Collection[Digest] = (),
    keeps_artifacts: Callable[[Reference], bool] = lambda _tag: False,
    jobs: int = 8,
) -> Pruned:
    """Decide which tags may go; nothing is removed.

    ``keeps_artifacts`` tells of a registry (Harbor) that it removes tags and nothing below them.
    There no index is read: Harbor would count that as a pull, and its retention rules with it. And
    what is about an artifact stays, for that stays too, until Harbor removes both.

    Raises:
        SomeFailed: it is not known what the config selects, so nothing may go.
    """
    chosen = choose(config, registries.repository, report, jobs=jobs)
    unknown = [
        *chosen.failures,
        *((str(item.source), item.error) for item in chosen.unplaced),
    ]
    if unknown:
        msg = "what the config selects is not known, so nothing is removed"
        raise SomeFailed(msg, unknown, hint="the next run may know")
    selected = {item.target for item in chosen.items}
    pruned = Pruned(candidates(book, selected, now_s, keep_s))
    places = {
        verdict.receipt.destination.name: verdict.receipt.destination for verdict in pruned.going
    }
    standing: dict[Reference, Standing] = {}
    looked_at: set[str] = set()
    by_digest: set[str] = set()
    for name, place in sorted(places.items()):
        try:
            reads = not keeps_artifacts(place)
            repository = registries.repository(place)
            standing.update(_standing(repository, place, jobs, reads_indexes=reads))
            looked_at.add(name)
            if reads:
                by_digest.add(name)
        except ImgsyncError as error:
            pruned.failures.append((name, error))
    pruned.verdicts = decide(pruned.verdicts, standing, looked_at, locked)
    pruned.doomed = doomed(pruned.verdicts, standing, by_digest)
    pruned.about = about(book, pruned.doomed, standing, locked)
    return pruned


def _standing(
    repository: RegistryRepository, place: Reference, jobs: int, *, reads_indexes: bool
) -> dict[Reference, Standing]:
    """Every tag of a repository, with the documents below it. At most indexes are read."""
    try:
        tags = repository.tags()
    except NotFound:
        return {}  # a repository without any tag

    def look(tag: str) -> Standing | None:
        root = repository.digest_of_tag(tag)
        if root is None:
            return None
        if root.kind is not Kind.INDEX or not reads_indexes:
            return Standing(root.digest)
        graph = index_graph(repository, root)
        return Standing(root.digest, frozenset(graph.descriptors))

    with ThreadPoolExecutor(jobs, "standing") as pool:
        found = dict(zip(tags, pool.map(look, tags), strict=True))
    return {place.with_tag(tag): item for tag, item in found.items() if item is not None}


def remove(
    pruned: Pruned,
    registries: AllRegistries,
    remove_tag: RemoveTag,
    write_receipt: Callable[[Receipt], None],
    clock: Callable[[], float],
) -> None:
    """Remove what may go, one after the other; what fails stays and is told.

    What is about a tag goes before it: if that fails the tag stays, and the next prune still
    finds both.
    """
    stays: set[tuple[str, Digest]] = set()

    def attempt(receipt: Receipt) -> bool:
        place = receipt.destination
        try:
            if receipt.subject is not None:
                _unlist(registries, receipt, remove_tag)
            remove_tag(place, receipt.digest)
        except ImgsyncError as error:
            pruned.failures.append((str(place), error))
            return False
        pruned.removed.append(place)
        write_receipt(Receipt(clock(), REMOVED, place, receipt.digest))
        return True

    for receipt in _subjects_last(verdict.receipt for verdict in pruned.about_going):
        named = receipt.destination.name, receipt.digest
        if receipt.subject is not None and (named in stays or not attempt(receipt)):
            stays.add((receipt.destination.name, receipt.subject))
    takes = {item.receipt.destination: item.documents for item in pruned.doomed}
    for receipt in (verdict.receipt for verdict in pruned.going):
        if not takes.get(receipt.destination, frozenset()) & stays:
            attempt(receipt)


def _subjects_last(receipts: Iterable[Receipt]) -> Iterator[Receipt]:
    """What is about others before these, as deep as that goes."""
    left = {(receipt.destination.name, receipt.digest): receipt for receipt in receipts}
    while left:
        subjects = {(name, receipt.subject) for (name, _), receipt in left.items()}
        ends = [key for key in left if key not in subjects] or list(left)
        for key in sorted(ends, key=str):
            yield left.pop(key)


def _unlist(registries: AllRegistries, receipt: Receipt, remove_tag: RemoveTag) -> None:
    """Take the line out of the list under the subject's fallback tag, which goes when empty."""
    if receipt.subject is None:
        return
    place = receipt.destination.with_tag(fallback_tag(receipt.subject))
    emptied = unlist(registries.repository(place), place, receipt.digest)
    if emptied is not None:
        remove_tag(place, emptied)


def digests_of(locks: Iterable[Collection[Digest]]) -> frozenset[Digest]:
    """Everything that any of the locks needs."""
    return frozenset(digest for lock in locks for digest in lock)
