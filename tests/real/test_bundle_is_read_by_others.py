"""A bundle needs nothing of imgsync to be read: ctr, docker, podman, skopeo, umoci, tar."""

import hashlib
import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from imgsync.bundling.bundle import bundle_to_file
from imgsync.bundling.request import BundleOptions
from imgsync.events import ignore
from imgsync.model.platform import Platform
from tests.bundling.stores import memory_of, requests_of
from tests.images import Images
from tests.servers.containerd import Containerd
from tests.servers.docker import Docker
from tests.servers.programs import program

pytestmark = pytest.mark.real

APP = "registry.example/team/app:1.0"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fixture_images: Images) -> Path:
    """A bundle of every fixture image: signatures, artifacts, zstd layers and all."""
    path = tmp_path_factory.mktemp("bundle") / "site.tar"
    requests = requests_of(memory_of(fixture_images), fixture_images.names)
    bundle_to_file(requests, path, Platform("linux", "amd64"), BundleOptions(), ignore)
    return path


def run(*arguments: str | Path) -> str:
    return subprocess.run(
        [str(argument) for argument in arguments], check=True, capture_output=True, text=True
    ).stdout


def named(fixture_images: Images, site: Path) -> dict[str, str]:
    """The names that index.json gives, and their digests."""
    index = json.loads(run("tar", "-xOf", site, "index.json"))
    names = {
        entry["annotations"]["io.containerd.image.name"]: entry["digest"]
        for entry in index["manifests"]
        if "io.containerd.image.name" in entry["annotations"]
    }
    assert {name: fixture_images.names[name]["digest"] for name in names} == names
    return names


def test_plain_ctr_imports_every_image_whole(
    site: Path, fixture_images: Images, containerd: Containerd, namespace: str
) -> None:
    containerd.import_archive(site, namespace)
    images = containerd.images(namespace)
    names = named(fixture_images, site)
    assert {name: str(image) for name, image in images.items()} == names
    containerd.collect_garbage(namespace)
    assert fixture_images.digests(*names) <= set(containerd.blobs(namespace))


def test_docker_load_takes_what_it_can(site: Path, fixture_images: Images, docker: Docker) -> None:
    said = docker.docker("load", "-i", str(site))
    assert "Loaded image: registry.example/team/app:1.0" in said
    index = fixture_images.json(fixture_images.names[APP]["digest"])
    manifest = fixture_images.json(
        next(
            entry["digest"]
            for entry in index["manifests"]
            if entry["platform"]["architecture"] == "amd64"
        )
    )
    image = docker.docker("image", "inspect", "--format", "{{.Id}}", APP).strip()
    assert image == manifest["config"]["digest"]


def test_podman_loads_it(site: Path) -> None:
    podman = program("podman")
    # podman refuses a runroot of more than 50 characters, which tmp_path is
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        root = ["--root", f"{folder}/a", "--runroot", f"{folder}/b", "--storage-driver", "vfs"]
        said = run(podman, *root, "load", "-i", site)
    assert APP in said


def test_skopeo_copies_an_image_with_all_platforms(
    site: Path, fixture_images: Images, tmp_path: Path
) -> None:
    skopeo = program("skopeo")
    run(skopeo, "copy", "--all", f"oci-archive:{site}:{APP}", f"oci:{tmp_path}/out:app")
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert index["manifests"][0]["digest"] == fixture_images.names[APP]["digest"]
    blobs = {f"sha256:{file.name}" for file in (tmp_path / "out/blobs/sha256").iterdir()}
    assert blobs == fixture_images.digests(APP)


def test_umoci_lists_the_names(site: Path, fixture_images: Images, tmp_path: Path) -> None:
    umoci = program("umoci")
    run("tar", "-xf", site, "-C", tmp_path)
    assert set(run(umoci, "ls", "--layout", tmp_path).split()) >= set(named(fixture_images, site))


def test_tar_and_sha256sum_prove_every_blob(site: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        ["tar", "-xf", site, "-C", tmp_path], check=True, capture_output=True, text=True
    )
    assert said.stderr == ""
    folder = tmp_path / "blobs/sha256"
    for file in folder.iterdir():
        assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
