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
from imgsync.mirror.receipts import REMOVED, Receipt
from imgsync.model.media_types import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from imgsync.events import Report
    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.opening import AllRegistries, RegistryRepository
    from imgsync.mirror.receipts import ReceiptBook
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference


@dataclass(slots=True)
class Pruned:
    """What came of a prune.

    Attributes:
        verdicts: of every tag that a receipt claims.
        failures: tags that should go and could not be removed, and repositories that could not
            be looked at.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    removed: list[Reference] = field(default_factory=list)
    failures: list[tuple[str, ImgsyncError]] = field(default_factory=list)

    @property
    def going(self) -> list[Verdict]:
        """What may be removed."""
        return [verdict for verdict in self.verdicts if verdict.goes]


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
    There no index is read: Harbor would count that as a pull, and its retention rules with it.

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
    for name, place in sorted(places.items()):
        try:
            reads = not keeps_artifacts(place)
            repository = registries.repository(place)
            standing.update(_standing(repository, place, jobs, reads_indexes=reads))
            looked_at.add(name)
        except ImgsyncError as error:
            pruned.failures.append((name, error))
    pruned.verdicts = decide(pruned.verdicts, standing, looked_at, locked)
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
    remove_tag: Callable[[Reference, Digest], None],
    write_receipt: Callable[[Receipt], None],
    clock: Callable[[], float],
) -> None:
    """Remove what may go, one after the other; what fails stays and is told."""
    for receipt in (verdict.receipt for verdict in pruned.going):
        try:
            remove_tag(receipt.destination, receipt.digest)
        except ImgsyncError as error:
            pruned.failures.append((str(receipt.destination), error))
        else:
            pruned.removed.append(receipt.destination)
            write_receipt(Receipt(clock(), REMOVED, receipt.destination, receipt.digest))


def digests_of(locks: Iterable[Collection[Digest]]) -> frozenset[Digest]:
    """Everything that any of the locks needs."""
    return frozenset(digest for lock in locks for digest in lock)
