"""Decompression: every form, in any pieces, whole or an error."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from imgsync.decompression import Decompressed, compression_by_magic
from imgsync.errors import ContentError
from imgsync.zstd_frames import Frames

if TYPE_CHECKING:
    from collections.abc import Callable


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _zstd_stream(data: bytes) -> bytes:
    """Without the size in the header, as a pipe writes it."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return compressor.compress(data) + compressor.flush()


COMPRESSORS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zstd": ("zstd", _zstd),
    "zstd stream": ("zstd", _zstd_stream),
    "xz": ("xz", lzma.compress),
    "bzip2": ("bzip2", bz2.compress),
}
DATA = bytes(range(256)) * 2000 + bytes(700_000)
SKIPPABLE = b"\x5e\x2a\x4d\x18\x04\x00\x00\x00abcd"


class Pieces:
    """A stream that gives only a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        self._stream = io.BytesIO(data)
        self._most = most

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(min(size, self._most) if size >= 0 else self._most)

    def close(self) -> None:
        self._stream.close()


def _all(compressed: bytes, how: str, *, most: int = 2**20, step: int = 100_000) -> bytes:
    parts = []
    with Decompressed(Pieces(compressed, most), how, "layer x") as stream:
        while part := stream.read(step):
            assert len(part) <= step
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("form", COMPRESSORS)
@pytest.mark.parametrize("most", [1, 1000, 2**20])
def test_what_was_compressed_comes_out(form: str, most: int) -> None:
    how, compress = COMPRESSORS[form]
    data = DATA if most > 1 else DATA[:3000]
    compressed = compress(data)
    assert compression_by_magic(compressed[:6]) == how
    assert _all(compressed, how, most=most) == data


@pytest.mark.parametrize("form", COMPRESSORS)
@pytest.mark.parametrize("most", [1, 2**20])
def test_members_behind_each_other_are_one(form: str, most: int) -> None:
    how, compress = COMPRESSORS[form]
    compressed = compress(b"one") + compress(b"") + compress(b"two")
    assert _all(compressed, how, most=most) == b"onetwo"


@pytest.mark.parametrize("form", COMPRESSORS)
def test_a_cut_is_told(form: str) -> None:
    how, compress = COMPRESSORS[form]
    compressed = compress(DATA)
    for length in [*range(0, len(compressed), 97), len(compressed) - 1]:
        with pytest.raises(ContentError, match="layer x"):
            _all(compressed[:length], how)


@pytest.mark.parametrize("form", COMPRESSORS)
@pytest.mark.parametrize("rest", [b"junk and more", bytes(512), b"\x1f"])
def test_something_behind_the_end_is_told(form: str, rest: bytes) -> None:
    how, compress = COMPRESSORS[form]
    with pytest.raises(ContentError):
        _all(compress(b"data") + rest, how)


@pytest.mark.parametrize("form", COMPRESSORS)
@given(st.binary(max_size=300))
def test_any_bytes_come_out_or_give_our_error(form: str, data: bytes) -> None:
    how, compress = COMPRESSORS[form]
    try:
        _all(data, how)
        _all(compress(b"data")[:8] + data, how)
    except ContentError:
        pass


def test_a_bomb_comes_out_in_pieces() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(2**26))
    assert len(bomb) < 10_000
    assert len(_all(bomb, "zstd")) == 2**26


def test_skippable_frames_are_skipped() -> None:
    compressed = SKIPPABLE + _zstd(b"one") + SKIPPABLE + _zstd(b"two") + SKIPPABLE
    assert compression_by_magic(compressed[:6]) == "zstd"
    assert _all(compressed, "zstd", most=3) == b"onetwo"


def test_what_is_not_compressed_passes() -> None:
    assert compression_by_magic(b"blobs/") == ""
    assert _all(DATA, "") == DATA


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("content_size", [True, False])
@pytest.mark.parametrize("size", [0, 1, 300, 70_000, 300_000])
def test_frames_end_where_they_end(*, checksum: bool, content_size: bool, size: int) -> None:
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=content_size)
    frame = compressor.compress(DATA[:size])
    frames = Frames()
    told = []
    for position in range(len(frame)):
        told.append(frames.is_complete)
        frames.feed(frame[position : position + 1])
    for more in (frame + SKIPPABLE + frame[:-1], frame[-1:], b"", b"junk"):
        told.append(frames.is_complete)
        frames.feed(more)
    assert told == [False] * len(frame) + [True, False, True, True]
    assert not frames.is_complete
