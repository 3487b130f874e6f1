"""The seek table, how a tar is cut into frames, and how large a compressed bundle can become."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidArchive
from imgsync.model.seek_table import (
    FRAME_BYTES,
    SMALL_BYTES,
    SeekTable,
    frame_sizes,
    most_bytes,
    table_bytes,
)
from imgsync.model.tar_layout import tar_layout
from imgsync.zstd_frames import content_size
from tests.bundles import bundle_bytes, lock_of, memory_of
from tests.images import Images, sized_image

if TYPE_CHECKING:
    from imgsync.model.tar_layout import TarLayout

SIZES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=30)


@given(SIZES)
def test_a_table_is_read_as_it_was_written(sizes: list[tuple[int, int]]) -> None:
    table = SeekTable(sizes)
    raw = table.to_bytes()
    assert table_bytes(raw[-9:], len(raw) + table.size) == len(raw)
    again = SeekTable.parse(raw)
    assert list(again) == list(table)
    assert [(frame.size, frame.content_size) for frame in again] == sizes
    assert again.size == sum(size for size, _ in sizes)
    assert again.content_size == sum(size for _, size in sizes)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_each_byte_is_found_in_its_frame(sizes: list[int]) -> None:
    table = SeekTable((1, size) for size in sizes)
    for position in range(sum(sizes)):
        frame = table.frame(table.number_at(position))
        assert frame.content_offset <= position < frame.content_offset + frame.content_size


@given(st.binary(max_size=60), SIZES)
def test_anything_is_a_table_or_an_error(noise: bytes, sizes: list[tuple[int, int]]) -> None:
    raw = noise + SeekTable(sizes).to_bytes()[-9:]
    try:
        n_bytes = table_bytes(raw[-9:], len(raw))
        SeekTable.parse(raw[len(raw) - n_bytes :])
    except InvalidArchive:
        pass


def test_a_file_without_a_table_has_none() -> None:
    assert table_bytes(b"", 0) == 0
    assert table_bytes(b"123456789", 1000) == 0


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_791, 65_792, 1_000_000, FRAME_BYTES])
@pytest.mark.parametrize("level", [1, 19])
def test_a_frame_says_what_it_holds(size: int, level: int) -> None:
    frame = zstandard.ZstdCompressor(level=level).compress(bytes(size))
    assert content_size(frame[:18]) == size


def test_what_is_no_frame_says_nothing() -> None:
    assert content_size(b"") is None
    assert content_size(b"PK\x03\x04" + bytes(14)) is None
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(b"content")
    assert content_size(frame[:18]) is None
    assert content_size(zstandard.ZstdCompressor().compress(bytes(300))[:5]) is None


# --- cutting ----------------------------------------------------------------------------------


def _layout(images: Images) -> TarLayout:
    return tar_layout(lock_of(memory_of(images)))


def test_frames_begin_at_members_and_are_together_the_tar() -> None:
    large, _ = _two_sizes()
    layout = _layout(large)
    sizes = list(frame_sizes(layout))
    assert sum(sizes) == layout.size
    assert max(sizes) <= FRAME_BYTES
    starts = {sum(sizes[:number]) for number in range(len(sizes))}
    for member in layout.members:
        assert member.offset in starts
        if member.size > SMALL_BYTES:
            assert member.data_offset in starts


def test_frames_of_a_blob_do_not_depend_on_where_it_stands() -> None:
    """So that compressed blobs could be shared between bundles."""
    large, image = _two_sizes()
    digest = max(image.blobs, key=lambda key: len(image.blobs[key]))

    def sizes_of(images: Images) -> list[int]:
        layout = _layout(images)
        place = next(
            member
            for member in layout.members
            if member.descriptor is not None and str(member.descriptor.digest) == digest
        )
        found, position = [], 0
        for size in frame_sizes(layout):
            if place.data_offset <= position < place.end:
                found.append(size)
            position += size
        return found

    assert sizes_of(large) == sizes_of(image)
    assert len(sizes_of(image)) == 2


def _two_sizes() -> tuple[Images, Images]:
    image = sized_image(n_layers=1, layer_bytes=FRAME_BYTES + 300_000, platforms=("linux/amd64",))
    both = Images()
    both.blobs.update(image.blobs)
    both.names.update(image.names)
    other = both.image([both.layer({"small": b"x"})])
    both.name("registry.example/other:1", other)
    return both, image


def test_the_most_that_a_bundle_takes_is_what_does_not_shrink() -> None:
    images = Images()
    dice = random.Random(1)
    layers = [images.layer({"noise": dice.randbytes(size)}) for size in (10, 200_000, 9_000_000)]
    images.name("registry.example/noise:1", images.image(layers))
    memory = memory_of(images)
    lock = lock_of(memory)
    layout = tar_layout(lock)
    tar = bundle_bytes(memory, lock)
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    frames, position = [], 0
    for size in frame_sizes(layout):
        frames.append(compressor.compress(tar[position : position + size]))
        position += size
    table = SeekTable((len(frame), 1) for frame in frames)
    real = table.size + len(table.to_bytes())
    assert real <= most_bytes(layout) < layout.size * 1.01 + 1000
