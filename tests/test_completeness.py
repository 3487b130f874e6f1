"""Completeness: which platforms are whole, and what a node would run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.completeness import Completeness, completeness
from imgsync.documents import reader_of
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.walk import walk
from tests.bundles import memory_of
from tests.images import Images

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

NAME = "registry.example/app:1"


def state_of(images: Images, absent: Collection[str] = ()) -> Completeness:
    """The image without some of its digests."""
    memory = memory_of(images)
    for digest in absent:
        del memory.blobs[Digest.parse(digest)]
    root = Descriptor.from_json(images.names[NAME])
    graph = walk([root], reader_of(memory))
    return completeness(graph, root, lambda item: item.digest in memory.blobs)


def image_of(*platforms: str, shared: bool = True) -> Images:
    """One image of these platforms with a base layer that all share."""
    images = Images()
    base = images.layer({"base": b"base"})
    children = []
    for platform in platforms:
        own = images.layer({"own": platform.encode()})
        layers = [base, own] if shared else [own]
        children.append(images.image(layers, platform=platform, entrypoint=platform))
    images.name(NAME, images.index(children))
    return images


def parts_of(images: Images, platform: str) -> tuple[str, list[str]]:
    """Config and layers of a platform."""
    manifest = next(
        images.json(child["digest"])
        for child in images.children(images.names[NAME])
        if platform == f"{child['platform']['os']}/{child['platform']['architecture']}"
    )
    return manifest["config"]["digest"], [layer["digest"] for layer in manifest["layers"]]


def labels(states: Sequence[object]) -> list[str]:
    return [state.label for state in states]  # type: ignore[attr-defined]


def test_everything_is_there() -> None:
    state = state_of(image_of("linux/amd64", "linux/arm64"))
    assert state.is_whole
    assert labels(state.whole) == ["linux/amd64", "linux/arm64"]
    assert state.incomplete == ()


def test_a_platform_that_nobody_brought() -> None:
    images = image_of("linux/amd64", "linux/arm64")
    config, (_, own) = parts_of(images, "linux/arm64")
    state = state_of(images, [config, own])
    assert not state.is_whole
    assert labels(state.whole) == ["linux/amd64"]
    (arm,) = state.incomplete
    assert arm.is_left_out
    assert {str(item.digest) for item in arm.absent} == {config, own}


def test_a_platform_that_lost_something() -> None:
    images = image_of("linux/amd64", "linux/arm64")
    config, _ = parts_of(images, "linux/arm64")
    (arm,) = state_of(images, [config]).incomplete
    assert not arm.is_left_out


def test_a_shared_layer_is_missed_by_all() -> None:
    images = image_of("linux/amd64", "linux/arm64")
    _, (base, _) = parts_of(images, "linux/arm64")
    state = state_of(images, [base])
    assert state.whole == ()
    assert labels(state.incomplete) == ["linux/amd64", "linux/arm64"]


def test_a_manifest_that_is_absent_is_known_by_its_index() -> None:
    images = image_of("linux/amd64", "linux/arm64")
    arm = images.children(images.names[NAME])[1]["digest"]
    (state,) = state_of(images, [arm]).incomplete
    assert state.label == "linux/arm64"
    assert state.is_left_out
    assert state.is_image


def test_an_index_that_is_absent_hides_what_is_below() -> None:
    images = image_of("linux/amd64")
    state = state_of(images, [images.names[NAME]["digest"]])
    assert not state.is_whole
    assert state.states == ()
    assert [str(item.digest) for item in state.absent_indexes] == [images.names[NAME]["digest"]]


def test_attestations_do_not_run() -> None:
    images = Images()
    child = images.image([images.layer({"a": b"b"})])
    images.name(NAME, images.index([child, images.attestation(child)]))
    state = state_of(images)
    assert labels(state.whole) == ["linux/amd64"]
    assert [item.is_image for item in state.states] == [True, False]
    assert state.states[1].label.startswith("attestation sha256:")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64"),
        ("linux/arm64", "linux/arm64/v8"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v5", None),
        ("linux/s390x", None),
        ("windows/amd64", None),
    ],
)
def test_what_a_node_runs(host: str, expected: str | None) -> None:
    images = image_of("linux/arm/v6", "linux/amd64", "linux/arm64/v8", "linux/arm/v7")
    found = state_of(images).for_host(Platform.parse(host))
    assert (found.label if found is not None else None) == expected


def test_older_arm_runs_on_newer() -> None:
    found = state_of(image_of("linux/arm/v6")).for_host(Platform.parse("linux/arm64"))
    assert found is not None
    assert found.label == "linux/arm/v6"


def test_32_bits_run_on_64() -> None:
    assert state_of(image_of("linux/386")).for_host(Platform.parse("linux/amd64")) is not None


def test_an_image_that_says_no_platform_is_tried() -> None:
    images = Images()
    root = images.image([])
    images.name(NAME, root)
    assert state_of(images).for_host(Platform.parse("linux/amd64")) is not None
