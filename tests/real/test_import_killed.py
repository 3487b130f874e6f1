"""`kill -9` of an import at any moment: nothing looks whole that is not, and it can go on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.images import Images, tar_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd as Server

pytestmark = [pytest.mark.real, pytest.mark.slow]

NAMESPACE = "site"
ANCHORS = "imgsync.local/"
"""Records that keep what came before a run was killed; they are no images, and say so."""


@pytest.fixture
def images() -> Images:
    """Two images that are fetched, and some that are sent as a stream; they share a layer."""
    rng = random.Random(5)
    images = Images()

    def layer(n_bytes: int) -> object:
        return images.tar_layer(tar_of({"f": rng.randbytes(n_bytes)}), compression="none")

    shared = layer(9_000_000)
    for name in ("one", "two"):
        children = [
            images.image([shared, layer(9_000_000)], platform=platform)  # type: ignore[list-item]
            for platform in ("linux/amd64", "linux/arm64")
        ]
        images.name(f"harbor.example.com/big/{name}:1", images.index(children))
    for number in range(5):
        image = images.image([shared, layer(100_000)])  # type: ignore[list-item]
        images.name(f"harbor.example.com/small/app{number}:1", image)
    return images


def _import(archive: Path, containerd: Server, *more: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "imgsync", "import", str(archive), "--progress", "none"]
    words += ["--address", str(containerd.socket), "-n", NAMESPACE, *more]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _check_nothing_is_half(containerd: Server, images: Images) -> int:
    containerd.collect_garbage(NAMESPACE)
    blobs = containerd.blobs(NAMESPACE)
    by_digest = {root["digest"]: root for root in images.names.values()}
    records = {
        name: digest
        for name, digest in containerd.images(NAMESPACE).items()
        if not name.startswith(ANCHORS)
    }
    for name, digest in records.items():
        root = by_digest[digest]
        absent = {part["digest"] for part in images.closure(root)} - blobs
        assert not absent, f"{name} looks whole, and lacks {absent}"
    return len(records)


@pytest.mark.parametrize("carrier", ["auto", "stream"])
def test_killed_at_any_moment(
    new_containerd: Server, images: Images, tmp_path: Path, carrier: str
) -> None:
    archive = images.write_archive(tmp_path / "site.tar")
    more = [] if carrier == "auto" else ["--carrier", carrier]
    for moment in (0.3, 0.45, 0.6, 0.75, 0.9, 1.1):
        run = _import(archive, new_containerd, *more)
        time.sleep(moment)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        _check_nothing_is_half(new_containerd, images)
    run = _import(archive, new_containerd, *more)
    _, told = run.communicate()
    assert run.returncode == 0, told.decode()
    assert _check_nothing_is_half(new_containerd, images) == 2 * len(images.names)
    names = set(new_containerd.images(NAMESPACE))
    assert set(images.names) <= names
    assert not [name for name in names if name.startswith(ANCHORS)]
    assert new_containerd.blobs(NAMESPACE) == images.digests()


def test_interrupted_it_says_how_to_go_on(
    new_containerd: Server, images: Images, tmp_path: Path
) -> None:
    archive = images.write_archive(tmp_path / "site.tar")
    run = _import(archive, new_containerd)
    time.sleep(0.6)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate()
    if run.returncode == 0:
        pytest.skip("this machine was too fast")
    assert run.returncode == 130, told.decode()
    assert b"Traceback" not in told
    assert b"goes on" in told
    _check_nothing_is_half(new_containerd, images)
