"""Seekable zstd files: every part is right at random, and a wrong seek table is an error."""

from __future__ import annotations

import random
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.errors import InvalidArchive
from imgsync.model.seek_table import FRAME_BYTES, Frame, SeekTable, table_bytes
from imgsync.stores.archive.frames_file import FramesFile, open_by_position, open_frames
from imgsync.stores.archive.packing import pack
from imgsync.stores.files import ByPosition, OpenFile
from tests.servers.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

COMPRESSOR = zstandard.ZstdCompressor(write_checksum=True)
FOOTER = struct.Struct("<IBI")
MAGIC = 0x8F92EAB1


def compressed(parts: Sequence[bytes]) -> bytes:
    """Frames of these contents, and their seek table."""
    frames = [COMPRESSOR.compress(part) for part in parts]
    sizes = zip(map(len, frames), map(len, parts), strict=True)
    return b"".join(frames) + SeekTable(sizes).to_bytes()


def opened(path: Path, data: bytes) -> FramesFile:
    path.write_bytes(data)
    found = open_by_position(path)
    assert isinstance(found, FramesFile)
    _: ByPosition = found
    return found


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InvalidArchive) as caught:
        open_by_position(path)
    assert str(path) in caught.value.message
    return caught.value.message


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frames") / "site.tar.zst"


# --- right ones -------------------------------------------------------------------------------

PARTS = st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=12)


@given(PARTS, st.data())
@settings(max_examples=60, deadline=None)
def test_every_part_is_read_as_if_it_were_not_compressed(
    file: Path, parts: list[bytes], data: st.DataObject
) -> None:
    content = b"".join(parts)
    frames = opened(file, compressed(parts))
    assert frames.size == len(content)
    for _ in range(8):
        offset = data.draw(st.integers(0, len(content) + 3))
        size = data.draw(st.integers(0, len(content) + 3))
        assert frames.read_at(offset, size) == content[offset : offset + size]
        section = frames.section(offset, size)
        step = data.draw(st.integers(1, 700))
        assert b"".join(iter(lambda: section.read(step), b"")) == content[offset : offset + size]  # noqa: B023
        window = frames.window(offset)
        assert content[offset:].startswith(window)
        assert len(window) >= min(512, len(content) - offset)


def test_a_section_fills_buffers_and_can_be_read_at_once(file: Path) -> None:
    content = random.Random(1).randbytes(3000)
    frames = opened(file, compressed([content[:1000], content[1000:]]))
    buffer = bytearray(400)
    section = frames.section(900, 1500)
    assert section.readinto(buffer) == 100
    assert bytes(buffer[:100]) == content[900:1000]
    assert section.read() == content[1000:2400]
    assert section.read() == b""
    assert section.readinto(buffer) == 0


def test_small_reads_decompress_a_frame_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = opened(file, compressed([bytes(5000), bytes(5000)]))
    seen: list[int] = []
    decompress = FramesFile._decompress

    def counted(self: FramesFile, frame: Frame) -> bytes:
        seen.append(frame.offset)
        return decompress(self, frame)

    monkeypatch.setattr(FramesFile, "_decompress", counted)
    for offset in range(0, 10_000, 100):
        frames.read_at(offset, 100)
    assert len(seen) == 2


def test_no_more_is_kept_than_was_said(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgsync.stores.archive.frames_file.KEPT_BYTES", 10_000)
    frames = opened(file, compressed([bytes([n]) * 4000 for n in range(20)]))
    for n in range(20):
        assert frames.read_at(n * 4000, 4000) == bytes([n]) * 4000
        assert sum(map(len, frames._kept.values())) == frames._kept_bytes <= 10_000


def test_many_threads_read_one_file(file: Path) -> None:
    dice = random.Random(2)
    content = b"".join(dice.randbytes(100) * 50 for _ in range(200))
    cuts = sorted(dice.sample(range(1, len(content)), 60))
    parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    frames = opened(file, compressed(parts))

    def read(seed: int) -> None:
        own = random.Random(seed)
        for _ in range(50):
            offset, size = own.randrange(len(content)), own.randrange(20_000)
            expected = content[offset : offset + size]
            assert frames.read_at(offset, size) == expected
            assert frames.section(offset, size).read() == expected

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, range(8)))


def test_a_table_with_checksums_is_read_too(file: Path) -> None:
    frame = COMPRESSOR.compress(b"content")
    table = struct.pack("<II", 0x184D2A5E, 12 + 9) + struct.pack("<III", len(frame), 7, 99)
    assert opened(file, frame + table + FOOTER.pack(1, 0x80, MAGIC)).read_at(2, 9) == b"ntent"


# --- what the zstd tool and we make of each other's -------------------------------------------


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """Some MiB of bytes, of which a third does not shrink."""
    dice = random.Random(3)
    path = tmp_path / "content"
    with path.open("wb") as out:
        for _ in range(9):
            out.write(dice.randbytes(1_000_000))
            out.write(dice.randbytes(1000) * 2000)
    return path


def packed(tar: Path, path: Path, sizes: Sequence[int], jobs: int = 2) -> Path:
    with tar.open("rb") as source:
        n_bytes = pack(source.fileno(), path, sizes, jobs=jobs)
    assert n_bytes == path.stat().st_size
    return path


def test_what_we_pack_any_zstd_tool_reads(tar: Path, tmp_path: Path) -> None:
    zstd = program("zstd")
    sizes = [512, FRAME_BYTES, 27_000_000 - FRAME_BYTES - 512 - 3, 3]
    path = packed(tar, tmp_path / "packed.zst", sizes)
    subprocess.run([zstd, "--test", "--quiet", path], check=True)
    unpacked = subprocess.run([zstd, "-dc", path], check=True, stdout=subprocess.PIPE).stdout
    assert unpacked == tar.read_bytes()
    listed = subprocess.run([zstd, "-l", path], check=True, stdout=subprocess.PIPE, text=True)
    assert "XXH64" in listed.stdout


def test_the_number_of_workers_changes_nothing(tar: Path, tmp_path: Path) -> None:
    dice = random.Random(4)
    cuts = sorted(dice.sample(range(1, 27_000_000), 300))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, 27_000_000], strict=True)]
    seen = {packed(tar, tmp_path / f"{n}.zst", sizes, n).read_bytes() for n in (1, 2, 7)}
    assert len(seen) == 1
    frames = open_by_position(tmp_path / "7.zst")
    assert isinstance(frames, FramesFile)
    assert [frame.content_size for frame in frames.table] == sizes
    assert frames.section(0, frames.size).read() == tar.read_bytes()


def test_a_tar_that_becomes_shorter_is_not_packed(tar: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.zst"
    with tar.open("rb") as source, pytest.raises(InvalidArchive, match="became shorter"):
        pack(source.fileno(), path, [20_000_000, 20_000_000])
    assert not path.exists()


@pytest.mark.parametrize("options", [["-3"], ["-19", "--no-check"], ["-1", "--stream-size=9000"]])
def test_what_the_tool_makes_has_no_table(tmp_path: Path, options: list[str]) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(bytes(9000))
    subprocess.run([program("zstd"), "--quiet", *options, plain], check=True)
    assert open_by_position(tmp_path / "plain.zst") is None


# --- what others may make: right, and not for us ----------------------------------------------


def test_frames_that_are_larger_than_ours_are_left_to_be_decompressed_in_one_pass(
    file: Path,
) -> None:
    file.write_bytes(compressed([bytes(FRAME_BYTES + 1)]))
    assert open_by_position(file) is None
    assert opened(file, compressed([bytes(FRAME_BYTES)])).size == FRAME_BYTES


def test_frames_that_do_not_say_their_size_are_left_too(file: Path) -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"content")
    file.write_bytes(frame + SeekTable([(len(frame), 7)]).to_bytes())
    assert open_by_position(file) is None


def test_an_empty_frame_is_left_too(file: Path) -> None:
    file.write_bytes(compressed([b"content", b""]))
    assert open_by_position(file) is None


def test_other_compressions_have_no_frames(file: Path) -> None:
    file.write_bytes(b"\x1f\x8b" + bytes(100))
    assert open_by_position(file) is None
    file.write_bytes(b"plain" + bytes(100))
    assert isinstance(open_by_position(file), OpenFile)


# --- hostile ones -----------------------------------------------------------------------------

GOOD = [b"first " * 30, b"second " * 40, b"third " * 5]
CONTENT = b"".join(GOOD)


def lied(change: Callable[[list[list[int]]], None]) -> bytes:
    """Right frames behind which a table stands that says something else."""
    frames = [COMPRESSOR.compress(part) for part in GOOD]
    entries = [[len(frame), len(part)] for frame, part in zip(frames, GOOD, strict=True)]
    change(entries)
    table = SeekTable((size, content_size) for size, content_size in entries)
    return b"".join(frames) + table.to_bytes()


def _longer(entries: list[list[int]]) -> None:
    entries[0][1] += 1


def _shifted(entries: list[list[int]]) -> None:
    entries[0][0] -= 1
    entries[1][0] += 1


def _joined(entries: list[list[int]]) -> None:
    entries[:2] = [[entries[0][0] + entries[1][0], entries[0][1] + entries[1][1]]]


def _without(entries: list[list[int]]) -> None:
    entries.pop()


def _more(entries: list[list[int]]) -> None:
    entries.append([1, 1])


@pytest.mark.parametrize("change", [_longer, _shifted, _joined, _without, _more])
def test_a_table_that_lies_is_refused(
    file: Path, change: Callable[[list[list[int]]], None]
) -> None:
    message = refused(file, lied(change))
    assert "seek table" in message


def test_two_frames_as_one_are_refused_when_they_are_read(file: Path) -> None:
    """The first one's size is right; what stands behind it is no part of it."""

    def hide(entries: list[list[int]]) -> None:
        entries[0][0] += entries.pop(1)[0]

    frames = opened(file, lied(hide))
    with pytest.raises(InvalidArchive, match="damaged"):
        frames.read_at(0, 5)


def test_a_frame_within_another_is_refused_when_the_outer_one_is_read(file: Path) -> None:
    """What does not shrink stands in a frame as it is; so it may look like a frame itself."""
    inner = COMPRESSOR.compress(b"other bytes")
    noise = random.Random(5).randbytes(300)
    outer = COMPRESSOR.compress(noise + inner + noise)
    at = outer.index(inner)
    end = len(outer) - at - len(inner)
    entries = [(at, 600 + len(inner)), (len(inner), 11), (end, 1)]
    assert "frame" in refused(file, outer + SeekTable(entries).to_bytes())
    last = COMPRESSOR.compress(b"x")
    entries = [(at, 600 + len(inner)), (len(outer) - at, 11), (len(last), 1)]
    frames = opened(file, outer + last + SeekTable(entries).to_bytes())
    for offset in (0, frames.table.frame(1).content_offset):
        with pytest.raises(InvalidArchive, match="damaged"):
            frames.read_at(offset, 5)


def test_a_table_of_billions_of_frames_takes_no_memory(file: Path) -> None:
    data = compressed(GOOD)
    assert "too short" in refused(file, data[:-9] + FOOTER.pack(2**32 - 1, 0, MAGIC))


def test_a_table_of_a_form_of_tomorrow_is_refused(file: Path) -> None:
    assert "not known" in refused(file, compressed(GOOD)[:-9] + FOOTER.pack(3, 0x40, MAGIC))


def test_very_large_tables_are_left_to_the_one_pass() -> None:
    n_frames = 9_000_000
    assert table_bytes(FOOTER.pack(n_frames, 0, MAGIC), 2**40) == 0
    assert table_bytes(FOOTER.pack(1000, 0, MAGIC), 2**40) == 8017


def test_a_file_that_is_cut_off_has_no_table(file: Path) -> None:
    file.write_bytes(compressed(GOOD)[:-1])
    assert open_by_position(file) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 400) | st.sampled_from([2**32 - 1, 2**23])),
        max_size=6,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_table_gives_the_right_bytes_or_an_error(
    file: Path, entries: list[tuple[int, int]]
) -> None:
    frames = b"".join(COMPRESSOR.compress(part) for part in GOOD)
    _right_or_refused(file, frames + SeekTable(entries).to_bytes())


@given(st.integers(0, 2**30), st.integers(1, 255))
@settings(max_examples=400, deadline=None)
def test_any_changed_byte_gives_the_right_bytes_or_an_error(
    file: Path, position: int, mask: int
) -> None:
    data = bytearray(compressed(GOOD))
    data[position % len(data)] ^= mask
    _right_or_refused(file, bytes(data))


def _right_or_refused(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    try:
        frames = open_frames(OpenFile.at(file))
        if frames is not None:
            whole = frames.section(0, frames.size).read()
            assert whole == CONTENT
    except InvalidArchive:
        pass
