"""A bundle in volumes: each a bundle, all together the whole, continued after a stop."""

import shutil
from pathlib import Path

import pytest

from imgsync.bundling.bundle import bundle_to_volumes
from imgsync.bundling.request import BundleOptions, Request
from imgsync.errors import AllFailed
from imgsync.events import ignore
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.opening import open_archive
from imgsync.verify import verify
from tests.bundling.stores import Breaking, Counting, memory_of, requests_of
from tests.images import Images, random_images

AMD64 = Platform("linux", "amd64")
SIZE = 90_000


def images_of_some_size() -> Images:
    return random_images(7, n_images=5, layer_bytes=60_000)


def volumes(
    requests: list[Request], folder: Path, *, jobs: int = 8, retries: int = 3
) -> list[Path]:
    options = BundleOptions(jobs=jobs, retries=retries)
    made = bundle_to_volumes(requests, folder / "site.tar", SIZE, AMD64, options, ignore)
    return [path for path, _, _ in made]


def test_each_volume_is_a_bundle_that_verifies_alone(tmp_path: Path) -> None:
    images = images_of_some_size()
    paths = volumes(requests_of(memory_of(images), images.names), tmp_path)
    assert len(paths) > 1
    held: set[str] = set()
    for path in paths:
        assert path.stat().st_size <= SIZE
        archive = open_archive(path)
        assert isinstance(archive, Archive)
        assert verify(archive).is_ok
        held |= {str(digest) for digest in archive.sizes()}
    assert images.digests(*images.names) <= held
    assert not list(tmp_path.glob("*partial*"))


def test_volumes_are_the_same_bytes_and_made_once(tmp_path: Path) -> None:
    images = images_of_some_size()
    counting = Counting(memory_of(images))
    paths = volumes(requests_of(counting, images.names), tmp_path)
    assert set(counting.opened.values()) == {1}
    other = tmp_path / "other"
    other.mkdir()
    names = list(reversed(images.names))
    again = volumes(requests_of(memory_of(images), names), other, jobs=1)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    before = [path.stat().st_mtime_ns for path in paths]
    volumes(requests_of(memory_of(images), names), tmp_path)
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_a_broken_off_set_is_continued(tmp_path: Path) -> None:
    images = images_of_some_size()
    memory = memory_of(images)
    whole = tmp_path / "whole"
    whole.mkdir()
    expected = volumes(requests_of(memory, images.names), whole)
    layers = sorted(
        (digest for digest, data in images.blobs.items() if len(data) > 30_000),
        key=lambda digest: len(images.blobs[digest]),
    )
    broken = Digest.parse(layers[-1])
    counting = Counting(memory)
    with pytest.raises(AllFailed):
        volumes(
            requests_of(Breaking(counting, lambda item: item.digest == broken), images.names),
            tmp_path,
            retries=0,
        )
    paths = volumes(requests_of(counting, images.names), tmp_path)
    assert max(counting.opened.values()) == 1
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in expected]
    shutil.rmtree(whole)
    assert not list(tmp_path.glob("*partial*"))
