"""Images from one namespace into another, without their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.run import imgsync
from tests.images import sized_image

if TYPE_CHECKING:
    from imgsync.stores.containerd.namespace import Containerd
    from tests.images import Images
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

NAME = "h.example/team/app:1"


@pytest.fixture
def images(namespace: str) -> Images:
    platforms = ("linux/amd64", "linux/arm64")
    seed = int(namespace[1:], 16)
    return sized_image(2, 300_000, platforms=platforms, name=NAME, seed=seed)


def test_no_byte_moves(load: Loader, ours: Containerd, containerd: Server, images: Images) -> None:
    load(images)
    there = f"{ours.namespace}-k8s"
    words = ["copy-namespace", ours.namespace, there, "--address", str(containerd.socket)]
    ran = imgsync(*words, "--format", "json").json
    assert ran["sent_bytes"] == 0
    assert {image["status"] for image in ran["images"]} == {"imported"}
    assert NAME in containerd.images(there)
    containerd.ctr("images", "rm", *containerd.images(ours.namespace), namespace=ours.namespace)
    for namespace in (ours.namespace, there):
        containerd.collect_garbage(namespace)
    assert containerd.blobs(there) == images.digests()
    assert containerd.blobs(ours.namespace) == set()
    assert "has no image nothing" in imgsync(*words, "nothing", code=5).err


def test_what_is_there_in_part(
    ours: Containerd, containerd: Server, images: Images, load: Loader
) -> None:
    _, arm64 = images.children(images.names[NAME])
    lost = {item["digest"] for item in images.children(arm64)}
    load(images, absent=lost)
    there = f"{ours.namespace}-k8s"
    words = ["copy-namespace", ours.namespace, there, "--address", str(containerd.socket)]
    ran = imgsync(*words, NAME)
    assert "partial: linux/amd64" in ran.out
    assert containerd.blobs(there) == images.digests() - lost
    imgsync("copy-namespace", there, there, "--address", str(containerd.socket), code=2)
