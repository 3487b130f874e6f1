"""The builder of test images, judged by tools that others wrote."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.images import Images, digest_of, random_images, sized_image
from tests.servers.docker import Docker
from tests.servers.programs import program


@pytest.mark.parametrize("seed", range(20))
def test_random_images_are_repeatable_and_whole(seed: int) -> None:
    images = random_images(seed)
    assert images == random_images(seed)
    assert len(images.names) == 3
    digests = [descriptor["digest"] for descriptor in images.closure(*images.roots())]
    assert len(digests) == len(set(digests))
    assert set(digests) <= set(images.blobs)


def test_the_closure_comes_children_first() -> None:
    images = random_images(5, max_depth=3)
    order = [part["digest"] for part in images.closure(*images.roots())]
    for part in images.closure(*images.roots()):
        for child in images.children(part):
            assert order.index(child["digest"]) < order.index(part["digest"])


def test_a_sized_image_has_that_size() -> None:
    images = sized_image(3, 100_000, platforms=("linux/amd64", "linux/arm64"))
    large = [data for data in images.blobs.values() if len(data) > 100_000]
    assert len(large) == 6
    assert all(len(data) < 103_000 for data in large)


@pytest.mark.real
def test_skopeo_reads_our_layouts_whole(fixture_images: Images, tmp_path: Path) -> None:
    skopeo = program("skopeo")
    name = "registry.example/team/app:1.0"
    layout = fixture_images.write_layout(tmp_path / "layout", [name])
    out = tmp_path / "out"
    subprocess.run(
        [skopeo, "copy", "--all", "--insecure-policy", f"oci:{layout}:{name}", f"dir:{out}"],
        check=True,
        capture_output=True,
    )
    copied = {digest_of(path.read_bytes()) for path in out.iterdir() if path.name != "version"}
    assert copied == fixture_images.digests(name)


def test_an_archive_can_lack_and_falsify(tmp_path: Path) -> None:
    images = sized_image(2, 100)
    manifest = images.json(images.names["registry.example/sized/app:1"]["digest"])
    first, second = (layer["digest"] for layer in manifest["layers"])
    path = images.write_archive(
        tmp_path / "bad.tar", leave_out=[first], replace={second: b"other bytes"}
    )
    with tarfile.open(path) as archive:
        names = archive.getnames()
        other = archive.extractfile(f"blobs/{second.replace(':', '/')}")
        assert other is not None
        assert other.read() == b"other bytes"
    assert f"blobs/{first.replace(':', '/')}" not in names
    assert names[-1] == "index.json"


@pytest.mark.real
def test_docker_loads_our_docker_save_archives(
    docker: Docker, fixture_images: Images, tmp_path: Path
) -> None:
    name = "registry.example/docker/single:1"
    path = fixture_images.write_docker_save(tmp_path / "save.tar", name)
    docker.docker("load", "--input", path)
    manifest = json.loads(fixture_images.blobs[fixture_images.names[name]["digest"]])
    assert docker.images()[name] == manifest["config"]["digest"]
