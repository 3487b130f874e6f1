"""Volumes: together exactly the bundle, each within its size, the same on every host."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.documents import reader_of
from imgsync.errors import InvalidInput
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.lock import Lock
from imgsync.model.reference import Reference
from imgsync.model.tar_layout import tar_layout
from imgsync.model.volumes import closure_of, split, volume_numbers, whole_lock
from imgsync.walk import walk
from tests.bundling.stores import memory_of
from tests.images import Images, random_images


def lock_of(images: Images) -> Lock:
    roots = tuple(
        Root(Reference.parse(name), Descriptor.from_json(root))
        for name, root in images.names.items()
    )
    graph = walk([root.descriptor for root in roots], reader_of(memory_of(images)))
    return Lock.make(Bundle(roots), graph)


def least_size(lock: Lock) -> int:
    """What a volume takes with no blob in it, and a little."""
    documents = sum(2048 + item.size for item in lock.present() if item.is_document)
    return documents + 3 * len(lock.to_bytes()) + 10_000


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), more=st.integers(0, 5_000))
def test_volumes_are_together_exactly_the_bundle(seed: int, more: int) -> None:
    images = random_images(seed, n_images=4, layer_bytes=2_000)
    lock = lock_of(images)
    size = least_size(lock) + more
    plans = split(lock, size)
    present = [
        {item.digest for item in plan.lock.present() if not item.is_document} for plan in plans
    ]
    everything = {item.digest for item in lock.present() if not item.is_document}
    assert set().union(*present) == everything
    assert sum(map(len, present)) == len(everything)
    named = {root.label for plan in plans for root in plan.roots}
    assert named == {root.label for root in lock.roots}
    for number, plan in enumerate(plans, 1):
        layout = tar_layout(plan.lock, plan.roots)
        assert layout.size <= size or (plan.is_oversized and len(present[number - 1]) == 1)
        assert (plan.volume.number, plan.volume.of, plan.volume.size) == (number, len(plans), size)
        assert Lock.parse(plan.lock.to_bytes()) == plan.lock
        assert whole_lock(plan.lock) == lock
        assert split(whole_lock(plan.lock), size) == plans


def test_a_volume_knows_which_one_has_what_it_lacks() -> None:
    lock = lock_of(random_images(7, n_images=4, layer_bytes=20_000))
    plans = split(lock, least_size(lock) + 30_000)
    assert len(plans) > 1
    first = plans[0].lock
    numbers = volume_numbers(first)
    for digest, why in first.absent.items():
        assert why is AbsentReason.VOLUME
        assert digest not in plans[numbers[digest] - 1].lock.absent
    assert volume_numbers(lock) == {}


def test_images_that_share_are_whole_early() -> None:
    images = Images()
    base = images.layer({"base": bytes(range(256)) * 300}, compression="none")
    for number in range(6):
        own = images.layer({"own": bytes([number]) * 20_000}, compression="none")
        images.name(f"r.example/app:{number}", images.image([base, own]))
    lock = lock_of(images)
    plans = split(lock, least_size(lock) + 150_000)
    held = {item.digest for item in plans[0].lock.present()}
    whole = [root for root in plans[0].roots if closure_of(lock, root.descriptor.digest) <= held]
    assert len(whole) >= 3


def test_too_small_volumes_are_refused_with_the_size_that_is_needed() -> None:
    with pytest.raises(InvalidInput, match="cannot hold the manifests, which take"):
        split(lock_of(random_images(7, n_images=2)), 4_096)
