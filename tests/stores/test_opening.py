"""Opening: every form that a user may name, compressed or not, and one clear error for the rest."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
import zstandard

from imgsync.content import read_verified
from imgsync.errors import (
    ContentError,
    ImgsyncError,
    InvalidArchive,
    InvalidReference,
    NoSpace,
    NotFound,
    StoreError,
)
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.image_source import ImageSource
from imgsync.model.reference import Reference
from imgsync.stores import Holding
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.compressed import anonymous_file
from imgsync.stores.archive.docker_save import DockerArchive
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from imgsync.stores.memory import Memory
from imgsync.stores.open import open_source
from imgsync.stores.selected import Selected
from imgsync.stores.single import Single
from tests.bundles import memory_of, write_bundle
from tests.images import Images, tar_of

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "registry.example/team/app:1"
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


@pytest.fixture
def images() -> Images:
    images = Images()
    images.name(NAME, images.image([images.layer({"a": bytes(100_000)})]))
    images.name("registry.example/team/other:2", images.image([]))
    return images


def no_containerd(_source: ImageSource) -> NoReturn:
    raise AssertionError


def opened(target: str, memory: Memory | None = None) -> Holding:
    return open_source(
        target, repository=lambda _reference: memory or Memory(), containerd=no_containerd
    )


def labels(holding: Holding) -> list[str]:
    return [root.label for root in holding.bundle().roots]


@pytest.mark.parametrize("how", COMPRESSORS)
def test_compressed_archives_are_told_by_their_bytes(
    tmp_path: Path, images: Images, how: str
) -> None:
    plain = images.write_archive(tmp_path / "plain.tar")
    packed = tmp_path / "whatever.name"
    packed.write_bytes(COMPRESSORS[how](plain.read_bytes()))
    before = set(tmp_path.iterdir())
    archive = open_archive(packed)
    assert archive.bundle() == open_archive(plain).bundle()
    assert archive.side == str(packed)
    for digest, size in archive.sizes().items():
        descriptor = Descriptor("", digest, size)
        assert read_verified(archive.open(descriptor), descriptor)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("how", COMPRESSORS)
def test_a_compressed_archive_that_was_cut_off_is_refused(
    tmp_path: Path, images: Images, how: str
) -> None:
    data = COMPRESSORS[how](images.write_archive(tmp_path / "plain.tar").read_bytes())
    path = tmp_path / "cut"
    for length in (7, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ContentError):
            open_archive(path)


def test_what_is_compressed_twice_is_refused(tmp_path: Path, images: Images) -> None:
    plain = images.write_archive(tmp_path / "plain.tar").read_bytes()
    path = tmp_path / "twice"
    path.write_bytes(gzip.compress(gzip.compress(plain)))
    with pytest.raises(InvalidArchive, match="is gzip once more"):
        open_archive(path)


def test_a_bomb_is_refused_at_its_first_block(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(zstandard.ZstdCompressor().compress(b"\1" * 2**28))
    with pytest.raises(InvalidArchive, match="is no tar archive"):
        open_archive(path)


def test_a_bomb_that_is_a_tar_stops_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(tar_of({"a": bytes(2**28)})))

    class Full:
        f_bavail = 80_000
        f_frsize = 4096

    real = os.statvfs
    calls = []

    def statvfs(folder: Path) -> object:
        calls.append(folder)
        return real(folder) if len(calls) < 3 else Full()

    monkeypatch.setattr("os.statvfs", statvfs)
    with pytest.raises(NoSpace, match="134217728 bytes were decompressed"):
        open_archive(path)


def test_the_temporary_file_goes_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder_of(*near: Path) -> Path:
        file, folder = anonymous_file(*near)
        file.close()
        return folder

    assert folder_of(tmp_path) == tmp_path
    assert folder_of(Path("/proc"), tmp_path) == tmp_path
    assert folder_of(Path("/proc")) == Path("/var/tmp")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert folder_of(Path("/var/tmp")) == tmp_path
    monkeypatch.setenv("TMPDIR", "/proc")
    with pytest.raises(ImgsyncError, match="/proc"):
        folder_of(tmp_path)


@pytest.mark.parametrize(
    ("members", "hint"),
    [
        ({"repositories": b"{}"}, "docker before 1.10"),
        ({"images/oci-layout": b"{}"}, "in the folder images"),
        ({"blobs/sha256/x": b"{}"}, "cut off"),
        ({"etc/passwd": b"root"}, "it begins with etc/passwd"),
    ],
)
def test_other_tars_are_refused_with_a_hint(
    tmp_path: Path, members: dict[str, bytes], hint: str
) -> None:
    path = tmp_path / "other.tar"
    path.write_bytes(tar_of(members))
    with pytest.raises(InvalidArchive, match="holds no images") as caught:
        open_archive(path)
    assert hint in caught.value.hint


def test_a_layout_without_its_index_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "cut.tar"
    path.write_bytes(tar_of({"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}))
    with pytest.raises(InvalidArchive, match=r"has no index\.json"):
        open_archive(path).bundle()


def test_a_layout_without_its_version_is_read_with_a_note(tmp_path: Path, images: Images) -> None:
    folder = images.write_layout(tmp_path / "layout")
    members = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "oci-layout"
    }
    path = tmp_path / "odd.tar"
    path.write_bytes(tar_of(members))
    archive = open_archive(path)
    assert labels(archive) == list(images.names)
    assert "no file oci-layout" in archive.notes()[0]


def test_junk_behind_the_end_and_a_missing_end_are_noted(tmp_path: Path, images: Images) -> None:
    path = images.write_archive(tmp_path / "a.tar")
    data = path.read_bytes()
    assert open_archive(path).notes() == []
    path.write_bytes(data + bytes(2**21))
    assert open_archive(path).notes() == []
    path.write_bytes(data + bytes(512) + b"junk")
    assert "516 bytes that are not of the tar" in open_archive(path).notes()[0]
    path.write_bytes(data.rstrip(b"\0"))
    assert "zeros are missing" in open_archive(path).notes()[0]


def test_content_has_a_place_in_the_file(tmp_path: Path, images: Images) -> None:
    archive = open_archive(images.write_archive(tmp_path / "a.tar"))
    for digest, size in archive.sizes().items():
        place = archive.place(digest)
        assert place is not None
        assert Digest.of(os.pread(place.fd, place.size, place.offset)) == digest
        stream = archive.open(Descriptor("", digest, size), 1)
        assert stream.read(1) == os.pread(place.fd, 1, place.offset + 1)
    assert archive.place(Digest.of(b"?")) is None


def test_a_stream_outlives_its_archive(tmp_path: Path, images: Images) -> None:
    archive = open_archive(images.write_archive(tmp_path / "a.tar"))
    digest, size = max(archive.sizes().items(), key=lambda item: item[1])
    descriptor = Descriptor("", digest, size)
    stream = archive.open(descriptor)
    del archive
    assert read_verified(stream, descriptor)


# --- what users name --------------------------------------------------------------------------


def test_files_and_folders(tmp_path: Path, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "site.tar", images)
    images.write_layout(tmp_path / "layout")
    images.write_docker_save(tmp_path / "docker.tar", NAME)
    monkeypatch.chdir(tmp_path)
    both = sorted(images.names)
    for target, kind, names in (
        ("site.tar", Archive, both),
        ("./site.tar", Archive, both),
        (str(tmp_path / "site.tar"), Archive, both),
        ("oci-archive:site.tar", Archive, both),
        ("layout", Layout, both),
        ("oci:layout", Layout, both),
        ("docker.tar", DockerArchive, [NAME]),
        ("docker-archive:docker.tar", DockerArchive, [NAME]),
        (f"oci:layout:{NAME}", Selected, [NAME]),
        ("oci:layout:1", Selected, [NAME]),
        (f"oci-archive:site.tar:{NAME}", Selected, [NAME]),
        (f"docker-archive:docker.tar:{NAME}", Selected, [NAME]),
    ):
        holding = opened(target)
        assert isinstance(holding, kind), target
        assert sorted(labels(holding)) == names, target


def test_a_selected_image_reads_like_its_store(tmp_path: Path, images: Images) -> None:
    images.write_layout(tmp_path)
    holding = opened(f"oci:{tmp_path}:{NAME}")
    (root,) = holding.bundle().roots
    assert holding.side == str(tmp_path)
    assert holding.resolve(Reference.parse(NAME)).descriptor == root.descriptor
    assert read_verified(holding.open(root.descriptor), root.descriptor)
    with pytest.raises(NotFound):
        holding.resolve(Reference.parse("registry.example/team/other:2"))


def test_a_label_that_is_only_a_tag(tmp_path: Path) -> None:
    """As ``skopeo copy … oci-archive:x.tar:latest`` writes it."""
    images = Images()
    images.name("latest", images.image([]))
    images.write_layout(tmp_path)
    (root,) = opened(f"oci:{tmp_path}:latest").bundle().roots
    assert root.name is None
    assert root.label == "latest"


def test_a_label_that_nothing_or_too_much_has(tmp_path: Path, images: Images) -> None:
    images.name("registry.example/team/more:2", images.names[NAME])
    images.write_layout(tmp_path)
    with pytest.raises(NotFound, match="has no image nothing:1") as caught:
        opened(f"oci:{tmp_path}:nothing:1")
    assert NAME in caught.value.hint
    with pytest.raises(NotFound, match="means several images"):
        opened(f"oci:{tmp_path}:2")


def test_an_image_of_a_registry(images: Images) -> None:
    memory = memory_of(images)
    holding = opened(f"docker://{NAME}", memory)
    assert isinstance(holding, Single)
    (root,) = holding.bundle().roots
    assert root.label == NAME
    assert root.origin == f"{NAME}@{root.descriptor.digest}"
    assert read_verified(holding.open(root.descriptor), root.descriptor)
    assert holding.resolve(Reference.parse(NAME)).descriptor == root.descriptor
    with pytest.raises(NotFound):
        holding.resolve(Reference.parse("other:1"))
    pinned = opened(f"{NAME}@{root.descriptor.digest}", memory).bundle().roots[0]
    assert (pinned.label, pinned.origin) == (NAME, root.origin)


def test_containerd_is_opened_by_the_caller() -> None:
    memory = Memory()
    seen: list[ImageSource] = []

    def containerd(source: ImageSource) -> Holding:
        seen.append(source)
        return memory

    for target in ("containerd:", "containerd:redis:7"):
        found = open_source(target, repository=lambda _: memory, containerd=containerd)
        assert found is memory
    assert [source.label for source in seen] == ["", "redis:7"]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("absent.tar", NotFound),
        ("./absent", NotFound),
        ("oci:absent", NotFound),
        ("oci:file.tar", StoreError),
        ("./folder", NotFound),
        ("./pipe", StoreError),
        ("file.tar", InvalidArchive),
        ("Upper Case", InvalidReference),
        ("Folder", InvalidReference),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, error: type[ImgsyncError]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.tar").write_bytes(b"nonsense")
    Path("folder").mkdir()
    Path("Folder").mkdir()
    os.mkfifo("pipe")
    with pytest.raises(error):
        opened(target).bundle()


def test_nothing_is_written_to_the_archive(tmp_path: Path, images: Images) -> None:
    path = images.write_archive(tmp_path / "a.tar")
    path.chmod(0o444)
    stream = open_archive(path).open(Descriptor("", Digest.parse(images.names[NAME]["digest"]), 1))
    assert isinstance(stream, io.RawIOBase)
    assert not stream.writable()


def test_what_comes_through_a_pipe_is_told_to_be_written_to_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for text in ("-", f"{tmp_path}/pipe"):
        with pytest.raises(ImgsyncError) as caught:
            opened(text)
        assert "to a file first" in caught.value.hint


def test_a_lock_in_the_place_of_its_bundle(tmp_path: Path) -> None:
    lock = tmp_path / "site.tar.lock.json"
    lock.write_bytes(b'{"format": "imgsync.lock/1"}' + b" " * 600)
    with pytest.raises(InvalidArchive) as caught:
        open_archive(lock)
    assert "the bundle is NAME.tar" in caught.value.hint
