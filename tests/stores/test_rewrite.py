"""Names of a bundle change, its blobs do not; whatever moment a change breaks off at."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from imgsync.bundling.bundle import bundle_to_file
from imgsync.bundling.request import BundleOptions
from imgsync.errors import AccessDenied, Conflict, InvalidArchive, LockHeld, NoSpace, StoreError
from imgsync.events import ignore
from imgsync.model.bundle import Root
from imgsync.model.lock import DOCKER_PLATFORM, Lock
from imgsync.model.mapping import Mapping
from imgsync.model.tar_layout import tar_layout
from imgsync.stores.archive import rewrite
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.archive.redo import Redo, finish_rewrite, redo_of, rewrite_in_place
from imgsync.stores.archive.rewrite import renamed_in_place, renamed_to_file
from tests.bundling.stores import memory_of, requests_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.images import Images

TO = Mapping.parse("harbor.example.com/a-project-with-a-long-name")


@dataclass(frozen=True)
class Made:
    """A bundle and what it would be under other names."""

    path: Path
    lock: Lock
    old: tuple[Root, ...]
    new: tuple[Root, ...]
    before: bytes
    after: bytes

    @property
    def redo(self) -> Redo:
        offset = next(m.offset for m in tar_layout(self.lock).members if m.name == "manifest.json")
        lock = self.lock.descriptor().digest
        return Redo(lock, offset, self.before[offset:], self.after[offset:])


@pytest.fixture
def made(tmp_path: Path, fixture_images: Images) -> Made:
    path = tmp_path / "site.tar"
    requests = requests_of(memory_of(fixture_images), fixture_images.names)
    bundle_to_file(requests, path, DOCKER_PLATFORM, BundleOptions(), ignore)
    archive = open_archive(path)
    assert isinstance(archive, Archive)
    lock = archive.lock()
    assert lock is not None
    old = archive.bundle().roots
    new = TO.relocate(old)
    # A bundle that is made under these names is the same file.
    other = tmp_path / "other" / "site.tar"
    other.parent.mkdir()
    layout = tar_layout(lock, new)
    before = path.read_bytes()
    tail = next(m.offset for m in layout.members if m.name == "manifest.json")
    after = bytearray(layout.size)
    after[:tail] = before[:tail]
    for member in layout.members:
        if member.data is not None:
            after[member.offset : member.data_offset] = member.header
            after[member.data_offset : member.data_offset + member.size] = member.data
    return Made(path, lock, old, new, before, bytes(after))


def test_a_new_bundle_has_the_new_names_and_the_old_one_is_untouched(
    made: Made, tmp_path: Path
) -> None:
    out = tmp_path / "moved.tar"
    renamed_to_file(made.path, out, made.lock, made.old, made.new)
    assert out.read_bytes() == made.after
    assert made.path.read_bytes() == made.before
    assert (tmp_path / "moved.tar.lock.json").read_bytes() == made.lock.to_bytes()
    assert [str(root.name) for root in open_archive(out).bundle().roots if root.name] == sorted(
        str(root.name) for root in made.new if root.name
    )
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("way", ["clone", "copy_file_range", "read and write"])
def test_every_way_to_copy_gives_the_same_file(
    made: Made, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_supported(*_args: object) -> int:
        raise OSError(95, "Operation not supported")

    def clone(fd: int, request: int, source: int) -> int:
        assert request == rewrite.FICLONE
        return os.sendfile(fd, source, 0, len(made.before))

    monkeypatch.setattr(fcntl, "ioctl", clone if way == "clone" else not_supported)
    if way == "read and write":
        monkeypatch.setattr(os, "copy_file_range", not_supported)
    monkeypatch.setattr(rewrite, "_COPY_BYTES", 1000)
    out = tmp_path / "moved.tar"
    renamed_to_file(made.path, out, made.lock, made.old, made.new)
    assert out.read_bytes() == made.after


def test_a_bundle_is_not_copied_onto_itself(made: Made) -> None:
    with pytest.raises(Conflict, match="is the bundle that is read"):
        renamed_to_file(made.path, made.path, made.lock, made.old, made.new)


def test_without_room_nothing_stays_behind(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, needed: int) -> None:
        assert needed == len(made.after)
        msg = f"{path}: full"
        raise NoSpace(msg)

    monkeypatch.setattr(rewrite, "check_room", full)
    monkeypatch.setattr(rewrite, "_is_cloned", lambda *_: False)
    with pytest.raises(NoSpace):
        renamed_to_file(made.path, tmp_path / "moved.tar", made.lock, made.old, made.new)
    assert not list(tmp_path.glob("moved*"))


def test_a_tail_that_is_not_ours_is_not_written_over(made: Made, tmp_path: Path) -> None:
    made.path.write_bytes(made.before + b"more")
    with pytest.raises(InvalidArchive, match="does not end as imgsync wrote it"):
        renamed_in_place(made.path, made.lock, made.old, made.new)
    with pytest.raises(InvalidArchive, match="does not end as imgsync wrote it"):
        renamed_to_file(made.path, tmp_path / "x.tar", made.lock, made.old, made.new)
    assert made.path.read_bytes() == made.before + b"more"
    assert not redo_of(made.path).exists()


def test_a_bundle_changes_in_place_and_back(made: Made) -> None:
    inode = made.path.stat().st_ino
    renamed_in_place(made.path, made.lock, made.old, made.new)
    assert made.path.read_bytes() == made.after
    assert made.path.stat().st_ino == inode
    assert not redo_of(made.path).exists()
    renamed_in_place(made.path, made.lock, made.new, made.old)
    assert made.path.read_bytes() == made.before


def test_the_same_names_write_nothing(made: Made) -> None:
    changed = made.path.stat().st_mtime_ns
    renamed_in_place(made.path, made.lock, made.old, made.old)
    assert made.path.stat().st_mtime_ns == changed


def test_a_change_that_broke_off_is_finished_by_whoever_opens_the_bundle(made: Made) -> None:
    redo = made.redo
    n_new = len(redo.new)
    for n_written in (0, 1, 511, 512, n_new // 2, n_new - 1, n_new):
        torn = bytearray(made.before)
        torn[redo.offset : redo.offset + n_written] = redo.new[:n_written]
        made.path.write_bytes(torn)
        redo_of(made.path).write_bytes(redo.to_bytes())
        open_archive(made.path)
        assert made.path.read_bytes() == made.after, n_written
        assert not redo_of(made.path).exists()
    assert not finish_rewrite(made.path)


def test_a_redo_file_that_was_cut_off_means_that_nothing_was_changed(made: Made) -> None:
    raw = made.redo.to_bytes()
    for n_bytes in (0, 1, 40, len(raw) // 2, len(raw) - 1):
        redo_of(made.path).write_bytes(raw[:n_bytes])
        assert not finish_rewrite(made.path)
        assert made.path.read_bytes() == made.before
        assert not redo_of(made.path).exists()


def test_the_redo_file_of_another_bundle_is_not_used(made: Made) -> None:
    redo_of(made.path).write_bytes(made.redo.to_bytes())
    made.path.write_bytes(b"blobs/sha256/other" + bytes(len(made.before)))
    with pytest.raises(Conflict, match="is of another bundle"):
        finish_rewrite(made.path)


def test_two_runs_do_not_change_one_bundle_at_once(made: Made) -> None:
    with made.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(LockHeld):
            renamed_in_place(made.path, made.lock, made.old, made.new)
        redo_of(made.path).write_bytes(made.redo.to_bytes())
        with pytest.raises(LockHeld):
            finish_rewrite(made.path)
    assert finish_rewrite(made.path)


def test_where_the_change_cannot_be_finished_it_is_said(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    redo_of(made.path).write_bytes(made.redo.to_bytes())

    def read_only(*_args: object, **_kwargs: object) -> int:
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(AccessDenied, match="was being retagged when it stopped"):
        finish_rewrite(made.path)


@pytest.mark.parametrize("call", ["pwrite", "fsync", "ftruncate"])
def test_a_failure_at_any_step_leaves_a_bundle_that_can_be_finished(
    made: Made, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Callable[..., object] = getattr(os, call)
    for n_good in range(4):
        made.path.write_bytes(made.before)
        left = [n_good]

        def failing(*args: object, left: list[int] = left) -> object:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(5, "Input/output error")
            return original(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            with suppress(StoreError):
                rewrite_in_place(made.path, made.redo)
        finished = finish_rewrite(made.path)
        found = made.path.read_bytes()
        assert found == (made.after if finished or found == made.after else made.before)
