"""The namespace of kubernetes, where CRI adds records and labels of its own to what it sees."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.namespace import Containerd
from tests.images import Images
from tests.servers.containerd import Containerd as Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

NAME = "harbor.example.com/team/app:1"
MANAGED = {"io.cri-containerd.image": "managed"}


@pytest.fixture(scope="module")
def kubernetes() -> Iterator[Server]:
    """A containerd with the kubelet's side."""
    with Server(cri=True) as server:
        yield server


@pytest.fixture
def ours(kubernetes: Server) -> Containerd:
    return Containerd(Ctr(str(kubernetes.socket)), "k8s.io")


@pytest.fixture
def images() -> Images:
    images = Images()
    children = [
        images.image([images.layer({"own": name.encode()})], platform=name)
        for name in ("linux/amd64", "linux/arm64")
    ]
    images.name(NAME, images.index(children))
    return images


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cri_takes_over_what_was_imported(load: Loader, ours: Containerd, images: Images) -> None:
    digest = images.names[NAME]["digest"]
    config = images.children(images.children(images.names[NAME])[0])[0]["digest"]
    twin = f"{NAME.rpartition(':')[0]}@{digest}"
    result = load(images, pin=True)
    assert not result.failures
    _wait(lambda: config in ours.images.all())
    # What a pod asks for: by tag, by digest, and by the id that CRI gives.
    _wait(
        lambda: all(
            MANAGED.items() <= record.labels.items() for record in ours.images.all().values()
        )
    )
    assert set(ours.images.all()) == {NAME, twin, config}
    # The records of CRI's own are no images to anybody else.
    assert {str(root.name) for root in ours.bundle().roots} == {NAME, twin}
    again = load(images, pin=True)
    assert [image.status for image in again.imported] == ["unchanged"]
    for name in (NAME, twin):
        assert ours.images.all()[name].labels["io.cri-containerd.pinned"] == "pinned"
