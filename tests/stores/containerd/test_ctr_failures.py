"""Where plain ctr goes wrong without a word, each shown with a real one; and what imgsync does."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import DigestMismatch
from imgsync.model.platform import Platform
from imgsync.nodes.checking import check_images
from imgsync.nodes.looking import look
from tests.cli.run import imgsync
from tests.images import Images, sized_image
from tests.servers.containerd import version

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.nodes.checking import ImageCheck
    from imgsync.stores.containerd.namespace import Containerd
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

NAME = "h.example/team/app:1"
AMD64 = Platform("linux", "amd64")


def _seed(ours: Containerd) -> int:
    return int(ours.namespace[1:], 16)


def _only(ours: Containerd, *, with_hash: bool = False) -> ImageCheck:
    (image,) = check_images(look(ours, AMD64, with_hash=with_hash))
    return image


def test_a_killed_import_poisons_the_next(
    load: Loader, ours: Containerd, containerd: Server, tmp_path: Path
) -> None:
    images = sized_image(1, 3_000_000, name=NAME, seed=_seed(ours))
    layer = images.children(images.names[NAME])[1]["digest"]
    good = images.write_archive(tmp_path / "good.tar")
    bad = images.write_archive(
        tmp_path / "bad.tar", replace={layer: bytes(len(images.blobs[layer]))}
    )
    words = ["ctr", "--address", str(containerd.socket), "-n", ours.namespace]
    words += ["images", "import", "--all-platforms", "--no-unpack", "-"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as ctr:
        assert ctr.stdin is not None
        ctr.stdin.write(bad.read_bytes()[:2_000_000])
        ctr.stdin.flush()
        deadline = time.monotonic() + 10
        while "MB" not in (active := containerd.ctr("content", "active", namespace=ours.namespace)):
            assert time.monotonic() < deadline, active
            time.sleep(0.05)
        ctr.kill()
    # A perfect archive, status 0, and the layer is not there.
    containerd.import_archive(good, ours.namespace)
    assert layer not in containerd.blobs(ours.namespace)
    assert not _only(ours).runs_here
    assert not load(images).failures
    assert _only(ours, with_hash=True).is_whole
    containerd.collect_garbage(ours.namespace)
    assert layer in containerd.blobs(ours.namespace)


def test_importing_platform_by_platform_evicts(
    load: Loader, ours: Containerd, containerd: Server, tmp_path: Path
) -> None:
    platforms = ("linux/amd64", "linux/arm64")
    images = sized_image(1, 50_000, platforms=platforms, name=NAME, seed=_seed(ours))
    parts = [
        {item["digest"] for item in images.children(manifest)}
        for manifest in images.children(images.names[NAME])
    ]
    archive = images.write_archive(tmp_path / "a.tar")
    for platform in platforms:
        containerd.ctr(
            *("images", "import", "--platform", platform, "--no-unpack", archive),
            namespace=ours.namespace,
        )
    containerd.collect_garbage(ours.namespace)
    left = containerd.blobs(ours.namespace)
    # 2.x keeps both.
    assert (parts[0] <= left and parts[1] <= left) == (not version().startswith("1."))
    # Ours come together, whichever is first.
    load(images, absent=parts[1])
    load(images, absent=parts[0], required=Platform("linux", "arm64"))
    containerd.collect_garbage(ours.namespace)
    assert containerd.blobs(ours.namespace) == images.digests()
    assert _only(ours).is_whole


def test_corrupt_content_is_taken_with_status_0(
    load: Loader, ours: Containerd, containerd: Server, tmp_path: Path
) -> None:
    images = sized_image(1, 50_000, name=NAME, seed=_seed(ours))
    layer = images.children(images.names[NAME])[1]["digest"]
    bad = {layer: b"x" * len(images.blobs[layer])}
    containerd.import_archive(images.write_archive(tmp_path / "a.tar", replace=bad), ours.namespace)
    assert NAME in containerd.images(ours.namespace)
    assert [str(item.digest) for item in _only(ours).missing] == [layer]
    result = load(images, replace=bad)
    assert isinstance(result.imported[0].error, DigestMismatch)
    assert not load(images).failures


@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
def test_an_export_that_was_cut_short_is_found(
    load: Loader, ours: Containerd, containerd: Server, tmp_path: Path, share: float
) -> None:
    """The transfer service of 2.x does that in one of twenty runs, with status 0."""
    images = sized_image(3, 40_000, name=NAME, seed=_seed(ours))
    load(images)
    whole, cut = tmp_path / "whole.tar", tmp_path / "cut.tar"
    containerd.ctr("images", "export", "--all-platforms", whole, NAME, namespace=ours.namespace)
    imgsync("verify", whole)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * share) // 512 * 512])
    there = f"{ours.namespace}-b"
    assert imgsync("verify", cut, code=4).err
    ran = imgsync("import", cut, "--address", str(containerd.socket), "-n", there, code=4)
    assert ran.err
    assert containerd.images(there) == {}
    assert containerd.blobs(there) == set()


def test_a_name_is_repointed_without_a_word(
    ours: Containerd, containerd: Server, tmp_path: Path
) -> None:
    archives = []
    for number in range(2):
        images = Images()
        layer = images.layer({"n": f"{number} {ours.namespace}".encode()})
        images.name(NAME, images.image([layer]))
        archives.append(images.write_archive(tmp_path / f"{number}.tar"))
        containerd.import_archive(archives[-1], ours.namespace)
    node = ["--address", str(containerd.socket), "-n", ours.namespace]
    planned = imgsync("import", archives[0], *node, "--dry-run", "--format", "json")
    (image,) = planned.json["images"]
    assert image["before"] == {NAME: images.names[NAME]["digest"]}
    assert "replacing" in planned.err
    assert "replacing" in imgsync("import", archives[0], *node).err
    imgsync("import", archives[1], *node, "--on-existing-name", "error", code=2)
