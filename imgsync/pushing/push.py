"""The whole of a push: walk, preflight, missing-check, plan, run. What ``imgsync push`` runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from imgsync.documents import DocumentReader, KeptDocuments
from imgsync.errors import Conflict, ImgsyncError, PartialRefused
from imgsync.events import Noted, Report
from imgsync.plan import Plan, Wanted, make_plan
from imgsync.pushing.request import OnExistingTag, PushItem, PushOptions
from imgsync.rewriting import is_whole, rewrite
from imgsync.stores import Destination, Mounting, Source
from imgsync.transfer import Outcome, run
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference


class PushTarget(Destination, Mounting, Protocol):
    """A repository of a registry, as a destination."""

    def digest_of_tag(self, tag: str) -> Descriptor | None:
        """What a tag means there now."""
        ...

    def remember(self, descriptor: Descriptor, raw: bytes) -> None:
        """Know a document's bytes, so that a tag can be put on what is there already."""
        ...


Targets = Callable[["Reference"], PushTarget]


@dataclass(slots=True)
class Pushed:
    """One image that was asked for, and what came of it.

    Attributes:
        root: what stands at the target now; another digest than the item's if rewritten.
        before: what the tag meant before, if it stood there.
        status: pushed, unchanged, skipped or failed.
    """

    item: PushItem
    root: Root
    before: Descriptor | None = None
    status: str = "pushed"
    error: ImgsyncError | None = None


@dataclass(slots=True)
class PushResult:
    """All images, in the order in which they were asked for, and the engine's figures."""

    pushed: list[Pushed]
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """Each failed image with its error."""
        return [
            (pushed.item.label, pushed.error) for pushed in self.pushed if pushed.error is not None
        ]


@dataclass(slots=True)
class PushPlan:
    """A push that is decided and not yet begun; what ``--dry-run`` shows."""

    pushed: list[Pushed]
    moving: list[Pushed]
    plan: Plan
    sources: list[Source]
    destinations: list[PushTarget]
    graph: Graph


def plan_push(
    items: Sequence[PushItem], targets: Targets, options: PushOptions, report: Report
) -> PushPlan:
    """Walk all images, and ask the destinations what they lack.

    Raises:
        PartialRefused: an image declares content absent, and ``rewrite_index`` was not asked for.
        Conflict: a tag stands with another digest, and that is to be an error.
        All of it before the first write.
    """
    return _Planner(items, targets, options, report).plan()


def push(planned: PushPlan, options: PushOptions, report: Report) -> PushResult:
    """Move what is planned and set the tags; one failing image stops no other."""
    outcome = run(
        planned.plan,
        planned.sources,
        planned.destinations,
        report,
        jobs=options.jobs,
        retries=options.retries,
    )
    for number, error in outcome.failures.items():
        planned.moving[number].status = "failed"
        planned.moving[number].error = error
    return PushResult(planned.pushed, outcome)


class _Planner:
    def __init__(
        self, items: Sequence[PushItem], targets: Targets, options: PushOptions, report: Report
    ) -> None:
        self._items = items
        self._targets = targets
        self._options = options
        self._report = report
        self._graph = Graph()
        self._documents: dict[Digest, bytes] = {}
        self._sources: dict[Digest, list[Source]] = {}

    def plan(self) -> PushPlan:
        self._walk()
        pushed = [self._checked(item) for item in self._items]
        moving = [image for image in pushed if image.error is None]
        destinations, places = self._destinations(moving)
        self._check_tags(moving, destinations, places)
        moving = [image for image in moving if image.status != "skipped" and image.error is None]
        missing = self._missing(moving, destinations, places)
        moving = [image for image in moving if image.error is None]
        sources: list[Source] = [KeptDocuments(self._documents)]
        numbers: dict[int, int] = {}
        wanted = []
        for image in moving:
            source = image.item.source
            number = numbers.setdefault(id(source), len(sources))
            if number == len(sources):
                sources.append(source)
            place = places[image.item.target.name]
            name = image.item.target if image.item.target.tag else None
            root = image.root.named(name) if name is not None else replace(image.root, name=None)
            wanted.append(Wanted(root, place, (number,)))
            destinations[place].remember(
                image.root.descriptor, self._documents[image.root.descriptor.digest]
            )
        plan = make_plan(
            wanted,
            self._graph,
            missing,
            mounts_with=[destination.mounts_with for destination in destinations],
            also_in=[(0, self._documents.keys())],
        )
        self._note_unchanged(moving, plan)
        return PushPlan(pushed, moving, plan, sources, destinations, self._graph)

    def _walk(self) -> None:
        for item in self._items:
            sources = self._sources.setdefault(item.root.descriptor.digest, [])
            if item.source not in sources:
                sources.append(item.source)
        read = DocumentReader(
            lambda item: self._sources[self._graph.ancestor(item.digest)],
            jobs=self._options.jobs,
            kept=self._documents,
        )
        walk([item.root.descriptor for item in self._items], read, graph=self._graph)

    def _checked(self, item: PushItem) -> Pushed:
        root = item.root
        problems = self._graph.problems_of(root.descriptor)
        if problems:
            return Pushed(item, root, status="failed", error=problems[0])
        if is_whole(self._graph, root.descriptor, item.absent):
            return Pushed(item, root)
        if not self._options.rewrite_index:
            msg = (
                f"{item.label} is not whole: it declares content absent, and a registry refuses "
                "an index whose children it does not have"
            )
            hint = "push the platforms that are whole, under a new digest: --rewrite-index"
            raise PartialRefused(msg, hint=hint)
        made = rewrite(self._graph, root.descriptor, item.absent)
        made.add_to(self._graph)
        self._documents.update(made.documents)
        self._report(
            Noted(
                f"{item.label}: the index was rewritten, {root.descriptor.digest} -> "
                f"{made.root.digest}; pins and signatures of the old digest do not hold for it"
            )
        )
        return Pushed(item, replace(root, descriptor=made.root))

    def _destinations(self, moving: Sequence[Pushed]) -> tuple[list[PushTarget], dict[str, int]]:
        destinations: list[PushTarget] = []
        places: dict[str, int] = {}
        for image in moving:
            target = image.item.target
            if target.name not in places:
                places[target.name] = len(destinations)
                destinations.append(self._targets(target))
        return destinations, places

    def _check_tags(
        self,
        moving: Sequence[Pushed],
        destinations: Sequence[PushTarget],
        places: dict[str, int],
    ) -> None:
        def ask(image: Pushed) -> None:
            target = image.item.target
            if target.tag:
                try:
                    image.before = destinations[places[target.name]].digest_of_tag(target.tag)
                except ImgsyncError as error:
                    image.status, image.error = "failed", error

        with ThreadPoolExecutor(self._options.jobs, "tags") as pool:
            list(pool.map(ask, moving))
        others = [
            image
            for image in moving
            if image.before is not None and image.before.digest != image.root.descriptor.digest
        ]
        if others and self._options.on_existing_tag is OnExistingTag.ERROR:
            lines = "\n".join(f"  {_move(image)}" for image in others)
            msg = f"tags stand at the destination with other content:\n{lines}"
            raise Conflict(msg, hint="--on-existing-tag overwrite replaces them, skip leaves them")
        for image in others:
            if self._options.on_existing_tag is OnExistingTag.SKIP:
                image.status = "skipped"
            else:
                self._report(Noted(f"replacing {_move(image)}"))

    def _missing(
        self,
        moving: Sequence[Pushed],
        destinations: Sequence[PushTarget],
        places: dict[str, int],
    ) -> list[set[Digest]]:
        images: list[list[Pushed]] = [[] for _ in destinations]
        for image in moving:
            images[places[image.item.target.name]].append(image)

        def ask(place: int) -> set[Digest]:
            roots = [image.root.descriptor for image in images[place]]
            try:
                return destinations[place].missing(list(self._graph.closure(roots)))
            except ImgsyncError as error:
                for image in images[place]:
                    image.status, image.error = "failed", error
                return set()

        with ThreadPoolExecutor(self._options.jobs, "missing") as pool:
            return list(pool.map(ask, range(len(destinations))))

    def _note_unchanged(self, moving: Sequence[Pushed], plan: Plan) -> None:
        places_moving = {(step.destination, step.descriptor.digest) for step in plan.steps}
        for wanted, image in zip(plan.wanted, moving, strict=True):
            digest = image.root.descriptor.digest
            is_there = image.before is not None and image.before.digest == digest
            if is_there and not any(
                (wanted.destination, item.digest) in places_moving
                for item in self._graph.closure([image.root.descriptor])
            ):
                image.status = "unchanged"


def _move(image: Pushed) -> str:
    before = image.before.digest.short if image.before is not None else "nothing"
    return f"{image.item.target}: {before} -> {image.root.descriptor.digest.short}"
