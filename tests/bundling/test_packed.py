"""Bundles in one ``.tar.zst``: the same tar inside, read at random, and kill-safe."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zstandard

from imgsync.bundling import making
from imgsync.bundling.bundle import Bundled, bundle_to_file
from imgsync.bundling.request import BundleOptions, Request
from imgsync.errors import InvalidArchive, InvalidInput, NoSpace
from imgsync.events import Event, Noted, Report, ignore
from imgsync.model.digest import Digest
from imgsync.model.lock import DOCKER_PLATFORM
from imgsync.model.mapping import Mapping
from imgsync.model.seek_table import Frame, SeekTable
from imgsync.retagging import plan_renaming, rename_bundle
from imgsync.stores.archive import compressed
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.archive_file import journal_of, packed_of, partial_of
from imgsync.stores.archive.frames_file import FramesFile, open_by_position
from imgsync.stores.archive.opening import open_archive
from imgsync.verify import verify
from tests.bundling.stores import Counting, memory_of, requests_of
from tests.images import Images, sized_image
from tests.servers.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def make(requests: list[Request], path: Path, report: Report = ignore) -> Bundled:
    return bundle_to_file(requests, path, DOCKER_PLATFORM, BundleOptions(), report)


def make_all(images: Images, path: Path, names: Iterable[str] | None = None) -> Bundled:
    return make(requests_of(memory_of(images), names or images.names), path)


def inside(path: Path) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(path.read_bytes()), read_across_frames=True
    ) as reader:
        return reader.read()


@pytest.fixture
def images(fixture_images: Images) -> Images:
    """The fixtures, and an image whose layer takes several frames."""
    images = sized_image(n_layers=1, layer_bytes=9_000_000, platforms=("linux/amd64",))
    images.blobs.update(fixture_images.blobs)
    images.names.update(fixture_images.names)
    return images


def test_the_tar_inside_is_the_one_that_is_made_without(images: Images, tmp_path: Path) -> None:
    made = make_all(images, tmp_path / "site.tar.zst").made
    make_all(images, tmp_path / "site.tar")
    assert inside(tmp_path / "site.tar.zst") == (tmp_path / "site.tar").read_bytes()
    assert made.size == (tmp_path / "site.tar.zst").stat().st_size
    lock = (tmp_path / "site.tar.zst.lock.json").read_bytes()
    assert lock == (tmp_path / "site.tar.lock.json").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4


def test_the_zstd_tool_reads_it(images: Images, tmp_path: Path) -> None:
    path = tmp_path / "site.tzst"
    make_all(images, path)
    command = [str(program("zstd")), "-dc", str(path)]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    make_all(images, tmp_path / "site.tar")
    assert made == (tmp_path / "site.tar").read_bytes()


def test_it_is_read_and_verified_without_being_unpacked(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "site.tar.zst"
    make_all(images, path)
    monkeypatch.setattr(compressed, "anonymous_file", None)
    archive = open_archive(path)
    assert isinstance(archive, Archive)
    found = verify(archive, deep=True)
    assert found.is_ok
    assert not found.findings
    assert len(found.images) == len(images.names)


def test_only_what_is_needed_is_decompressed(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "site.tar.zst"
    make_all(images, path)
    sizes: list[int] = []
    content = FramesFile._decompress

    def counted(self: FramesFile, frame: Frame) -> bytes:
        data = content(self, frame)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(FramesFile, "_decompress", counted)
    archive = open_archive(path)
    archive.bundle()
    assert max(sizes) < 1_000_000


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_found(fixture_images: Images, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "site.tar.zst"
    make_all(fixture_images, path)
    whole = inside(path)
    data = bytearray(path.read_bytes())
    data[seed * 7919 * 31 % len(data)] ^= 1 << seed % 8
    path.write_bytes(data)
    # Some bits mean nothing, and those of the seek table nothing to other tools.
    assert is_refused(path) or inside(path) == whole


def is_refused(path: Path) -> bool:
    try:
        return not verify(open_archive(path)).is_ok
    except InvalidArchive:
        return True


# --- again, and broken off --------------------------------------------------------------------


def test_a_second_run_changes_nothing(images: Images, tmp_path: Path) -> None:
    path = tmp_path / "site.tar.zst"
    make_all(images, path)
    before = path.stat()
    source = Counting(memory_of(images))
    made = make(requests_of(source, images.names), path).made
    assert made.unchanged
    assert made.size == before.st_size
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    blobs = [key for key, n in source.opened.items() if n and not is_document(images, key)]
    assert not blobs


def test_a_tar_under_a_name_that_says_zst_is_made_again(images: Images, tmp_path: Path) -> None:
    make_all(images, tmp_path / "site.tar")
    path = tmp_path / "site.tar.zst"
    (tmp_path / "site.tar").rename(path)
    source = Counting(memory_of(images))
    assert not make(requests_of(source, images.names), path).made.unchanged
    assert isinstance(open_by_position(path), FramesFile)
    assert not [key for key in source.opened if not is_document(images, key)]


def test_what_the_file_under_this_name_has_is_not_fetched(images: Images, tmp_path: Path) -> None:
    path = tmp_path / "site.tar.zst"
    names = list(images.names)
    make_all(images, path, names[:-1])
    source = Counting(memory_of(images))
    made = make(requests_of(source, names), path).made
    assert not made.unchanged
    new = images.digests(*names) - images.digests(*names[:-1])
    fetched = {str(key) for key in source.opened if not is_document(images, key)}
    assert fetched <= new
    assert verify(open_archive(path)).is_ok


def is_document(images: Images, digest: Digest) -> bool:
    """Manifests, indexes and configs: they are read to plan."""
    return images.blobs[str(digest)].lstrip()[:1] == b"{"


KILLED = """
import os, signal, sys
from imgsync.stores.archive import packing
write, left = packing.write_all, [int(sys.argv.pop(1))]
def killed(fd, data):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(fd, data)
packing.write_all = killed
from imgsync.cli import main
main()
"""


def _bundle(layout: Path, path: Path, *, after: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(after), "bundle", f"oci:{layout}", "-o", str(path)]
    environment = {**os.environ, "COVERAGE_PROCESS_START": ""}
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_kill_9_within_compression_costs_nothing_but_time(
    images: Images, tmp_path: Path, after: int
) -> None:
    layout = tmp_path / "layout"
    images.write_layout(layout)
    never = _bundle(layout, tmp_path / "never.tar.zst", after=1_000_000)
    assert never.returncode == 0, never.stderr
    path = tmp_path / "site.tar.zst"
    killed = _bundle(layout, path, after=after)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not path.exists()
    assert partial_of(path).exists()
    assert packed_of(path).exists()
    again = _bundle(layout, path, after=1_000_000)
    assert again.returncode == 0, again.stderr
    assert "kept from an earlier run" in again.stderr
    assert path.read_bytes() == (tmp_path / "never.tar.zst").read_bytes()
    left = {file.name for file in tmp_path.glob("site*")}
    assert left == {"site.tar.zst", "site.tar.zst.lock.json"}


def test_a_crash_behind_the_rename_is_tidied_by_the_next_run(
    images: Images, tmp_path: Path
) -> None:
    path = tmp_path / "site.tar.zst"
    make_all(images, path)
    partial_of(path).write_bytes(b"rest")
    packed_of(path).write_bytes(b"rest")
    journal_of(path).write_bytes(b"")
    assert make_all(images, path).made.unchanged
    assert {file.name for file in tmp_path.iterdir()} == {path.name, f"{path.name}.lock.json"}


# --- room -------------------------------------------------------------------------------------


def test_room_for_both_is_asked_for_before_the_first_blob(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(making, "check_room", lambda _path, needed: asked.append(needed))
    make_all(images, tmp_path / "site.tar")
    make_all(images, tmp_path / "site.tar.zst")
    assert 2 * asked[0] < asked[1] < 2.01 * asked[0] + 50_000


def test_a_full_disk_while_compressing_keeps_the_tar(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "site.tar.zst"

    def full(_fd: int, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("imgsync.stores.archive.packing.write_all", full)
        with pytest.raises(NoSpace):
            make_all(images, path)
    assert not packed_of(path).exists()
    events: list[Event] = []
    source = Counting(memory_of(images))
    make(requests_of(source, images.names), path, events.append)
    assert any("kept" in event.message for event in events if isinstance(event, Noted))
    assert not [key for key in source.opened if not is_document(images, key)]
    assert verify(open_archive(path)).is_ok


# --- other names ------------------------------------------------------------------------------

TO = Mapping.parse("harbor.example.com/a-project-with-a-long-name")


def retagged(path: Path, out: Path | None) -> None:
    archive = open_archive(path)
    assert isinstance(archive, Archive)
    roots = archive.bundle().roots
    rename_bundle(archive, path, plan_renaming(roots, roots, TO), out)


def test_it_is_retagged_without_being_decompressed(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, path, out = tmp_path / "site.tar", tmp_path / "site.tar.zst", tmp_path / "new.tar.zst"
    make_all(images, plain)
    make_all(images, path)
    retagged(plain, tmp_path / "new.tar")
    sizes: list[int] = []
    content = FramesFile._decompress

    def counted(self: FramesFile, frame: Frame) -> bytes:
        data = content(self, frame)
        sizes.append(len(data))
        return data

    with monkeypatch.context() as patch:
        patch.setattr(FramesFile, "_decompress", counted)
        retagged(path, out)
    assert max(sizes) < 1_000_000
    assert inside(out) == (tmp_path / "new.tar").read_bytes()
    frames = open_by_position(out)
    assert isinstance(frames, FramesFile)
    assert frames.section(0, frames.size).read() == inside(out)
    assert verify(open_archive(out)).is_ok


def test_what_cannot_be_retagged_so_is_told(images: Images, tmp_path: Path) -> None:
    plain, path = tmp_path / "site.tar", tmp_path / "site.tar.zst"
    make_all(images, plain)
    make_all(images, path)
    with pytest.raises(InvalidInput, match="not changed in place"):
        retagged(path, None)
    with pytest.raises(InvalidInput, match=r"is compressed; .* says otherwise"):
        retagged(path, tmp_path / "new.tar")
    with pytest.raises(InvalidInput, match=r"is not compressed; .* says otherwise"):
        retagged(plain, tmp_path / "new.tar.zst")
    data = plain.read_bytes()
    parts = [data[start : start + 2**20] for start in range(0, len(data), 2**20)]
    compressor = zstandard.ZstdCompressor()
    frames = [compressor.compress(part) for part in parts]
    table = SeekTable(zip(map(len, frames), map(len, parts), strict=True))
    other = tmp_path / "other.tar.zst"
    other.write_bytes(b"".join(frames) + table.to_bytes())
    assert verify(open_archive(other)).is_ok
    with pytest.raises(InvalidArchive, match="something else than imgsync compressed it"):
        retagged(other, tmp_path / "new.tar.zst")
    assert not (tmp_path / "new.tar.zst").exists()
