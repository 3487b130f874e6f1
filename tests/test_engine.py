"""The plan and the engine, over memory stores: everything arrives, in order, and once."""

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.content import Readable, VerifiedStream
from imgsync.documents import KeptDocuments, reader_of
from imgsync.errors import (
    BudgetSpent,
    ChildrenUnknown,
    ContentError,
    NoSpace,
    NotFound,
    RateLimited,
    Unreachable,
)
from imgsync.events import Advanced, Copied, Event, Failed, Named, Planned, ignore
from imgsync.model.bundle import Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference
from imgsync.plan import Plan, Wanted, make_plan
from imgsync.stores import Destination, Source
from imgsync.stores.memory import Memory
from imgsync.transfer import Outcome, run
from imgsync.walk import Graph, walk
from tests.bundling.stores import Breaking, Counting, memory_of
from tests.images import Images, random_images


class Strict(Memory):
    """A destination that, like a registry, wants children before parents and roots before names."""

    def __init__(self, graph: Graph, registry: str = "") -> None:
        super().__init__("strict")
        self.graph = graph
        self.mounts_with = registry
        self.puts: Counter[Digest] = Counter()
        self.n_mounted = 0
        self._mutex = threading.Lock()

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        for child in self.graph.children(descriptor.digest):
            assert child.digest in self.blobs, "a parent came before its child"
        with self._mutex:
            self.puts[descriptor.digest] += 1
        super().put(descriptor, stream)

    def name(self, reference: Reference, root: Descriptor) -> None:
        for item in self.graph.closure([root]):
            assert item.digest in self.blobs, "a name came before its content"
        with self._mutex:
            super().name(reference, root)

    def mount(self, descriptor: Descriptor, origin: Destination) -> bool:
        assert isinstance(origin, Strict)
        if descriptor.digest not in origin.blobs:
            return False
        self.blobs[descriptor.digest] = origin.blobs[descriptor.digest]
        self.n_mounted += 1
        return True


def graph_of(images: Images) -> tuple[Graph, dict[str, Root]]:
    roots = {
        name: Root(Reference.parse(name), Descriptor.from_json(root))
        for name, root in images.names.items()
    }
    graph = walk([root.descriptor for root in roots.values()], reader_of(memory_of(images)))
    return graph, roots


def planned(graph: Graph, roots: list[Root], destination: Memory) -> Plan:
    wanted = [Wanted(root, 0, (0,)) for root in roots]
    missing = destination.missing(list(graph.closure(root.descriptor for root in roots)))
    return make_plan(wanted, graph, [missing])


def move(plan: Plan, source: Source, destination: Destination, **options: int) -> Outcome:
    return run(plan, [source], [destination], ignore, **options)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), jobs=st.sampled_from([1, 3, 8]))
def test_everything_arrives_once_and_children_first(seed: int, jobs: int) -> None:
    images = random_images(seed, n_images=3)
    graph, roots = graph_of(images)
    destination = Strict(graph)
    plan = planned(graph, list(roots.values()), destination)
    outcome = move(plan, memory_of(images), destination, jobs=jobs)
    assert not outcome.failures
    expected = {Digest.parse(text) for text in images.digests(*images.names)}
    assert set(destination.blobs) == expected
    assert destination.puts == dict.fromkeys(expected, 1)
    assert {str(root.name) for root in destination.roots} == set(images.names)
    again = planned(graph, list(roots.values()), destination)
    assert again.is_empty
    assert again.n_present == len(expected)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_one_bad_object_fails_just_the_images_that_need_it(seed: int, data: st.DataObject) -> None:
    images = random_images(seed, n_images=4)
    graph, roots = graph_of(images)
    bad = data.draw(st.sampled_from(sorted(graph.descriptors)))
    source = memory_of(images)
    source.blobs[bad] = bytes([*source.blobs[bad], 0])
    destination = Strict(graph)
    plan = planned(graph, list(roots.values()), destination)
    outcome = move(plan, source, destination, jobs=4)
    hit = {
        number
        for number, root in enumerate(roots.values())
        if any(item.digest == bad for item in graph.closure([root.descriptor]))
    }
    assert set(outcome.failures) == hit
    assert all(isinstance(error, ContentError) for error in outcome.failures.values())
    assert bad not in destination.blobs
    named = {str(root.name) for root in destination.roots}
    assert named == {name for number, name in enumerate(roots) if number not in hit}


def test_a_source_that_lies_or_fails_is_passed_over() -> None:
    images = random_images(7, n_images=2)
    graph, roots = graph_of(images)
    lying = memory_of(images)
    for digest in lying.blobs:
        lying.blobs[digest] = b"lies"
    broken = Breaking(memory_of(images), lambda _item: True)
    right = Counting(memory_of(images))
    destination = Strict(graph)
    wanted = [Wanted(root, 0, (0, 1, 2, 3)) for root in roots.values()]
    missing = destination.missing(list(graph.descriptors.values()))
    plan = make_plan(wanted, graph, [missing])
    outcome = run(plan, [KeptDocuments({}), lying, broken, right], [destination], ignore, retries=0)
    assert not outcome.failures
    assert set(right.opened) == set(graph.descriptors)


def test_within_a_registry_a_blob_is_sent_once_and_mounted_elsewhere() -> None:
    images = random_images(7, n_images=3)
    graph, roots = graph_of(images)
    places = [Strict(graph, "registry.example") for _ in range(3)]
    wanted = [Wanted(root, place, (0,)) for root in roots.values() for place in range(3)]
    everything = set(graph.descriptors)
    plan = make_plan(
        wanted, graph, [everything] * 3, mounts_with=[place.mounts_with for place in places]
    )
    outcome = run(plan, [memory_of(images)], places, ignore, jobs=4)
    assert not outcome.failures
    blobs = {digest for digest in everything if digest not in graph.documents}
    sent = sum((place.puts for place in places), Counter[Digest]())
    assert {digest: sent[digest] for digest in blobs} == dict.fromkeys(blobs, 1)
    assert outcome.n_mounted == 2 * len(blobs) == sum(place.n_mounted for place in places)


def test_what_one_repository_has_is_mounted_from_there() -> None:
    images = random_images(7, n_images=1)
    graph, roots = graph_of(images)
    full, empty = Strict(graph, "r"), Strict(graph, "r")
    full.blobs.update(memory_of(images).blobs)
    wanted = [Wanted(root, place, (0,)) for root in roots.values() for place in (1, 0)]
    missing = [place.missing(list(graph.descriptors.values())) for place in (full, empty)]
    plan = make_plan(wanted, graph, missing, mounts_with=["r", "r"])
    run(plan, [memory_of(images)], [full, empty], ignore)
    assert set(empty.puts) == set(graph.documents)


class Forgetful(Strict):
    """A registry that says it has everything, and at the first manifest that it has not."""

    def missing(self, descriptors: object) -> set[Digest]:
        return set(self.graph.documents)

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        for child in self.graph.children(descriptor.digest):
            if child.digest not in self.blobs:
                stream.read()
                msg = "blob unknown"
                raise ChildrenUnknown(msg)
        super().put(descriptor, stream)


def test_what_a_registry_forgot_is_sent_once_more() -> None:
    images = random_images(7, n_images=2)
    graph, roots = graph_of(images)
    destination = Forgetful(graph)
    plan = planned(graph, list(roots.values()), destination)
    outcome = move(plan, memory_of(images), destination, jobs=1)
    assert not outcome.failures
    assert set(destination.blobs) == set(graph.descriptors)


class Refusing(Memory):
    """A destination that raises what it was given, at every put."""

    def __init__(self, error: Exception) -> None:
        super().__init__("full")
        self.error = error

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        raise self.error


def test_a_destination_that_is_full_ends_the_run() -> None:
    images = random_images(7, n_images=2)
    graph, roots = graph_of(images)
    destination = Refusing(NoSpace("disk full"))
    with pytest.raises(NoSpace):
        move(planned(graph, list(roots.values()), destination), memory_of(images), destination)


def test_a_bug_ends_the_run_and_is_not_swallowed() -> None:
    images = random_images(7, n_images=2)
    graph, roots = graph_of(images)
    destination = Refusing(ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        move(planned(graph, list(roots.values()), destination), memory_of(images), destination)


class Limited(Memory):
    """A source whose quota is used up."""

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:  # type: ignore[override]
        msg = "docker.io: 100 pulls in 6 hours are used up"
        raise RateLimited(msg, hint="again in 3 hours", reset_s=10_800)


def test_a_spent_quota_ends_the_run_as_partial() -> None:
    images = random_images(7, n_images=2)
    graph, roots = graph_of(images)
    destination = Strict(graph)
    with pytest.raises(BudgetSpent, match="are used up") as spent:
        move(planned(graph, list(roots.values()), destination), Limited(), destination)
    assert spent.value.hint == "again in 3 hours"
    assert spent.value.exit_code == 3


def test_a_network_failure_at_the_destination_is_tried_again_with_a_fresh_stream() -> None:
    images = random_images(7, n_images=1)
    graph, roots = graph_of(images)

    class Cut(Strict):
        n_cuts = 0

        def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
            if self.n_cuts < 2:
                self.n_cuts += 1
                stream.read(1)
                msg = "connection reset by peer"
                raise Unreachable(msg)
            super().put(descriptor, stream)

    destination = Cut(graph)
    plan = planned(graph, list(roots.values()), destination)
    assert not move(plan, memory_of(images), destination, jobs=1, retries=2).failures
    assert set(destination.blobs) == set(graph.descriptors)


def test_events_tell_the_story() -> None:
    images = random_images(7, n_images=2)
    graph, roots = graph_of(images)
    destination = Strict(graph)
    events: list[Event] = []
    run(
        planned(graph, list(roots.values()), destination),
        [memory_of(images)],
        [destination],
        events.append,
    )
    assert isinstance(events[0], Planned)
    assert events[0].n_objects == len(graph.descriptors)
    assert sum(e.n_bytes for e in events if isinstance(e, Advanced)) == events[0].n_bytes
    assert {e.descriptor.digest for e in events if isinstance(e, Copied)} == set(graph.descriptors)
    assert {e.name for e in events if isinstance(e, Named)} == set(images.names)
    assert not [e for e in events if isinstance(e, Failed)]


def test_a_source_without_the_object_is_named() -> None:
    images = random_images(7, n_images=1)
    graph, roots = graph_of(images)
    source = memory_of(images)
    lost = next(digest for digest in graph.descriptors if digest not in graph.documents)
    del source.blobs[lost]
    destination = Strict(graph)
    outcome = move(planned(graph, list(roots.values()), destination), source, destination)
    assert isinstance(outcome.failures[0], NotFound)
    assert lost.short in outcome.failures[0].message
