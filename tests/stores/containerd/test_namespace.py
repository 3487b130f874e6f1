"""A namespace read as a store: names, bytes, and what it says of what is elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.content import read_verified
from imgsync.documents import reader_of
from imgsync.errors import ContainerdError, NotFound
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference
from imgsync.stores.containerd.socket import open_containerd
from imgsync.walk import walk
from tests.images import Images

if TYPE_CHECKING:
    from imgsync.stores.containerd.namespace import Containerd
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

NAME = "harbor.example.com/team/app:1"


@pytest.fixture
def images() -> Images:
    images = Images()
    layer = images.layer({"f": bytes(range(256)) * 4000}, compression="none")
    images.name(NAME, images.image([layer]))
    return images


def test_everything_is_read_back(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    bundle = ours.bundle()
    assert {str(root.name) for root in bundle.roots} == set(ours.images.all())
    graph = walk([root.descriptor for root in bundle.roots], reader_of(ours))
    assert not graph.problems
    assert {str(digest) for digest in graph.descriptors} == images.digests()
    for item in graph.descriptors.values():
        assert read_verified(ours.open(item), item) == images.blobs[str(item.digest)]


def test_reading_starts_where_it_is_asked_to(
    load: Loader, ours: Containerd, images: Images
) -> None:
    load(images)
    layer = Descriptor.from_json(images.children(images.names[NAME])[1])
    data = images.blobs[str(layer.digest)]
    for offset in (1, 70_000, len(data) - 1):
        stream = ours.open(layer, offset)
        assert stream.read(100) == data[offset : offset + 100]
        stream.close()


def test_what_is_not_there_is_not_found(ours: Containerd) -> None:
    absent = Descriptor("x", Digest.of(b"never"), 5)
    with pytest.raises(NotFound, match="is not there"):
        ours.open(absent).read(1)
    with pytest.raises(NotFound, match=f"{ours.namespace} has no image"):
        ours.resolve(Reference.parse("never/seen:1"))


def test_a_name_in_another_namespace_is_told(
    load: Loader, ours: Containerd, images: Images
) -> None:
    other = ours.other(f"{ours.namespace}-b")
    load(images, into=other)
    with pytest.raises(NotFound) as error:
        ours.image(Reference.parse(NAME))
    assert f"{ours.namespace}-b" in error.value.hint


def test_names_that_are_not_normalised_are_found(
    load: Loader, ours: Containerd, images: Images
) -> None:
    load(images)
    ours.images.tag(NAME, "redis:alpine")
    record = ours.record(Reference.parse("redis:alpine"))
    assert record.name == "redis:alpine"
    assert str(ours.image(Reference.parse("redis:alpine")).bundle().roots[0].name) == (
        "docker.io/library/redis:alpine"
    )
    (root,) = [root for root in ours.bundle().roots if root.extra == "redis:alpine"]
    assert str(root.name) == "docker.io/library/redis:alpine"


def test_a_name_with_a_digest_means_that_digest(
    load: Loader, ours: Containerd, images: Images
) -> None:
    load(images)
    digest = images.names[NAME]["digest"]
    assert ours.record(Reference.parse(f"{NAME}@{digest}")).name == NAME
    with pytest.raises(NotFound):
        ours.record(Reference.parse(f"{NAME}@sha256:{'0' * 64}"))


def test_a_root_that_is_gone(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images)
    containerd.ctr("content", "rm", images.names[NAME]["digest"], namespace=ours.namespace)
    assert {root.descriptor.size for root in ours.bundle().roots} == {0}
    roots = [root.descriptor for root in ours.bundle().roots]
    graph = walk(roots, reader_of(ours))
    assert set(graph.problems) == {root.digest for root in roots}


def test_namespaces_are_listed(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    assert ours.namespace in ours.namespaces()


def test_removing_says_what_stayed(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    ours.images.remove(NAME)
    assert NAME not in ours.images.all()
    ours.images.remove(NAME)  # as often as one likes


def test_a_daemon_that_went_away(new_containerd: Server) -> None:
    ours = open_containerd("k8s.io", address=str(new_containerd.socket))
    assert ours.ctr.versions().keys() == {"client", "server"}
    new_containerd.kill()
    with pytest.raises(ContainerdError, match=r"nobody answers|there is no socket"):
        open_containerd("k8s.io", address=str(new_containerd.socket))


def test_labels_of_content(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    digest = Digest.parse(images.names[NAME]["digest"])
    ours.content.label(digest, {"example.com/a": "b,c"})
    assert ours.content.labels()[digest]["example.com/a"] == "b,c"
    ours.content.label(digest, {"example.com/a": ""})
    assert "example.com/a" not in ours.content.labels()[digest]
