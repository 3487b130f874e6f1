"""containerd starts, takes an archive, and shows what it holds."""

import re
from pathlib import Path

import pytest

from tests.images import Images
from tests.servers.containerd import Containerd, CtrFailed

pytestmark = pytest.mark.real

NAME = "registry.example/team/app:1.0"


def test_it_imports_an_archive(
    containerd: Containerd, namespace: str, fixture_images: Images, tmp_path: Path
) -> None:
    archive = fixture_images.write_archive(tmp_path / "app.tar", [NAME])
    containerd.import_archive(archive, namespace)
    root = fixture_images.names[NAME]["digest"]
    assert containerd.images(namespace) == {NAME: root}
    containerd.collect_garbage(namespace)
    assert containerd.blobs(namespace) == fixture_images.digests(NAME)
    assert containerd.read_blob(root, namespace) == fixture_images.blobs[root]


def test_it_takes_an_archive_from_a_pipe(
    containerd: Containerd, namespace: str, fixture_images: Images, tmp_path: Path
) -> None:
    archive = fixture_images.write_archive(tmp_path / "app.tar", [NAME])
    command = ("images", "import", "--all-platforms", "--no-unpack", "-")
    containerd.ctr(*command, namespace=namespace, stdin=archive.read_bytes())
    assert NAME in containerd.images(namespace)
    with archive.open("rb") as file:
        containerd.ctr(*command, namespace=f"{namespace}-too", stdin=file)
    assert NAME in containerd.images(f"{namespace}-too")


def test_content_outlives_a_power_cut_and_can_rot(
    new_containerd: Containerd, fixture_images: Images, tmp_path: Path
) -> None:
    archive = fixture_images.write_archive(tmp_path / "app.tar", [NAME])
    new_containerd.import_archive(archive)
    new_containerd.kill()
    new_containerd.start()
    assert NAME in new_containerd.images()
    layer = fixture_images.json(fixture_images.names[NAME]["digest"])["manifests"][0]["digest"]
    new_containerd.damage_blob(layer)
    assert new_containerd.read_blob(layer) != fixture_images.blobs[layer]


def test_a_failure_is_told(containerd: Containerd) -> None:
    with pytest.raises(CtrFailed, match="not found"):
        containerd.ctr("content", "get", "sha256:" + "0" * 64)


def test_the_kubelet_s_side_sees_what_is_imported(fixture_images: Images, tmp_path: Path) -> None:
    archive = fixture_images.write_archive(tmp_path / "app.tar", [NAME])
    with Containerd(cri=True) as containerd:
        containerd.import_archive(archive, "k8s.io")
        assert re.search(r"\bcri +\S+ +ok\b", containerd.ctr("plugins", "ls"))
