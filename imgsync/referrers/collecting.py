"""Collecting what is about images, and what is about that, as extra roots.

Level by level: everything about the indexes and manifests of the images, then everything about
what was found, and so on. What a registry says is not believed: what it lists has to be there, as
it is described, and there must not be too much of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContentError, ImgsyncError, NotFound, StoreError
from imgsync.events import Noted, Report
from imgsync.model.bundle import Root
from imgsync.model.media_types import OCI_EMPTY
from imgsync.model.reference import Reference
from imgsync.referrers.choice import ReferrerChoice, kinds_of
from imgsync.referrers.places import Answer, Found, Place, RegistryPlace, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imgsync.model.digest import Digest
    from imgsync.stores import Source
    from imgsync.walk import Graph

MAX_DEPTH: Final = 4
"""A signature of an SBOM of an image is two deep."""

MAX_EXTRAS: Final = 1000
"""So many things about one image, its children and what is about them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A document that things may be about.

    Attributes:
        source: where its image is read, and what is about it is looked for.
        place: any name in the repository where what is about it will be.
        image: which of the images it belongs to, as the caller numbers them.
    """

    digest: Digest
    source: Source
    place: Reference
    image: int = 0


@dataclass(frozen=True, slots=True)
class Extra:
    """Something about a subject, with its own name in the subject's place."""

    root: Root
    source: Source
    subject: Subject
    artifact_type: str = ""

    @property
    def name(self) -> Reference:
        """What it is called: its tag, else its digest."""
        return Reference.parse(self.root.extra)


@dataclass(slots=True)
class Collected:
    """Each extra root once, in the order in which it was found, and what cannot be had."""

    extras: list[Extra] = field(default_factory=list)
    failures: list[tuple[str, ImgsyncError]] = field(default_factory=list)


_UNTOLD: Final = frozenset({"", OCI_EMPTY})
"""Listings that do not say what a thing is; cosign lists its bundles by the type of their config,
which is empty."""


class Collector:
    """Looks for what is about images; one object for one run, used by several threads."""

    def __init__(self, choice: ReferrerChoice, report: Report, *, jobs: int = 8) -> None:
        """Look for what is chosen."""
        self.choice = choice
        self._report = report
        self._jobs = jobs
        self._lock = threading.Lock()
        self._places: dict[int, tuple[Source, Place | None]] = {}
        self._told: set[str] = set()

    def know_tags(self, source: Source, tags: Iterable[str]) -> None:
        """Take a list of tags that was asked for already, so that it is not asked for again."""
        place = self._place(source)
        if isinstance(place, RegistryPlace):
            place.know_tags(tags)

    def collect(
        self, subjects: Iterable[Subject], walk_more: Callable[[Sequence[Extra]], Graph]
    ) -> Collected:
        """All that is about the subjects, and what is about that.

        ``walk_more`` reads the documents of what was found, and answers with the graph that they
        are in; it must not raise where one cannot be read.
        """
        return _Collecting(self, walk_more).run(list(subjects))

    def look(self, subjects: Sequence[Subject]) -> list[tuple[Source, Answer]]:
        """What is about each of the subjects, asked in parallel."""
        with ThreadPoolExecutor(self._jobs, "referrers") as pool:
            return list(pool.map(self._about, subjects))

    def note(self, message: str) -> None:
        """Tell something once."""
        with self._lock:
            is_new = message not in self._told
            self._told.add(message)
        if is_new:
            self._report(Noted(message, "warning"))

    def _about(self, subject: Subject) -> tuple[Source, Answer]:
        place = self._place(subject.source)
        if place is None or self.choice.is_none:
            return subject.source, Answer()
        return place.source, place.about(subject.digest)

    def _place(self, source: Source) -> Place | None:
        with self._lock:
            known = self._places.get(id(source))
            if known is None:
                # The source is kept with it, so that no other one can get its id.
                known = self._places[id(source)] = source, place_of(source)
            return known[1]


class _Collecting:
    """One collection."""

    def __init__(self, collector: Collector, walk_more: Callable[[Sequence[Extra]], Graph]) -> None:
        self._collector = collector
        self._walk_more = walk_more
        self._collected = Collected()
        self._asked: set[tuple[int, str, Digest]] = set()
        self._taken: dict[str, Extra] = {}
        self._n_of_image: Counter[int] = Counter()
        self._seen_errors: set[int] = set()

    def run(self, level: list[Subject]) -> Collected:
        for depth in range(MAX_DEPTH + 1):
            extras = self._found(self._fresh(level))
            if depth == MAX_DEPTH and extras:
                names = ", ".join(extra.root.extra for extra in extras[:3])
                self._collector.note(f"left out, {MAX_DEPTH} levels above an image: {names}")
                break
            if not extras:
                break
            graph = self._walk_more(extras)
            level = []
            for extra in extras:
                if self._is_wanted(extra, graph):
                    self._collected.extras.append(extra)
                    level.extend(_subjects_of(extra, graph))
        return self._collected

    def _fresh(self, level: list[Subject]) -> list[Subject]:
        fresh = []
        for subject in level:
            key = id(subject.source), subject.place.name, subject.digest
            if key not in self._asked:
                self._asked.add(key)
                fresh.append(subject)
        return fresh

    def _found(self, subjects: list[Subject]) -> list[Extra]:
        extras: list[Extra] = []
        answers = self._collector.look(subjects)
        for subject, (source, answer) in zip(subjects, answers, strict=True):
            for error in answer.errors:
                self._tell(subject, error)
            for found in _each_once(answer.found):
                extra = self._extra(subject, source, found)
                if extra is not None:
                    extras.append(extra)
        return extras

    def _extra(self, subject: Subject, source: Source, found: Found) -> Extra | None:
        descriptor, choice = found.descriptor, self._collector.choice
        if found.artifact_type not in _UNTOLD and not choice.wants((found.artifact_type,)):
            return None
        place = subject.place
        name = place.with_tag(found.tag) if found.tag else place.at(descriptor.digest)
        if not descriptor.is_document:
            self._collector.note(f"left out: {name} is a {descriptor.media_type}")
            return None
        other = self._taken.get(str(name))
        if other is not None:
            if other.root.descriptor.digest != descriptor.digest:
                self._collector.note(f"left out: {name} is two things at two places")
            return None
        if self._n_of_image[subject.image] >= MAX_EXTRAS:
            self._collector.note(f"{place.name}: more than {MAX_EXTRAS} things about one image")
            return None
        self._n_of_image[subject.image] += 1
        origin = found.origin or _origin(source, found)
        root = Root(None, descriptor, origin, extra=str(name), subject=subject.digest)
        extra = Extra(root, source, subject, found.artifact_type)
        self._taken[str(name)] = extra
        return extra

    def _is_wanted(self, extra: Extra, graph: Graph) -> bool:
        descriptor = extra.root.descriptor
        problems = graph.problems_of(descriptor)
        known = graph.descriptors.get(descriptor.digest)
        if known is not None and (known.kind, known.size) != (descriptor.kind, descriptor.size):
            problems.append(ContentError(f"{descriptor.short} is described in two ways"))
        if problems:
            self._fail(extra.root.extra, problems[0])
            return False
        document = graph.documents[descriptor.digest]
        return self._collector.choice.wants((*kinds_of(document), extra.artifact_type))

    def _tell(self, subject: Subject, error: ImgsyncError) -> None:
        if id(error) in self._seen_errors:
            return  # the list of tags, which is asked for once and concerns every subject
        self._seen_errors.add(id(error))
        self._fail(f"{subject.place.name}@{subject.digest}", error)

    def _fail(self, label: str, error: ImgsyncError) -> None:
        if isinstance(error, NotFound):
            self._collector.note(f"{label} is listed, and is not there: {error.message}")
        elif isinstance(error, StoreError):
            self._collector.note(f"what is about {label} cannot be looked for: {error.message}")
        else:
            self._collected.failures.append((label, error))


def documents_of(graph: Graph, root: Root) -> list[Digest]:
    """The digests that something about this root may name."""
    return [item.digest for item in graph.closure([root.descriptor]) if item.is_document]


def _subjects_of(extra: Extra, graph: Graph) -> list[Subject]:
    about = extra.subject
    return [
        Subject(digest, about.source, about.place, about.image)
        for digest in documents_of(graph, extra.root)
    ]


def _each_once(found: Iterable[Found]) -> list[Found]:
    """By tag rather than by digest, where the same is found in both ways (Harbor and cosign)."""
    tagged = {item.descriptor.digest for item in found if item.tag}
    kept: dict[tuple[str, Digest], Found] = {}
    for item in found:
        if item.tag or item.descriptor.digest not in tagged:
            kept.setdefault((item.tag, item.descriptor.digest), item)
    return list(kept.values())


def _origin(source: Source, found: Found) -> str:
    """Where it was read; ``side`` of a repository is its full name."""
    tag = f":{found.tag}" if found.tag else ""
    try:
        return str(Reference.parse(f"{source.side}{tag}@{found.descriptor.digest}"))
    except ImgsyncError:
        return ""
