"""Verification of a damaged bundle lists whatever repair would heal."""

import random
from pathlib import Path

import pytest

from imgsync.errors import InvalidArchive
from imgsync.model.digest import Digest
from imgsync.model.tar_layout import tar_layout
from imgsync.stores.archive.by_lock import ArchiveByLock
from imgsync.stores.archive.opening import open_archive, open_damaged
from imgsync.verify import verify
from tests.bundles import lock_of, memory_of, write_bundle
from tests.images import Images, random_images
from tests.repairing.corruptions import CORRUPTIONS, Corruption


@pytest.fixture(scope="module")
def images() -> Images:
    return random_images(7, n_images=3, layer_bytes=3_000)


@pytest.fixture
def site(images: Images, tmp_path: Path) -> Path:
    path = write_bundle(tmp_path / "site.tar", images)
    lock = lock_of(memory_of(images))
    path.with_name("site.tar.lock.json").write_bytes(lock.to_bytes())
    return path


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
@pytest.mark.parametrize("seed", range(5))
def test_every_bad_blob_is_told(corrupt: Corruption, seed: int, images: Images, site: Path) -> None:
    right = site.read_bytes()
    data = bytearray(right)
    corrupt(data, random.Random(seed))
    site.write_bytes(data)
    found = verify(open_damaged(site))
    assert found.is_ok == (bytes(data) == right)
    lock = lock_of(memory_of(images))
    bad = {
        digest
        for digest, place in tar_layout(lock).places.items()
        if Digest.of(bytes(data[place.offset : place.offset + place.size])) != digest
    }
    assert bad <= {item.digest for item in found.findings}
    assert {image.root.label for image in found.images} == {root.label for root in lock.roots}


def test_a_header_is_damage_and_the_content_is_whole(site: Path, images: Images) -> None:
    data = bytearray(site.read_bytes())
    layer = max((images.blobs[digest] for digest in images.digests()), key=len)
    data[data.index(layer) - 500] ^= 1
    site.write_bytes(data)
    with pytest.raises(InvalidArchive, match="checksum") as refused:
        open_archive(site)
    assert f"imgsync repair {site}" in refused.value.hint
    holding = open_damaged(site)
    assert isinstance(holding, ArchiveByLock)
    found = verify(holding, deep=True)
    assert all(image.is_ok for image in found.images)
    assert [item.kind for item in found.findings] == ["archive", "archive"]
    assert {item.advice for item in found.findings} == {
        f"imgsync repair {site} heals it, and fetches only what is bad"
    }


def test_the_lock_of_another_file_is_not_believed(site: Path) -> None:
    site.write_bytes(b"nothing of a bundle " * 2000)
    with pytest.raises(InvalidArchive, match="not a tar archive") as refused:
        open_damaged(site)
    assert "repair" not in refused.value.hint
