"""Verification of anything that holds images: all findings, not only the first.

What is checked: every digest and size, once each, on all cores; that everything an image needs is
there or declared absent; configs against layers; both views of a combined archive; of our own
bundle every byte. `imgsync.verifying` has the parts.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from imgsync.completeness import Completeness, completeness
from imgsync.documents import reader_of
from imgsync.errors import ContentError, ImgsyncError, NotFound
from imgsync.events import Event, Planned, Report, ignore
from imgsync.model.bundle import Bundle
from imgsync.model.descriptor import Descriptor
from imgsync.model.platform import PlatformChoice
from imgsync.platforms import absent_of
from imgsync.presence import held_by
from imgsync.stores import Holding, Listing
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.by_lock import ArchiveByLock
from imgsync.stores.archive.docker_save import DockerArchive
from imgsync.stores.image_layout import ImageLayout
from imgsync.stores.selected import Selected
from imgsync.verifying.absence import check_absence
from imgsync.verifying.configs import (
    Configs,
    check_configs,
    check_diff_ids,
    image_manifests,
    platforms_of_configs,
    read_configs,
)
from imgsync.verifying.docker_view import check_docker_view
from imgsync.verifying.findings import Finding, Level, Users
from imgsync.verifying.hashing import Prover
from imgsync.verifying.own_bundle import (
    advice_for,
    advice_without,
    check_own,
    check_readable,
    check_unneeded,
)
from imgsync.verifying.verdicts import ImageVerdict, Verification
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock

ALL = PlatformChoice()


@runtime_checkable
class Noting(Protocol):
    """A store that knows something odd about itself."""

    def notes(self) -> Sequence[str]:
        """One line each."""
        ...


def verify(
    holding: Holding,
    *,
    choice: PlatformChoice = ALL,
    deep: bool = False,
    jobs: int = 0,
    report: Report = ignore,
) -> Verification:
    """Look at everything that a store holds, or at the roots and platforms that were chosen.

    Args:
        holding: what is verified; a `imgsync.stores.selected.Selected` for some of its images.
        choice: only content of these platforms must be there; the rest is not looked at.
        deep: also decompress every layer, and compare with the config's diff_ids.
        jobs: how many threads hash; as many as there are cores if 0.
        report: gets how many bytes passed.

    Raises:
        ContentError: its index is so damaged that it is not known what it holds.
        NotFound: an image lacks a platform that was chosen.
        NetworkError, ContainerdError, …: it cannot be read.
    """
    mutex = threading.Lock()

    def locked_report(event: Event) -> None:
        with mutex:
            report(event)

    return _Run(holding, choice, deep=deep, jobs=jobs, report=locked_report).run()


class _Run:
    def __init__(
        self, holding: Holding, choice: PlatformChoice, *, deep: bool, jobs: int, report: Report
    ) -> None:
        self._holding = holding
        self._choice = choice
        self._deep = deep
        self._report = report
        self._findings: list[Finding] = []
        self._lost_lock: Digest | None = None
        self._whole = holding.inner if isinstance(holding, Selected) else holding
        self._lock, self._bundle = self._read_bundle()
        self._read = reader_of(holding, jobs=jobs or 8)
        roots = self._bundle.roots
        # A volume names only the images that it holds content of; its lock knows them all.
        known = (*roots, *(self._lock.roots if self._lock is not None else ()))
        self._graph = walk([root.descriptor for root in known], self._read, absent=self._absent)
        self._users = Users(self._graph, roots, advice_for(self._whole, self._lock))
        self._held = held_by(holding)
        self._lost: set[Digest] = set()
        self._prover = Prover(holding, report, jobs)
        self._n_objects = 0

    @property
    def _absent(self) -> Collection[Digest]:
        return self._bundle.absent.keys()

    def run(self) -> Verification:
        roots = self._bundle.roots
        manifests = list(image_manifests(self._graph, roots))
        configs = read_configs(
            [manifest for _, manifest in manifests], self._read, self._should_be_there
        )
        platforms = platforms_of_configs(manifests, configs)
        wanted = self._wanted(platforms)
        self._prove(wanted, configs)
        self._find(check_configs(manifests, configs, self._users))
        self._find(check_diff_ids(manifests, configs, self._prover.diff_ids, self._users))
        self._find(self._of_documents(wanted))
        self._find(self._of_configs(configs, wanted))
        self._find(self._of_blobs())
        states = [self._completeness(root, platforms) for root in roots]
        damaged = self._graph.problems.keys() - self._lost
        images = list(zip(roots, states, strict=True))
        self._find(check_absence(images, self._absent, damaged, self._users))
        self._find(check_readable(self._whole))
        self._find(self._of_names())
        self._find(self._of_the_whole(configs))
        return self._verification(states)

    def _read_bundle(self) -> tuple[Lock | None, Bundle]:
        if not isinstance(self._holding, ImageLayout):
            return None, self._holding.bundle()
        try:
            return self._holding.lock(), self._holding.bundle()
        except ContentError as error:
            # index.json may still be good: then everything else can be looked at all the same.
            roots = self._holding.index().roots
            problem = error.message.removeprefix(f"{self._holding.side}: ")
            advice = advice_without(self._holding) or error.hint
            self._findings.append(Finding(Level.ERROR, "lock", problem, advice=advice))
            self._lost_lock = self._holding.index().lock
            return None, Bundle(roots)

    def _should_be_there(self, descriptor: Descriptor) -> bool:
        if descriptor.digest in self._absent:
            return False
        return self._held is None or descriptor.digest in self._held

    def _wanted(self, platforms: Mapping[Digest, Any]) -> dict[Digest, Descriptor]:
        """All objects that the chosen platforms need, without those that are declared absent."""
        wanted: dict[Digest, Descriptor] = {}
        for root in self._bundle.roots:
            try:
                left_out = absent_of(self._graph, root.descriptor, self._choice, platforms)
            except NotFound as error:
                raise NotFound(f"{root.label} {error.message}", hint=error.hint) from None
            for item in self._graph.closure([root.descriptor]):
                if item.digest not in left_out and item.digest not in self._absent:
                    wanted[item.digest] = item
        return wanted

    def _prove(self, wanted: Mapping[Digest, Descriptor], configs: Configs) -> None:
        """Hash all that was not hashed while it was read."""
        done = {*self._read.kept, *self._graph.problems, *configs}
        blobs = [
            item
            for digest, item in wanted.items()
            if digest not in done and self._should_be_there(item)
        ]
        if isinstance(self._holding, Listing) and self._choice.is_all:
            done |= wanted.keys()
            blobs += [
                self._graph.descriptors.get(digest, Descriptor("", digest, size))
                for digest, size in self._holding.sizes().items()
                if digest not in done
            ]
        self._report(Planned(len(blobs), sum(item.size for item in blobs), 0, 0))
        inside: set[Digest] = set()
        if self._deep:
            for _, manifest in image_manifests(self._graph, self._bundle.roots):
                inside.update(layer.digest for layer in manifest.layers)
        self._n_objects = len(self._read.kept) + len(blobs)
        self._prover.prove(blobs, inside=inside)

    def _of_documents(self, wanted: Mapping[Digest, Descriptor]) -> Iterator[Finding]:
        for digest, error in self._graph.problems.items():
            if isinstance(error, NotFound):
                self._lost.add(digest)
            elif digest in wanted or self._choice.is_all:
                descriptor = self._graph.descriptors[digest]
                yield self._users.of_error(descriptor, error, self._holding.side)

    def _of_configs(
        self, configs: Configs, wanted: Mapping[Digest, Descriptor]
    ) -> Iterator[Finding]:
        for digest, answer in configs.items():
            if isinstance(answer, NotFound):
                self._lost.add(digest)
            elif isinstance(answer, ImgsyncError) and digest in wanted:
                yield self._users.of_error(wanted[digest], answer, self._holding.side)

    def _of_blobs(self) -> Iterator[Finding]:
        for digest, error in self._prover.errors.items():
            if digest == self._lost_lock:
                continue  # told already
            if isinstance(error, NotFound):
                self._lost.add(digest)
                continue
            descriptor = self._graph.descriptors.get(digest)
            if self._lock is not None and digest == self._lock.descriptor().digest:
                problem = error.message.removeprefix(f"{self._holding.side}: ")
                yield Finding(Level.ERROR, "lock", problem, digest, advice=self._users.advice)
            elif descriptor is None:
                yield self._users.finding(digest, error.message)
            else:
                yield self._users.of_error(descriptor, error, self._holding.side)
        if isinstance(self._holding, DockerArchive):
            for descriptor, stream in self._holding.copies():
                wrong = self._prover.prove_stream(descriptor, stream)
                if wrong is not None:
                    yield self._users.of_error(descriptor, wrong, self._holding.side)

    def _is_present(self, descriptor: Descriptor) -> bool:
        return self._should_be_there(descriptor) and descriptor.digest not in self._lost

    def _completeness(self, root: Root, platforms: Mapping[Digest, Any]) -> Completeness:
        found = completeness(self._graph, root.descriptor, self._is_present, platforms=platforms)
        return found.of(self._choice)

    def _of_names(self) -> Iterator[Finding]:
        names: dict[str, set[Digest]] = {}
        for root in self._bundle.roots:
            if root.name is not None:
                names.setdefault(str(root.name), set()).add(root.descriptor.digest)
        for name, digests in names.items():
            if len(digests) > 1:
                problem = f"one name means {len(digests)} images; tools take different ones"
                advice = "give them names of their own, or one index"
                yield Finding(Level.ERROR, "image", problem, images=(name,), advice=advice)

    def _of_the_whole(self, configs: Configs) -> Iterator[Finding]:
        holding = self._holding
        if isinstance(holding, Noting):
            for note in holding.notes():
                yield Finding(Level.NOTE, "archive", note.removeprefix(f"{holding.side}: "))
        if isinstance(holding, Archive) and not isinstance(holding, ArchiveByLock):
            yield from check_docker_view(holding, self._graph, self._bundle.roots, configs)
        if isinstance(holding, ImageLayout):
            yield from check_unneeded(holding, self._graph)
            if self._lock is not None:
                yield from check_own(holding, self._lock, self._graph, self._users)

    def _find(self, findings: Iterator[Finding]) -> None:
        self._findings.extend(findings)

    def _verification(self, states: Sequence[Completeness]) -> Verification:
        errors = [item for item in self._findings if item.level is Level.ERROR]
        images = tuple(
            ImageVerdict(
                root,
                state,
                tuple(item for item in errors if root.label in item.images),
                any(item.digest in self._absent for item in self._graph.closure([root.descriptor])),
            )
            for root, state in zip(self._bundle.roots, states, strict=True)
        )
        return Verification(
            self._holding.side,
            images,
            tuple(sorted(self._findings, key=lambda item: list(Level).index(item.level))),
            self._n_objects,
            sum(map(len, self._read.kept.values())) + self._prover.n_bytes,
            len(self._bundle.absent),
        )
