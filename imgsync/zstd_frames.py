"""Where the frames of zstd data end, by their headers alone (RFC 8878, section 3). Pure.

python-zstandard's reader takes the end of its input for the end of the data, so data that was cut
off looks whole to it. `Frames` watches the compressed bytes go by and knows whether they may end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC: Final = b"\x28\xb5\x2f\xfd"
_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_SIZE_BYTES: Final = (0, 2, 4, 8)
_RLE: Final = 1


HEADER_BYTES: Final = 18
"""The longest header of a frame: magic, descriptor, window, dictionary, content size."""


def content_size(head: bytes) -> int | None:
    """How many bytes a frame says that it holds; None if it does not say, or is no data frame.

    ``head`` is its beginning, `HEADER_BYTES` of it if there are as many.
    """
    if len(head) < 5 or head[:4] != MAGIC:
        return None
    flags = head[4]
    is_single = bool(flags & 0x20)
    n_bytes = _SIZE_BYTES[flags >> 6] or (1 if is_single else 0)
    start = 5 + (0 if is_single else 1) + _DICTIONARY_BYTES[flags & 3]
    field = head[start : start + n_bytes]
    if not n_bytes or len(field) < n_bytes:
        return None
    # Two bytes begin where one ends.
    return int.from_bytes(field, "little") + (256 if n_bytes == 2 else 0)


class Frames:
    """Fed with the compressed bytes in any pieces.

    Attributes:
        is_complete: whether the bytes so far are whole frames, at least one.
    """

    def __init__(self) -> None:
        """Start before the first frame."""
        self.is_complete = False
        self._skip = 0
        self._head = b""
        self._wanted = 4
        self._read: Callable[[bytes], None] = self._magic
        self._has_checksum = False
        self._is_lost = False

    def feed(self, data: bytes) -> None:
        """Look at the next bytes. Nonsense is left to the decompressor to refuse."""
        if not data:
            return
        position = 0
        while position < len(data) and not self._is_lost:
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
            if not self._skip and position < len(data):
                step = self._wanted - len(self._head)
                self._head += data[position : position + step]
                position += step
            if not self._skip and len(self._head) == self._wanted:
                head, self._head = self._head, b""
                self._read(head)
        at_start = not self._skip and not self._head and self._read == self._magic
        self.is_complete = at_start and not self._is_lost

    def _magic(self, head: bytes) -> None:
        if head == MAGIC:
            self._next(1, self._descriptor)
        elif head[1:] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
            self._next(4, self._skippable)
        else:
            self._is_lost = True

    def _skippable(self, head: bytes) -> None:
        self._skip = int.from_bytes(head, "little")
        self._next(4, self._magic)

    def _descriptor(self, head: bytes) -> None:
        flags = head[0]
        is_single = bool(flags & 0x20)
        size_bytes = _SIZE_BYTES[flags >> 6] or (1 if is_single else 0)
        self._skip = (0 if is_single else 1) + _DICTIONARY_BYTES[flags & 3] + size_bytes
        self._has_checksum = bool(flags & 4)
        self._next(3, self._block)

    def _block(self, head: bytes) -> None:
        value = int.from_bytes(head, "little")
        self._skip = 1 if value >> 1 & 3 == _RLE else value >> 3
        if value & 1:
            self._skip += 4 if self._has_checksum else 0
            self._next(4, self._magic)
        else:
            self._next(3, self._block)

    def _next(self, wanted: int, read: Callable[[bytes], None]) -> None:
        self._wanted = wanted
        self._read = read
