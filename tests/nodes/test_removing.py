"""Taking images off a node."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import NotFound
from imgsync.model.platform import Platform
from imgsync.nodes.looking import look
from imgsync.nodes.removing import names_asked_for, names_not_in, plan_removal, remove
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.namespace import Containerd
from tests.cli.run import imgsync
from tests.images import Images
from tests.servers.containerd import Containerd as Server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

AMD64 = Platform("linux", "amd64")
ONE, TWO = "h.example/team/app:1", "h.example/team/app:2"


@pytest.fixture
def images(namespace: str) -> Images:
    """Two images with a layer in common."""
    images = Images()
    base = images.layer({"base": namespace.encode() * 100})
    for name in (ONE, TWO):
        layer = images.layer({"own": f"{name}{namespace}".encode()})
        images.name(name, images.index([images.image([base, layer], entrypoint=name)]))
    return images


def test_a_name_goes_with_all_that_holds_it(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images, pin=True)
    facts = look(ours, AMD64)
    removal = plan_removal(facts, names_asked_for(facts, [ONE]), {})
    assert set(removal.records) == {ONE, f"h.example/team/app@{images.names[ONE]['digest']}"}
    own = images.digests(ONE) - images.digests(TWO)
    assert {str(item.digest) for item in removal.content} == own
    assert set(containerd.images(ours.namespace)) > set(removal.records)
    freed = remove(ours, facts, removal)
    assert (freed.n_objects, freed.n_bytes) == (len(own), removal.n_bytes)
    assert containerd.blobs(ours.namespace) == images.digests(TWO)


def test_another_tag_keeps_the_content(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images)
    containerd.ctr("images", "tag", ONE, "h.example/team/app:same", namespace=ours.namespace)
    facts = look(ours, AMD64)
    removal = plan_removal(facts, {ONE}, {})
    assert removal.records == (ONE,)
    assert removal.content == ()


def test_what_is_used_stays(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    facts = look(ours, AMD64)
    twin = f"h.example/team/app@{images.names[ONE]['digest']}"
    removal = plan_removal(facts, names_not_in(facts, ()), {twin: "c1"})
    assert set(removal.kept) == {ONE, twin}
    assert TWO in removal.records
    assert ONE not in removal.records


def test_what_is_not_there(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    facts = look(ours, AMD64)
    assert names_asked_for(facts, ["h.example/*:?"]) == {ONE, TWO}
    with pytest.raises(NotFound):
        names_asked_for(facts, ["nowhere"])


def test_what_another_namespace_has_is_not_freed(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images)
    load(images, into=ours.other(f"{ours.namespace}-b"))
    facts = look(ours, AMD64)
    freed = remove(ours, facts, plan_removal(facts, names_not_in(facts, ()), {}))
    assert freed.n_objects == len(images.digests())
    assert freed.n_bytes == 0
    assert freed.shared_bytes == sum(len(images.blobs[digest]) for digest in images.digests())
    assert containerd.blobs(ours.namespace) == set()


def test_beside_the_kubelet(images: Images, tmp_path: Path) -> None:
    """The record that CRI makes holds the content; a container that was made holds its image."""
    archive = images.write_archive(tmp_path / "a.tar")
    with Server(cri=True) as server:
        node: list[str | Path] = ["--address", server.socket, "-n", "k8s.io"]
        imgsync("import", archive, *node, "--pin", "--unpack")
        config = images.children(images.children(images.names[ONE])[0])[0]["digest"]
        deadline = time.monotonic() + 10
        while config not in server.images("k8s.io"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.ctr(
            *("containers", "create", "--snapshotter", "native", TWO, "mine"), namespace="k8s.io"
        )
        ours = Containerd(Ctr(str(server.socket)), "k8s.io")
        assert ours.used_images() == {TWO: "mine"}
        said = imgsync("rm", *node, "*")
        assert "--yes does it" in said.out
        assert ONE in server.images("k8s.io")
        ran = imgsync("rm", *node, "*", "--yes", code=5)
        assert f"{TWO} stays: container mine uses it" in ran.out
        assert f"{config} removed" in ran.out
        assert "in use" in ran.err
        left = server.images("k8s.io")
        assert TWO in left
        assert not {ONE, config} & left.keys()
        assert not (images.digests(ONE) - images.digests(TWO)) & server.blobs("k8s.io")


def test_what_is_not_in_a_lock(
    load: Loader, ours: Containerd, containerd: Server, images: Images, tmp_path: Path
) -> None:
    load(images)
    archive = images.write_archive(tmp_path / "a.tar", [TWO])
    imgsync("bundle", f"oci-archive:{archive}", "-o", tmp_path / "b.tar")
    node = ["--address", str(containerd.socket), "-n", ours.namespace]
    lock = tmp_path / "b.tar.lock.json"
    planned = imgsync("rm", *node, "--not-in", lock, "--format", "json").json
    assert planned["done"] is False
    done = imgsync("rm", *node, "--not-in", lock, "--yes", "--format", "json").json
    assert done["freed_bytes"] == planned["bytes"] > 0
    assert containerd.blobs(ours.namespace) == images.digests(TWO)
    assert "--waiting" in imgsync("rm", *node, code=2).err
    assert "would free 0 objects" in imgsync("rm", *node, "--waiting").out
