"""Whatever is done to a bundle is found, and healed to the byte."""

import random
from pathlib import Path

import pytest

from imgsync.bundling.bundle import bundle_to_file
from imgsync.bundling.request import BundleOptions
from imgsync.errors import InvalidArchive, InvalidInput
from imgsync.events import Event, Noted, ignore
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.repairing.damaged import DamagedBundle
from imgsync.repairing.repair import damage_of, repair, request_of
from imgsync.repairing.request import RepairRequest
from tests.bundling.stores import Counting, memory_of, requests_of
from tests.images import Images, random_images
from tests.repairing.corruptions import CORRUPTIONS, Corruption


@pytest.fixture(scope="module")
def images() -> Images:
    return random_images(7, n_images=4, layer_bytes=3_000)


@pytest.fixture(scope="module")
def whole(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "site.tar"
    requests = requests_of(memory_of(images), images.names)
    bundle_to_file(requests, path, Platform("linux", "amd64"), BundleOptions(), ignore)
    return path


def damaged(whole: Path, folder: Path, data: bytes, *, lock_beside: bool = True) -> Path:
    path = folder / "site.tar"
    path.write_bytes(data)
    if lock_beside:
        lock = whole.with_name("site.tar.lock.json")
        path.with_name("site.tar.lock.json").write_bytes(lock.read_bytes())
    return path


@pytest.mark.parametrize("corrupt", CORRUPTIONS)
@pytest.mark.parametrize("seed", range(10))
def test_every_corruption_is_found_and_healed(
    corrupt: Corruption, seed: int, whole: Path, images: Images, tmp_path: Path
) -> None:
    right = whole.read_bytes()
    data = bytearray(right)
    corrupt(data, random.Random(seed))
    path = damaged(whole, tmp_path, bytes(data))
    source = Counting(memory_of(images))
    with DamagedBundle(path) as bundle:
        assert damage_of(bundle).is_none == (bytes(data) == right)
        result = repair(bundle, [source], None, ignore)
    assert not result.left
    assert path.read_bytes() == right
    assert len(source.opened) == len(result.damage.blobs)


def test_a_bundle_without_damage_is_left_alone(whole: Path, tmp_path: Path) -> None:
    path = damaged(whole, tmp_path, whole.read_bytes())
    before = path.stat().st_mtime_ns
    with DamagedBundle(path) as bundle:
        assert repair(bundle, [], None, ignore).damage.is_none
    assert path.stat().st_mtime_ns == before


def test_the_lock_within_the_bundle_is_enough(whole: Path, images: Images, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    data[-5_000] ^= 1
    path = damaged(whole, tmp_path, bytes(data), lock_beside=False)
    with DamagedBundle(path) as bundle:
        repair(bundle, [memory_of(images)], None, ignore)
    assert path.read_bytes() == whole.read_bytes()


def test_without_any_lock_it_says_what_to_carry(whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    data[600] ^= 1
    path = damaged(whole, tmp_path, bytes(data), lock_beside=False)
    with pytest.raises(InvalidArchive, match="its lock is damaged") as refused:
        DamagedBundle(path)
    assert "site.tar.lock.json" in refused.value.hint


def test_what_nobody_has_stays_bad_and_names_its_images(
    whole: Path, images: Images, tmp_path: Path
) -> None:
    data = bytearray(whole.read_bytes())
    blob = max(images.digests(*images.names), key=lambda digest: len(images.blobs[digest]))
    data[data.index(images.blobs[blob])] ^= 1
    path = damaged(whole, tmp_path, bytes(data))
    with DamagedBundle(path) as bundle:
        result = repair(bundle, [], None, ignore)
    assert [(str(item.digest), bool(names)) for item, names in result.left] == [(blob, True)]


def test_origins_are_asked_where_no_helper_has_it(
    whole: Path, images: Images, tmp_path: Path
) -> None:
    data = bytearray(whole.read_bytes())
    blob = max(images.digests(*images.names), key=lambda digest: len(images.blobs[digest]))
    data[data.index(images.blobs[blob])] ^= 1
    path = damaged(whole, tmp_path, bytes(data))
    memory = memory_of(images)
    asked: list[str] = []

    def open_repository(reference: object) -> object:
        asked.append(str(reference))
        return memory

    with DamagedBundle(path) as bundle:
        result = repair(bundle, [], open_repository, ignore)  # type: ignore[arg-type]
    assert not result.left
    assert asked
    assert path.read_bytes() == whole.read_bytes()


def test_a_request_names_the_bad_blobs_and_their_origins(
    whole: Path, images: Images, tmp_path: Path
) -> None:
    data = bytearray(whole.read_bytes())
    blob = max(images.digests(*images.names), key=lambda digest: len(images.blobs[digest]))
    data[data.index(images.blobs[blob])] ^= 1
    path = damaged(whole, tmp_path, bytes(data))
    with DamagedBundle(path) as bundle:
        request = request_of(bundle, damage_of(bundle))
    assert request.blobs == (Digest.parse(blob),)
    assert all("@sha256:" in image.origin for image in request.images)
    assert RepairRequest.parse(request.to_bytes(), "want.json") == request


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"format":"imgsync.want/2"}'])
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"want\.json"):
        RepairRequest.parse(raw, "want.json")


def test_lost_names_are_told(whole: Path, images: Images, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    place = data.rindex(b"io.containerd.image.name")
    data[place] ^= 1
    path = damaged(whole, tmp_path, bytes(data))
    events: list[Event] = []
    with DamagedBundle(path) as bundle:
        repair(bundle, [memory_of(images)], None, events.append)
    assert any("names that were given" in e.message for e in events if isinstance(e, Noted))
    assert path.read_bytes() == whole.read_bytes()


def test_a_broken_off_repair_is_continued(whole: Path, images: Images, tmp_path: Path) -> None:
    data = bytearray(len(whole.read_bytes()))
    path = damaged(whole, tmp_path, bytes(data))
    half = memory_of(images)
    for digest in sorted(half.blobs)[::2]:
        del half.blobs[digest]
    with DamagedBundle(path) as bundle:
        first = repair(bundle, [half], None, ignore)
    assert first.left
    with DamagedBundle(path) as bundle:
        second = repair(bundle, [memory_of(images)], None, ignore)
    assert len(second.damage.blobs) == len(first.left)
    assert path.read_bytes() == whole.read_bytes()
