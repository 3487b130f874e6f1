"""What a store has, as pairs of a digest and a repository, of which an `Inventory` is made.

Nothing is claimed that was not seen. A registry takes a manifest only if it has what that names,
so its word counts for blobs; everywhere else presence is asked for. Only content counts that some
image needs: what none needs is deleted by the next garbage collection, and the images that rely
on it would arrive without it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from imgsync.documents import reader_of
from imgsync.errors import ContentError, ImgsyncError, NetworkError, StoreError
from imgsync.events import Noted, Report
from imgsync.model.inventory import repository_of
from imgsync.presence import held_by
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding, Source
    from imgsync.walk import Graph

Found = tuple["Digest", str]


class Catalog(Protocol):
    """Whoever can say which repositories a registry has: its own list, or Harbor's projects."""

    def repositories(self, prefix: str = "") -> Iterable[str]:
        """The repositories whose path begins with ``prefix``."""
        ...


def found_in_holding(holding: Holding, report: Report, *, jobs: int = 8) -> Iterator[Found]:
    """What a store has that knows all its names.

    Raises:
        NetworkError, StoreError: it cannot be read.
    """
    bundle = holding.bundle()
    roots = [root.descriptor for root in bundle.roots]
    graph = walk(roots, reader_of(holding, jobs=jobs), absent=bundle.absent)
    _tell_problems(graph, holding.side, report)
    held = held_by(holding)
    gone = bundle.absent.keys() | graph.problems.keys()
    for root in bundle.roots:
        repository = repository_of(root)
        for item in graph.closure([root.descriptor]):
            is_held = item.digest in held if held is not None else _is_named(item)
            if is_held and item.digest not in gone:
                yield item.digest, repository


def found_in_repository(
    source: Source, references: Sequence[Reference], report: Report, *, jobs: int = 8
) -> Iterator[Found]:
    """What one repository of a registry has under these names, all of the same repository.

    A name that is gone, or that the registry does not give (a policy forbids the image), is told
    and left out: less is claimed than there is, which costs bytes and breaks nothing.

    Raises:
        NetworkError: the registry does not answer.
    """
    roots: dict[Digest, Descriptor] = {}
    for reference, answer in _resolved(source, references, jobs):
        if isinstance(answer, ImgsyncError):
            report(Noted(f"left out: {reference}: {answer.message}", "warning"))
        else:
            roots[answer.digest] = answer
    graph = walk(roots.values(), reader_of(source, jobs=jobs))
    _tell_problems(graph, source.side, report)
    for item in graph.closure(roots.values()):
        if _is_named(item) and item.digest not in graph.problems:
            yield item.digest, references[0].name


def _resolved(
    source: Source, references: Sequence[Reference], jobs: int
) -> Iterator[tuple[Reference, Descriptor | ImgsyncError]]:
    def resolve(reference: Reference) -> Descriptor | ImgsyncError:
        try:
            return source.resolve(reference).descriptor
        except (StoreError, ContentError) as error:
            return error

    with ThreadPoolExecutor(jobs, "resolve") as pool:
        yield from zip(references, pool.map(resolve, references), strict=True)


def _is_named(item: Descriptor) -> bool:
    """Whether a registry has what a manifest names that it has.

    It takes manifests without the layers that have ``urls`` (distribution, and Windows base
    images): of those nobody knows.
    """
    return not item.urls


def _tell_problems(graph: Graph, side: str, report: Report) -> None:
    for digest, problem in graph.problems.items():
        if isinstance(problem, NetworkError):
            raise problem
        report(Noted(f"left out: {side}: {digest.short}: {problem.message}", "warning"))
