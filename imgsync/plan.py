"""The plan: what will move, decided before the first large byte.

A plan is n sources to n destinations: bundle is n to 1, push 1 to n, mirror n to n. It holds one
step for each digest and destination; the order is by dependency, not by phase: a manifest goes
when its children are at that destination, a name when its root is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.walk import Graph


@dataclass(frozen=True, slots=True)
class Wanted:
    """One image that is to be at one destination.

    Attributes:
        root: what it is; its name is the one it gets there, or None for content without a name.
        destination: which of the destinations.
        sources: which of the sources have it, best first.
        blobs_only: some of its content is still to come: what is here is sent, but no manifest
            and no name, so that nothing looks whole that is not.
    """

    root: Root
    destination: int
    sources: tuple[int, ...]
    blobs_only: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One object that is to be at one destination.

    Attributes:
        after: the steps without which this one must not happen (its children).
        mount_from: a destination of the same registry that has it, or gets it by ``wait_for``.
        wait_for: a step that must have ended first, well or not, so that mounting can be tried.
    """

    descriptor: Descriptor
    destination: int
    sources: tuple[int, ...]
    after: tuple[int, ...] = ()
    mount_from: int | None = None
    wait_for: int | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """One image's name at its destination; ``after`` is the step of its root, if that moves."""

    wanted: int
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in an order that dependencies allow, and what need not move."""

    wanted: tuple[Wanted, ...]
    graph: Graph
    absent: Collection[Digest]
    steps: tuple[Step, ...]
    names: tuple[Naming, ...]
    n_present: int = 0
    n_present_bytes: int = 0

    @property
    def n_bytes(self) -> int:
        """How many bytes will pass, were nothing mounted."""
        return sum(step.descriptor.size for step in self.steps if step.mount_from is None)

    def in_order(self, offsets: Mapping[Digest, int]) -> Plan:
        """The same steps in the order of a stream, for one worker; nothing waits for another."""
        order = sorted(
            range(len(self.steps)), key=lambda n: offsets[self.steps[n].descriptor.digest]
        )
        numbers = {old: new for new, old in enumerate(order)}
        return replace(
            self,
            steps=tuple(replace(self.steps[old], after=()) for old in order),
            names=tuple(
                replace(naming, after=tuple(numbers[old] for old in naming.after))
                for naming in self.names
            ),
        )

    @property
    def is_empty(self) -> bool:
        """Whether no object has to move; names may still have to be set."""
        return not self.steps


def make_plan(
    wanted: Sequence[Wanted],
    graph: Graph,
    missing: Sequence[Collection[Digest]],
    *,
    absent: Collection[Digest] = (),
    mounts_with: Sequence[str] = (),
    also_in: Sequence[tuple[int, Collection[Digest]]] = (),
    mountable: Mapping[tuple[int, Digest], int] | None = None,
) -> Plan:
    """Decide what moves.

    Args:
        wanted: the images, in the order in which they should be finished.
        graph: everything below their roots.
        missing: for each destination, the digests that it lacks.
        absent: digests that are declared to be left out; nothing waits for them.
        mounts_with: for each destination, which others it can mount from (those with the same
            text; an empty text for none).
        also_in: further sources, best first, each with the digests that it has: documents that
            were read already, an earlier bundle. They are tried before the images' own.
        mountable: content that no source has, by destination and digest, with the destination of
            the same registry from which it is mounted.
    """
    sources = _sources_of(wanted, graph, absent)
    holders = _holders(wanted, graph, missing, mounts_with)
    steps: list[Step] = []
    step_at: dict[tuple[int, Digest], int] = {}
    first_in_registry: dict[tuple[str, Digest], int] = {}
    names: list[Naming] = []
    present: set[tuple[int, Digest]] = set()
    present_bytes = 0
    for number, image in enumerate(wanted):
        place = image.destination
        registry = mounts_with[place] if mounts_with else ""
        for item in graph.closure([image.root.descriptor]):
            key = (place, item.digest)
            if key in step_at or key in present:
                continue
            if item.digest in absent:
                if mountable and key in mountable:
                    step_at[key] = len(steps)
                    steps.append(Step(item, place, (), (), mountable[key]))
                continue
            if image.blobs_only and item.is_document:
                continue
            if item.digest not in missing[place]:
                present.add(key)
                present_bytes += item.size
                continue
            mount_from, wait_for = None, None
            if registry and not item.is_document:
                mount_from = holders.get((registry, item.digest))
                if mount_from is None:
                    wait_for = first_in_registry.setdefault((registry, item.digest), len(steps))
                    if wait_for == len(steps):
                        wait_for = None
                    else:
                        mount_from = steps[wait_for].destination
            after = tuple(
                step_at[place, child.digest]
                for child in graph.children(item.digest)
                if (place, child.digest) in step_at
            )
            subject = (place, image.root.subject)
            if item.digest == image.root.descriptor.digest and subject in step_at:
                # What is about something comes after it.
                after = (*after, step_at[subject])
            step_at[key] = len(steps)
            kept = tuple(source for source, digests in also_in if item.digest in digests)
            origins = kept + sources[item.digest]
            steps.append(Step(item, place, origins, after, mount_from, wait_for))
        if image.blobs_only:
            continue
        root_step = step_at.get((place, image.root.descriptor.digest))
        names.append(Naming(number, () if root_step is None else (root_step,)))
    return Plan(
        tuple(wanted), graph, absent, tuple(steps), tuple(names), len(present), present_bytes
    )


def _sources_of(
    wanted: Sequence[Wanted], graph: Graph, absent: Collection[Digest]
) -> dict[Digest, tuple[int, ...]]:
    sources: dict[Digest, tuple[int, ...]] = {}
    for image in wanted:
        for item in graph.closure([image.root.descriptor]):
            if item.digest in absent:
                continue
            known = sources.get(item.digest, ())
            more = tuple(source for source in image.sources if source not in known)
            sources[item.digest] = known + more if known else image.sources
    return sources


def _holders(
    wanted: Sequence[Wanted],
    graph: Graph,
    missing: Sequence[Collection[Digest]],
    mounts_with: Sequence[str],
) -> dict[tuple[str, Digest], int]:
    """Which destination of a registry has an object already, of those that the plan knows."""
    holders: dict[tuple[str, Digest], int] = {}
    if not any(mounts_with):
        return holders
    for image in wanted:
        registry = mounts_with[image.destination]
        for item in graph.closure([image.root.descriptor]) if registry else ():
            if item.digest not in missing[image.destination]:
                holders.setdefault((registry, item.digest), image.destination)
    return holders
