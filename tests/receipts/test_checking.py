"""Receipts: read as they were written, and what they prove of a lock."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidArchive, VerificationFailed
from imgsync.model.digest import Digest
from imgsync.model.volumes import split
from imgsync.receipts.checking import State, check_receipts, platforms_in
from imgsync.receipts.record import (
    ARRIVED,
    NOT_ARRIVED,
    Amount,
    Arrival,
    BundleUsed,
    NodeReached,
    Receipt,
    source_of,
)
from tests.bundles import lock_of, memory_of
from tests.images import Images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.lock import Lock

WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
OTHER = Digest.of(b"other")
APP = "registry.example/app:1"


@pytest.fixture(scope="module")
def images() -> Images:
    """An index of two platforms under two names, a signature of it, and a single manifest."""
    images = Images()
    children = [
        images.image([images.layer({"a": platform.encode()})], platform=platform)
        for platform in ("linux/amd64", "linux/arm64")
    ]
    index = images.index(children)
    images.name(APP, index)
    images.name("registry.example/app:latest", index)
    images.name("registry.example/single:1", images.image([images.layer({"b": b"single"})]))
    images.referrer(index, "application/spdx+json", b"{}", "registry.example/app")
    return images


@pytest.fixture(scope="module")
def lock(images: Images) -> Lock:
    return lock_of(memory_of(images))


def receipt(lock: Lock, images: Sequence[Arrival], command: str = "push") -> Receipt:
    used = (BundleUsed("site.tar", lock.descriptor().digest),)
    where = ("harbor.example.com",)
    ended = WHEN + timedelta(seconds=5)
    return Receipt(command, "imgsync 1", "host", where, WHEN, ended, used, tuple(images), 3, 1000)


def all_of(lock: Lock, what: str = "pushed") -> list[Arrival]:
    return [
        Arrival(what, source_of(root), f"harbor.example.com/x/{root.label}", root.descriptor.digest)
        for root in lock.roots
    ]


def states(lock: Lock, images: Sequence[Arrival], command: str = "push") -> dict[str, State]:
    verdicts = check_receipts([receipt(lock, images, command)], [lock])
    return {verdict.source.partition("@")[0]: verdict.state for verdict in verdicts}


# --- the file ---------------------------------------------------------------------------------

TEXTS = st.text(max_size=20)
DIGESTS = st.binary(max_size=3).map(Digest.of)
ARRIVALS = st.builds(
    Arrival,
    st.sampled_from(sorted(ARRIVED | NOT_ARRIVED)),
    TEXTS,
    TEXTS,
    DIGESTS,
    TEXTS,
    st.none() | st.lists(TEXTS, max_size=3).map(tuple),
    TEXTS,
    TEXTS,
    st.none() | st.booleans(),
)
AMOUNTS = st.builds(Amount, st.integers(0, 2**60), st.integers(0, 2**60))
NODES = st.builds(NodeReached, TEXTS, TEXTS, AMOUNTS, AMOUNTS, AMOUNTS, TEXTS)
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda when: when.replace(microsecond=0))
RECEIPTS = st.builds(
    Receipt,
    st.sampled_from(["push", "import", "seed"]),
    TEXTS,
    TEXTS,
    st.lists(TEXTS, max_size=2).map(tuple),
    TIMES,
    TIMES,
    st.lists(st.builds(BundleUsed, TEXTS, st.none() | DIGESTS), max_size=2).map(tuple),
    st.lists(ARRIVALS, max_size=3).map(tuple),
    st.integers(0, 2**60),
    st.integers(0, 2**60),
    st.lists(NODES, max_size=2).map(tuple),
)


@given(RECEIPTS)
def test_a_receipt_is_read_as_it_was_written(written: Receipt) -> None:
    raw = written.to_bytes()
    read = Receipt.parse(raw, "r.json")
    assert read == written
    assert read.to_bytes() == raw


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"imgsync.receipt/1"', b'"imgsync.receipt/2"'),
        (b'"push"', b"7"),
        (b'"pushed"', b'"eaten"'),
        (b'"ended": "2024', b'"ended": "soon'),
        (b"09+00:00", b"09"),
        (b"sha256:", b"sha257:"),
        (b'"sent": {', b'"sent": {"more": 1,'),
        (b'"objects": 3', b'"objects": -3'),
        (b"{", b"{{"),
        (b'"where"', b'"more": 1, "where"'),
        (b'"host": "host"', b'"host": "host", "host": "host"'),
    ],
)
def test_anything_else_is_refused(lock: Lock, old: bytes, new: bytes) -> None:
    raw = receipt(lock, all_of(lock)).to_bytes()
    assert raw.replace(old, new) != raw
    with pytest.raises(InvalidArchive, match=r"r\.json"):
        Receipt.parse(raw.replace(old, new), "r.json")


# --- what it proves ---------------------------------------------------------------------------


@pytest.mark.parametrize("what", sorted(ARRIVED))
def test_everything_has_arrived(lock: Lock, what: str) -> None:
    assert set(states(lock, all_of(lock, what)).values()) == {State.ARRIVED}


@pytest.mark.parametrize("what", sorted(NOT_ARRIVED))
def test_what_has_not_is_told(lock: Lock, what: str) -> None:
    images = all_of(lock)
    images[0] = replace(images[0], what=what, error="quota")
    found = states(lock, images)
    assert found.pop(APP) == what
    assert set(found.values()) == {State.ARRIVED}


def test_a_name_that_no_receipt_has_is_missing_though_its_content_arrived(lock: Lock) -> None:
    found = states(lock, [item for item in all_of(lock) if ":latest" not in item.source])
    assert found.pop("registry.example/app:latest") == State.MISSING
    assert set(found.values()) == {State.ARRIVED}


def test_a_bundle_that_was_renamed_on_the_way_is_known_by_its_content(lock: Lock) -> None:
    images = [
        replace(item, source=item.source.replace("registry.example", "moved.example"))
        for item in all_of(lock)
    ]
    assert set(states(lock, images).values()) == {State.ARRIVED}


def test_signatures_are_not_missed_in_containerd(lock: Lock) -> None:
    images = [item for item in all_of(lock, "imported") if ":" in item.source.split("@")[0]]
    found = states(lock, images, "import")
    assert sorted(found.values()) == [State.ARRIVED] * 3 + [State.NOT_CARRIED]
    assert State.MISSING in states(lock, images, "push").values()


def test_an_image_of_which_a_platform_is_absent_is_there_in_part(lock: Lock) -> None:
    images = all_of(lock, "imported")
    images[0] = replace(images[0], platforms=("linux/amd64",))
    (verdict, *_) = check_receipts([receipt(lock, images, "import")], [lock])
    assert verdict.state is State.IN_PART
    assert verdict.lacks == ("linux/arm64",)
    assert not verdict.is_there


def test_all_that_the_bundle_had_is_enough(images: Images) -> None:
    partial = lock_of(memory_of(images), "linux/amd64")
    root = partial.roots[0]
    assert platforms_in(partial, root) == {"linux/amd64"}
    arrived = all_of(partial)
    arrived[0] = replace(arrived[0], digest=OTHER, platforms=("linux/amd64",))
    assert states(partial, arrived)[APP] is State.ARRIVED
    arrived[0] = replace(arrived[0], platforms=())
    assert states(partial, arrived)[APP] is State.IN_PART


def test_another_digest_without_a_reason_is_not_arrived(lock: Lock) -> None:
    images = all_of(lock)
    images[0] = replace(images[0], digest=OTHER)
    assert states(lock, images)[APP] is State.IN_PART


def test_several_receipts_are_taken_together(lock: Lock) -> None:
    images = all_of(lock)
    failed = [replace(item, what="failed") for item in images]
    verdicts = check_receipts([receipt(lock, failed), receipt(lock, images)], [lock])
    assert all(verdict.is_there for verdict in verdicts)


def test_receipts_of_volumes_are_about_the_whole(lock: Lock) -> None:
    plans = split(lock, 30_000)
    assert plans
    parts = [receipt(plan.lock, all_of(lock)) for plan in plans]
    verdicts = check_receipts(parts, [plans[0].lock])
    assert all(verdict.is_there for verdict in verdicts)
    assert len(verdicts) == len(lock.roots)


def test_without_a_lock_the_receipt_speaks_for_itself(lock: Lock) -> None:
    images = all_of(lock)
    images[1] = replace(images[1], what="failed")
    verdicts = check_receipts([receipt(lock, images)])
    assert [verdict.is_there for verdict in verdicts] == [True, False, True, True]


# --- what cannot be true ----------------------------------------------------------------------


def test_a_receipt_of_another_bundle_is_refused(lock: Lock, images: Images) -> None:
    other = lock_of(memory_of(images, [APP]))
    with pytest.raises(VerificationFailed, match=r"about another bundle: site\.tar"):
        check_receipts([receipt(other, all_of(lock))], [lock])
    nothing = replace(receipt(lock, all_of(lock)), bundles=(BundleUsed("x.tar", None),))
    with pytest.raises(VerificationFailed, match="no bundle"):
        check_receipts([nothing], [lock])


def test_a_receipt_that_names_what_was_not_carried_is_refused(lock: Lock) -> None:
    images = all_of(lock)
    images[0] = replace(images[0], source=f"registry.example/app:1@{OTHER}", digest=OTHER)
    with pytest.raises(VerificationFailed, match="which the lock does not have"):
        check_receipts([receipt(lock, images)], [lock])


# --- seeds: the same image on many nodes --------------------------------------------------------


def seeded(
    lock: Lock, by_node: dict[str, Sequence[Arrival]], *others: Receipt
) -> dict[str, tuple[State, dict[str, State]]]:
    images = [image for images in by_node.values() for image in images]
    nodes = tuple(NodeReached(label, "seeded") for label in by_node)
    whole = replace(receipt(lock, images, "seed"), nodes=nodes)
    verdicts = check_receipts([whole, *others], [lock])
    return {
        verdict.source.partition("@")[0]: (verdict.state, dict(verdict.nodes))
        for verdict in verdicts
    }


def on(node: str, lock: Lock, *, runs_here: bool | None = None, what: str = "imported") -> Any:
    return [
        replace(image, node=node, runs_here=runs_here, platforms=("linux/amd64",))
        for image in all_of(lock, what)
        if not image.source.startswith("sha256:")
    ]


def test_a_seed_has_arrived_when_it_is_on_every_node(lock: Lock) -> None:
    found = seeded(lock, {"a": on("a", lock, runs_here=True), "b": on("b", lock, runs_here=True)})
    assert {state for state, _ in found.values()} <= {State.ARRIVED, State.NOT_CARRIED}
    assert found[APP] == (State.ARRIVED, {})


def test_what_a_node_does_not_run_has_not_arrived_there(lock: Lock) -> None:
    found = seeded(lock, {"a": on("a", lock, runs_here=True), "b": on("b", lock, runs_here=False)})
    assert found[APP] == (State.IN_PART, {"b": State.IN_PART})


def test_of_chosen_platforms_all_must_be_there(lock: Lock) -> None:
    assert seeded(lock, {"a": on("a", lock)})[APP] == (State.IN_PART, {"a": State.IN_PART})


def test_a_node_that_was_not_reached_has_nothing(lock: Lock) -> None:
    found = seeded(lock, {"a": on("a", lock, runs_here=True), "b": []})
    assert found[APP] == (State.MISSING, {"b": State.MISSING})


def test_a_later_seed_of_that_node_completes_it(lock: Lock) -> None:
    later = replace(
        receipt(lock, on("b", lock, runs_here=True), "seed"), nodes=(NodeReached("b", "seeded"),)
    )
    first = {"a": on("a", lock, runs_here=True), "b": on("b", lock, runs_here=True, what="failed")}
    assert seeded(lock, first)[APP] == (State.FAILED, {"b": State.FAILED})
    assert seeded(lock, first, later)[APP] == (State.ARRIVED, {})


def test_a_push_does_not_stand_for_nodes(lock: Lock) -> None:
    pushed = receipt(lock, all_of(lock))
    first = {"a": on("a", lock, runs_here=True), "b": []}
    assert seeded(lock, first, pushed)[APP] == (State.MISSING, {"b": State.MISSING})
    first["b"] = on("b", lock, runs_here=True)
    assert seeded(lock, first, pushed)[APP] == (State.ARRIVED, {})


def test_without_a_lock_every_node_must_have_what_one_has(lock: Lock) -> None:
    nodes = (NodeReached("a", "seeded"), NodeReached("b", "failed", error="no route"))
    whole = replace(receipt(lock, on("a", lock, runs_here=True), "seed"), nodes=nodes)
    verdicts = check_receipts([whole])
    assert {(item.state, item.nodes) for item in verdicts} == {
        (State.MISSING, (("b", State.MISSING),))
    }
