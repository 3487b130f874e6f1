"""From requests to a lock: everything about a bundle that is decided before its first blob."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgsync.bundling.chosen import Chosen
from imgsync.bundling.extras import request_of, subjects_of, without_unwanted
from imgsync.bundling.resolving import Resolver
from imgsync.documents import DocumentReader
from imgsync.errors import (
    AllFailed,
    BudgetSpent,
    Conflict,
    ImgsyncError,
    InvalidInput,
    RateLimited,
)
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.model.lock import Lock
from imgsync.platforms import absent_of, platforms_of
from imgsync.referrers.collecting import Collector
from imgsync.referrers.places import subject_of
from imgsync.stores import Source
from imgsync.walk import Graph, walk, walk_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from imgsync.bundling.request import BundleOptions, Request
    from imgsync.events import Report
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.referrers.collecting import Extra
    from imgsync.stores.archive.journal import Journal
    from imgsync.stores.archive.planned_tar import PlannedTar


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a bundle is a function of, and where its content comes from.

    Attributes:
        chosen: the images, one for each name.
        documents: the bytes of every document that was read.
        failures: what was left out, and why.
    """

    chosen: tuple[Chosen, ...]
    graph: Graph
    lock: Lock
    documents: Mapping[Digest, bytes]
    failures: tuple[tuple[str, ImgsyncError], ...]

    @property
    def has_left_out_platforms(self) -> bool:
        """Whether content is absent because its platform was not chosen."""
        return AbsentReason.PLATFORM in self.lock.absent.values()


class Preparation:
    """The steps from requests to `Prepared`; one object for one run."""

    def __init__(
        self,
        options: BundleOptions,
        documents: MutableMapping[Digest, bytes],
        report: Report,
        journal: Journal | None = None,
        earlier: Sequence[PlannedTar] = (),
    ) -> None:
        """Keep what the steps share; ``documents`` receives the bytes of all that is read.

        Documents that ``earlier`` bundles have are read from there.
        """
        self._earlier = earlier
        self._options = options
        self._documents = documents
        self._report = report
        self._journal = journal
        self._graph = Graph()
        self._sources: dict[Digest, list[Source]] = {}
        self._failures: list[tuple[str, ImgsyncError]] = []

    def prepare(self, requests: Sequence[Request], docker_platform: Platform) -> Prepared:
        """Resolve and walk everything, choose platforms, and make the lock.

        Raises:
            AllFailed: some images cannot be had, all of them are listed; without ``keep_going``.
            BudgetSpent: a registry's quota is used up; what was read is kept by the journal.
            Conflict: two different images under one name.
        """
        if not requests:
            msg = "no image was asked for"
            raise InvalidInput(msg, hint="name images, or a list with -f")
        found = self._resolve(requests)
        read = DocumentReader(self._sources_of, jobs=self._options.jobs, kept=self._documents)
        walk([root.descriptor for _, root in found], read, graph=self._graph)
        found = [item for item in found if self._is_whole(*item)]
        platforms = platforms_of(self._graph, [root.descriptor for _, root in found], read)
        found = [item for item in found if self._is_whole(*item)]
        chosen = [
            item for item in (self._choose(*pair, platforms) for pair in found) if item is not None
        ]
        chosen = without_unwanted(chosen, self._graph, self._options.referrers)
        chosen += self._collect(chosen, platforms, read)
        if self._failures and (not self._options.keep_going or not chosen):
            raise self._all_failed(len(requests))
        lock = Lock.make(
            Bundle(tuple(item.root for item in chosen), _absent(chosen, self._graph)),
            self._graph,
            docker_platform=docker_platform,
            failed={*self._options.failed_before, *(label for label, _ in self._failures)},
            platforms=platforms,
        )
        return Prepared(tuple(chosen), self._graph, lock, self._documents, tuple(self._failures))

    def _collect(
        self, chosen: Sequence[Chosen], platforms: dict[Digest, Platform], read: DocumentReader
    ) -> list[Chosen]:
        """What is about the images, as further roots; ``platforms`` gets theirs."""
        options = self._options
        if options.referrers.is_none or options.only is not None:
            return []
        collector = Collector(options.referrers, self._report, jobs=options.jobs)

        def walk_more(extras: Sequence[Extra]) -> Graph:
            for extra in extras:
                self._add_source(extra.root, extra.source)
            walk_apart([extra.root.descriptor for extra in extras], read, self._graph)
            return self._graph

        collected = collector.collect(subjects_of(chosen, self._graph), walk_more)
        for label, error in collected.failures:
            self._fail(label, error)
        taken = {(item.root.extra, item.root.descriptor.digest) for item in chosen}
        found = [
            extra
            for extra in collected.extras
            if (extra.root.extra, extra.root.descriptor.digest) not in taken
        ]
        more = platforms_of(self._graph, [extra.root.descriptor for extra in found], read)
        platforms.update({digest: more[digest] for digest in more if digest not in platforms})
        made = [self._choose(request_of(extra), extra.root, platforms) for extra in found]
        return [item for item in made if item is not None]

    def _resolve(self, requests: Sequence[Request]) -> list[tuple[Request, Root]]:
        resolver = Resolver(self._options, self._journal, self._documents, self._report)
        found: list[tuple[Request, Root]] = []
        for request, answer in zip(requests, resolver.resolve(requests), strict=True):
            if isinstance(answer, ImgsyncError):
                self._fail(request.label, answer)
            else:
                found.append((request, answer))
                self._add_source(answer, request.source)
        return _unique(found)

    def _add_source(self, root: Root, source: Source) -> None:
        sources = self._sources.setdefault(root.descriptor.digest, [])
        if source not in sources:
            sources.append(source)

    def _sources_of(self, descriptor: Descriptor) -> Sequence[Source]:
        earlier = [item for item in self._earlier if descriptor.digest in item.digests]
        return [*earlier, *self._sources[self._graph.ancestor(descriptor.digest)]]

    def _is_whole(self, request: Request, root: Root) -> bool:
        problems = self._graph.problems_of(root.descriptor)
        if problems:
            self._fail(request.label, problems[0])
        return not problems

    def _choose(
        self, request: Request, root: Root, platforms: Mapping[Digest, Platform]
    ) -> Chosen | None:
        try:
            left_out = absent_of(
                self._graph,
                root.descriptor,
                request.choice,
                platforms,
                skip_missing=self._options.skip_missing_platforms,
                hint="choose one of those, or go on without it: --platform-missing skip",
            )
        except ImgsyncError as error:
            self._fail(request.label, error)
            return None
        absent = {
            item.digest: AbsentReason.RECEIVER
            for item in self._graph.closure([root.descriptor])
            if not item.is_document and self._options.is_at_receiver(item.digest)
        }
        absent.update(request.absent)
        absent.update(dict.fromkeys(left_out, AbsentReason.PLATFORM))
        if root.name is not None and not self._graph.is_runnable(root.descriptor):
            # Plain ctr would try to run what has a name in index.json (docs/format.md).
            root = replace(root, name=None, extra=str(root.name))
        if root.name is None and root.subject is None:
            root = replace(root, subject=subject_of(root, lambda: self._subject_within(root)))
        return Chosen(request, root, absent)

    def _subject_within(self, root: Root) -> Digest | None:
        document = self._graph.documents.get(root.descriptor.digest)
        subject = document.subject if document is not None else None
        return subject.digest if subject is not None else None

    def _fail(self, label: str, error: ImgsyncError) -> None:
        if isinstance(error, RateLimited):
            n_read = len(self._documents)
            msg = f"{error.message}; {n_read} documents are read and kept"
            raise BudgetSpent(msg, hint=error.hint or "run the same command again later")
        self._failures.append((label, error))

    def _all_failed(self, n_requests: int) -> AllFailed:
        msg = f"{len(self._failures)} of {n_requests} images cannot be had; no bundle was made"
        return AllFailed(msg, self._failures, hint="--keep-going makes the bundle without them")


def _unique(found: list[tuple[Request, Root]]) -> list[tuple[Request, Root]]:
    """One entry for each name.

    Raises:
        Conflict: a name is asked for with two digests, or with two choices of platforms.
    """
    by_name: dict[str, tuple[Request, Root]] = {}
    for request, root in found:
        key = root.label
        other = by_name.setdefault(key, (request, root))
        if other[1].descriptor.digest != root.descriptor.digest:
            msg = (
                f"{key} is asked for twice with different content: {other[0].label} is "
                f"{other[1].descriptor.digest}, {request.label} is {root.descriptor.digest}"
            )
            raise Conflict(msg, hint="give one of them another name")
        if other[1].platforms != root.platforms:
            msg = f"{key} is asked for twice, with different platforms"
            raise Conflict(msg, hint="ask for it once, with all of them")
    return list(by_name.values())


def _absent(chosen: Sequence[Chosen], graph: Graph) -> dict[Digest, AbsentReason]:
    """What no image brings along although one needs it, with the first reason given."""
    present: set[Digest] = set()
    absent: dict[Digest, AbsentReason] = {}
    for item in chosen:
        for descriptor in graph.closure([item.root.descriptor]):
            why = item.absent.get(descriptor.digest)
            if why is None:
                present.add(descriptor.digest)
            else:
                absent.setdefault(descriptor.digest, why)
    return {digest: why for digest, why in absent.items() if digest not in present}
