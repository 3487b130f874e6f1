"""A ``.tar.zst`` at the far side: who reads it as it is, and `zstd -d` for all others."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from imgsync.bundling.bundle import bundle_to_file
from imgsync.bundling.request import BundleOptions
from imgsync.events import ignore
from imgsync.model.lock import DOCKER_PLATFORM
from tests.bundling.stores import memory_of, requests_of
from tests.images import load_layout
from tests.servers.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Images
    from tests.servers.containerd import Containerd

pytestmark = pytest.mark.real

APP = "registry.example/team/app:1.0"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fixture_images: Images) -> Path:
    path = tmp_path_factory.mktemp("packed") / "site.tar.zst"
    requests = requests_of(memory_of(fixture_images), fixture_images.names)
    bundle_to_file(requests, path, DOCKER_PLATFORM, BundleOptions(), ignore)
    return path


def run(*arguments: object) -> str:
    command = [str(argument) for argument in arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_skopeo_reads_it(site: Path, tmp_path: Path, fixture_images: Images) -> None:
    run(program("skopeo"), "copy", "--all", f"oci-archive:{site}:{APP}", f"oci:{tmp_path}/l:x")
    copied = load_layout(tmp_path / "l")
    assert fixture_images.digests(APP) <= copied.blobs.keys()


def test_podman_loads_it(site: Path) -> None:
    podman = program("podman")
    # podman refuses a runroot of more than 50 characters, which tmp_path is
    with tempfile.TemporaryDirectory(prefix="p") as folder:
        root = ["--root", f"{folder}/a", "--runroot", f"{folder}/b", "--storage-driver", "vfs"]
        assert APP in run(podman, *root, "load", "-i", site)


def test_ctr_imports_what_zstd_makes_of_it(
    site: Path, tmp_path: Path, fixture_images: Images, containerd: Containerd, namespace: str
) -> None:
    run(program("zstd"), "-d", "-q", site, "-o", tmp_path / "site.tar")
    containerd.import_archive(tmp_path / "site.tar", namespace)
    assert fixture_images.digests(APP) <= set(containerd.blobs(namespace))
