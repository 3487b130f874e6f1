"""The truth about a node, which ``ctr images check`` does not tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.nodes.checking import Kind, check_images, check_namespace
from imgsync.nodes.looking import look
from tests.images import Images

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.nodes.checking import ImageCheck
    from imgsync.nodes.facts import NamespaceFacts
    from imgsync.stores.containerd.namespace import Containerd
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

AMD64 = Platform("linux", "amd64")
NAME = "harbor.example.com/team/app:1"


@pytest.fixture
def images(namespace: str) -> Images:
    """Two platforms with an attestation each; no other test has any of it."""
    images = Images()
    children = [
        images.image([images.layer({"own": f"{name} {namespace}".encode()})], platform=name)
        for name in ("linux/amd64", "linux/arm64")
    ]
    children += [images.attestation(child) for child in list(children)]
    images.name(NAME, images.index(children))
    return images


def _look(ours: Containerd, *, with_hash: bool = False) -> NamespaceFacts:
    return look(ours, AMD64, with_hash=with_hash)


def _only(facts: NamespaceFacts) -> ImageCheck:
    (image,) = check_images(facts)
    return image


def _layer(images: Images, position: int) -> str:
    manifest = images.children(images.names[NAME])[position]
    digest: str = images.children(manifest)[1]["digest"]
    return digest


def test_what_we_loaded_is_whole(load: Loader, ours: Containerd, images: Images) -> None:
    load(images)
    image = _only(_look(ours, with_hash=True))
    assert (image.runs_here, image.is_whole, image.damaged) == (True, True, ())
    assert image.names[0] == NAME
    assert [finding.kind for finding in image.findings] == []
    assert check_namespace(_look(ours)) == ()


def test_a_default_import_is_told_to_be_partial(
    ours: Containerd, containerd: Server, images: Images, tmp_path: Path
) -> None:
    path = images.write_archive(tmp_path / "a.tar")
    containerd.ctr("images", "import", "--no-unpack", path, namespace=ours.namespace)
    containerd.collect_garbage(ours.namespace)
    assert "complete" in containerd.ctr("images", "check", namespace=ours.namespace)
    image = _only(_look(ours))
    assert (image.runs_here, image.is_whole) == (True, False)
    assert [state.label for state in image.state.whole] == ["linux/amd64"]
    assert {finding.kind for finding in image.findings} == {Kind.NO_TWIN}
    assert image.missing == ()  # those of the node's platform; the other was not brought


@pytest.mark.parametrize("position", [0, 1])
def test_a_layer_that_is_missing(
    ours: Containerd, containerd: Server, images: Images, tmp_path: Path, position: int
) -> None:
    lost = _layer(images, position)
    path = images.write_archive(tmp_path / "a.tar", leave_out=[lost])
    containerd.import_archive(path, ours.namespace)
    image = _only(_look(ours))
    assert image.runs_here is (position == 1)
    assert not image.is_whole
    assert [str(item.digest) for item in image.missing] == [lost]


def test_bit_rot_is_found_by_reading(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images)
    bad = _layer(images, 0)
    containerd.damage_blob(bad)
    assert "complete" in containerd.ctr("images", "check", namespace=ours.namespace)
    assert _only(_look(ours)).is_whole
    image = _only(_look(ours, with_hash=True))
    assert [str(digest) for digest in image.damaged] == [bad]
    assert (image.runs_here, image.is_whole) == (False, False)


def test_a_damaged_manifest_is_found_without(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images)
    manifest = images.children(images.names[NAME])[0]["digest"]
    containerd.damage_blob(manifest)
    image = _only(_look(ours))
    assert Digest.parse(manifest) in image.damaged
    assert not image.runs_here
    containerd.damage_blob(manifest)  # and back
    root = images.names[NAME]["digest"]
    containerd.damage_blob(root)
    image = _only(_look(ours))
    assert [str(digest) for digest in image.damaged] == [root]
    assert not image.runs_here


def test_a_size_that_lies(ours: Containerd, containerd: Server, tmp_path: Path) -> None:
    """Plain ctr takes it, and says complete."""
    images = Images()
    layer = images.layer({"own": ours.namespace.encode()})
    manifest = images.image([layer])
    value = images.json(manifest["digest"])
    value["layers"][0]["size"] += 5
    lying = images.blob(manifest["mediaType"], json.dumps(value).encode())
    images.name(NAME, lying)
    path = images.write_archive(tmp_path / "a.tar")
    containerd.import_archive(path, ours.namespace)
    assert "complete" in containerd.ctr("images", "check", namespace=ours.namespace)
    image = _only(_look(ours, with_hash=True))
    assert [str(digest) for digest in image.damaged] == [layer.descriptor["digest"]]
    assert not image.runs_here


def test_names_that_kubelets_do_not_find(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images, twins=False)
    wrong = f"harbor.example.com/team/app@sha256:{'0' * 64}"
    for name in ("redis:alpine", "Harbor.example.com/Team/App:1", wrong):
        containerd.name(NAME, name, ours.namespace)
    found = {(finding.subject, finding.kind) for finding in _only(_look(ours)).findings}
    assert ("redis:alpine", Kind.NOT_NORMALISED) in found
    assert ("Harbor.example.com/Team/App:1", Kind.NOT_A_NAME) in found
    assert (wrong, Kind.OTHER_DIGEST) in found
    assert (NAME, Kind.NO_TWIN) in found


def test_nothing_is_there(ours: Containerd) -> None:
    facts = _look(ours)
    assert check_images(facts) == ()
    assert check_namespace(facts) == ()


def test_a_root_that_is_gone(
    load: Loader, ours: Containerd, containerd: Server, images: Images
) -> None:
    load(images)
    containerd.ctr("content", "rm", images.names[NAME]["digest"], namespace=ours.namespace)
    image = _only(_look(ours))
    assert (image.runs_here, image.is_whole) == (False, False)
    assert [str(item.digest) for item in image.missing] == [images.names[NAME]["digest"]]
