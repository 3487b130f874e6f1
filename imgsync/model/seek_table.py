"""The seek table of a zstd file: where each frame stands, and which bytes it holds. Pure.

The format is zstd's own ("Zstandard Seekable Format", contrib/seekable_format in its repository):
frames one behind the other, then a skippable frame with two numbers for each of them. Tools that
do not know it skip it. `imgsync.stores.archive.frames_file` proves what a table says.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from imgsync.errors import InvalidArchive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgsync.model.tar_layout import TarLayout

FRAME_BYTES: Final = 8 * 1024 * 1024
"""The most that a frame holds: what has to be decompressed to read one byte of it."""
SMALL_BYTES: Final = 128 * 1024
"""A member with no more data than this is one frame with its header."""
FOOTER_BYTES: Final = 9
MAX_TABLE_BYTES: Final = 64 * 1024 * 1024
"""Eight million frames, for 64 TiB; a larger table is not looked at."""

_SKIPPABLE_MAGIC: Final = 0x184D2A5E
_FOOTER_MAGIC: Final = 0x8F92EAB1
_HEADER: Final = struct.Struct("<II")
_FOOTER: Final = struct.Struct("<IBI")
_HAS_CHECKSUMS: Final = 0x80
_RESERVED: Final = 0x7C


class Frame(NamedTuple):
    """One frame: where it stands in the file, and what it holds of the content (bytes)."""

    offset: int
    size: int
    content_offset: int
    content_size: int


class SeekTable:
    """The frames of a file in order, without gaps."""

    def __init__(self, frames: Iterable[tuple[int, int]] = ()) -> None:
        """Take the size of each frame, and of what it holds."""
        self._offsets = array("Q", [0])
        self._content_offsets = array("Q", [0])
        for size, content_size in frames:
            self.add(size, content_size)

    def add(self, size: int, content_size: int) -> None:
        """One more frame behind the others."""
        self._offsets.append(self._offsets[-1] + size)
        self._content_offsets.append(self._content_offsets[-1] + content_size)

    @property
    def size(self) -> int:
        """All frames, in bytes."""
        return self._offsets[-1]

    @property
    def content_size(self) -> int:
        """All that they hold, in bytes."""
        return self._content_offsets[-1]

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self._offsets) - 1

    def __iter__(self) -> Iterator[Frame]:
        """All frames in order."""
        return map(self.frame, range(len(self)))

    def frame(self, number: int) -> Frame:
        """One frame, by its number from 0 on."""
        offset, content_offset = self._offsets[number], self._content_offsets[number]
        return Frame(
            offset,
            self._offsets[number + 1] - offset,
            content_offset,
            self._content_offsets[number + 1] - content_offset,
        )

    def number_at(self, position: int) -> int:
        """The number of the frame that holds the byte at this position of the content."""
        return bisect_right(self._content_offsets, position) - 1

    def to_bytes(self) -> bytes:
        """The skippable frame, without checksums: each frame has its own."""
        entries = b"".join(_HEADER.pack(frame.size, frame.content_size) for frame in self)
        footer = _FOOTER.pack(len(self), 0, _FOOTER_MAGIC)
        return _HEADER.pack(_SKIPPABLE_MAGIC, len(entries) + len(footer)) + entries + footer

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a table; ``raw`` is all of its frame, as long as `table_bytes` says.

        Raises:
            InvalidArchive: it is no such frame.
        """
        n_frames, flags, magic = _FOOTER.unpack(raw[-FOOTER_BYTES:])
        expected = (_SKIPPABLE_MAGIC, len(raw) - _HEADER.size)
        if magic != _FOOTER_MAGIC or _HEADER.unpack(raw[: _HEADER.size]) != expected:
            raise InvalidArchive("the seek table does not begin where its end says")
        entry = struct.Struct("<III" if flags & _HAS_CHECKSUMS else "<II")
        entries = raw[_HEADER.size : len(raw) - FOOTER_BYTES]
        if len(entries) != n_frames * entry.size:
            raise InvalidArchive("the seek table has another length than its end says")
        return cls((fields[0], fields[1]) for fields in entry.iter_unpack(entries))


def table_bytes(footer: bytes, file_size: int) -> int:
    """How long the seek table is that a file ends with; 0 if it has none that can be used.

    Args:
        footer: the last `FOOTER_BYTES` of the file.
        file_size: of the whole file, in bytes.

    Raises:
        InvalidArchive: there is one, and it cannot be right.
    """
    if len(footer) != FOOTER_BYTES:
        return 0
    n_frames, flags, magic = _FOOTER.unpack(footer)
    if magic != _FOOTER_MAGIC:
        return 0
    if flags & _RESERVED:
        raise InvalidArchive("the seek table is of a form that is not known")
    size: int = _HEADER.size + n_frames * (12 if flags & _HAS_CHECKSUMS else 8) + FOOTER_BYTES
    if size > file_size:
        msg = f"the seek table has {n_frames} frames, and the file is too short for that"
        raise InvalidArchive(msg)
    return size if size <= MAX_TABLE_BYTES else 0


def frame_sizes(layout: TarLayout) -> Iterator[int]:
    """How a bundle's tar is cut into frames (``docs/format.md``, "Compressed").

    Headers of large members are frames of their own, so that the index of the tar is read
    without decompressing what stands between.
    """
    for member in layout.members:
        header = member.data_offset - member.offset
        rest = member.end - member.data_offset
        if member is layout.members[-1]:
            rest = layout.size - member.data_offset
        if member.size <= SMALL_BYTES:
            yield header + rest
            continue
        yield header
        while rest > 0:
            yield min(rest, FRAME_BYTES)
            rest -= FRAME_BYTES


def most_bytes(layout: TarLayout) -> int:
    """What a compressed bundle takes at the most: zstd keeps as it is what does not shrink.

    Header and checksum of a frame are 18 bytes, its entry in the table 8; each 128 KiB have a
    header of 3 bytes (RFC 8878, section 3.1.1).
    """
    total = _HEADER.size + FOOTER_BYTES
    for size in frame_sizes(layout):
        total += size + 18 + 8 + 3 * (size // SMALL_BYTES + 1)
    return total
