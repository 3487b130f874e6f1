"""FramesFile: a zstd file with a seek table, read by position: only the frames that are needed.

What the table says is proved before it is believed: its frames fill the file, each begins where
it says and declares the size it says, and whatever is read is decompressed to the end of its
frame, with its checksum. So a wrong table is an error: whoever has read every frame, as
``imgsync verify`` does, has read what ``zstd -d`` gives. A frame is 8 MiB at the most, whatever
the table claims.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from imgsync.decompression import compression_by_magic
from imgsync.errors import InvalidArchive
from imgsync.model.seek_table import FOOTER_BYTES, FRAME_BYTES, Frame, SeekTable, table_bytes
from imgsync.model.tar_header import BLOCK_BYTES
from imgsync.stores.files import WINDOW_BYTES, OpenFile
from imgsync.zstd_frames import HEADER_BYTES, MAGIC, content_size

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed import WriteableBuffer

KEPT_BYTES: Final = 16 * 1024 * 1024
"""How much of what was decompressed is kept for who reads small pieces one behind the other."""
_HEADS_BYTES: Final = 64 * 1024


class FramesFile:
    """The content of a seekable zstd file, by position; used by several threads at once.

    Attributes:
        side: the file's path.
        size: of the content, in bytes.
        table: the frames.
    """

    def __init__(self, file: OpenFile, table: SeekTable) -> None:
        """Read from a file whose table was proved by `read_table`."""
        self.side = file.side
        self.size = table.content_size
        self.table = table
        self._file = file
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._mutex = threading.Lock()
        self._local = threading.local()

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from there on; fewer only at the end.

        Raises:
            InvalidArchive: a frame is damaged, or not what the table says.
        """
        parts = []
        end = min(offset + size, self.size)
        while offset < end:
            number = self.table.number_at(offset)
            start = offset - self.table.frame(number).content_offset
            part = self.content(number)[start : start + end - offset]
            parts.append(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def window(self, offset: int) -> bytes:
        """What of the same frame stands behind, so that no other is decompressed for it."""
        if offset >= self.size:
            return b""
        number = self.table.number_at(offset)
        frame = self.table.frame(number)
        left = frame.content_offset + frame.content_size - offset
        return self.read_at(offset, max(BLOCK_BYTES, min(left, WINDOW_BYTES)))

    def raw(self, offset: int) -> bytes:
        """The bytes of the file itself from there on, as they are."""
        return self._file.read_at(offset, self._file.size - offset)

    def section(self, offset: int, size: int) -> FramesSection:
        """A stream over a part of it."""
        return FramesSection(self, offset, min(offset + size, self.size))

    def content(self, number: int, *, keep: bool = True) -> bytes:
        """What a frame holds, by its number.

        Raises:
            InvalidArchive: it is damaged, or not what the table says.
        """
        with self._mutex:
            found = self._kept.get(number)
            if found is not None:
                self._kept.move_to_end(number)
                return found
        frame = self.table.frame(number)
        content = self._decompress(frame)
        if keep:
            with self._mutex:
                self._keep(number, content)
        return content

    def _keep(self, number: int, content: bytes) -> None:
        if number in self._kept:
            return
        self._kept[number] = content
        self._kept_bytes += len(content)
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)

    def _decompress(self, frame: Frame) -> bytes:
        import zstandard  # noqa: PLC0415 - costs as much as a small command, and is rarely needed

        decompressor = getattr(self._local, "decompressor", None)
        if decompressor is None:
            decompressor = zstandard.ZstdDecompressor(max_window_size=FRAME_BYTES)
            self._local.decompressor = decompressor
        raw = self._file.read_at(frame.offset, frame.size)
        # The library takes as much memory as the frame says, so what it says is looked at again.
        if content_size(raw[:HEADER_BYTES]) == frame.content_size:
            try:
                content: bytes = decompressor.decompress(raw, allow_extra_data=False)
            except zstandard.ZstdError as error:
                raise self._damaged(frame, str(error)) from None
            if len(content) == frame.content_size:
                return content
        raise self._damaged(frame, "it is not the frame that the seek table says")

    def _damaged(self, frame: Frame, why: str) -> InvalidArchive:
        msg = f"{self.side}: the zstd frame at byte {frame.offset} is damaged: {why}"
        return InvalidArchive(msg, hint="get the file again")


class FramesSection(io.RawIOBase):
    """A part of the content as a stream.

    It keeps the frame that it is in: streams of several threads do not take each other's away.
    """

    def __init__(self, file: FramesFile, offset: int, end: int) -> None:
        """Begin at ``offset`` of the content."""
        super().__init__()
        self._file = file
        self._position = offset
        self._end = end
        self._content = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes, all that is left if negative; empty at the end."""
        if size is None or size < 0:
            return self.readall()
        if not self._content:
            self._next()
        return bytes(self._take(size))

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer."""
        if not self._content:
            self._next()
        view = memoryview(buffer).cast("B")
        part = self._take(len(view))
        view[: len(part)] = part
        return len(part)

    def _take(self, size: int) -> memoryview:
        part, self._content = self._content[:size], self._content[size:]
        self._position += len(part)
        return part

    def _next(self) -> None:
        if self._position >= self._end:
            return
        table = self._file.table
        number = table.number_at(self._position)
        start = self._position - table.frame(number).content_offset
        left = self._end - self._position
        self._content = memoryview(self._file.content(number, keep=False))[start : start + left]


def open_by_position(path: Path) -> OpenFile | FramesFile | None:
    """A file as it is, or its content where that is seekable zstd; None for compressed ones else.

    Raises:
        NotFound, AccessDenied, StoreError: it cannot be opened.
        InvalidArchive: its seek table is wrong.
    """
    file = OpenFile.at(path)
    match compression_by_magic(file.read_at(0, 6)):
        case "":
            return file
        case "zstd":
            return open_frames(file)
        case _:
            return None


def open_frames(file: OpenFile) -> FramesFile | None:
    """The content by position of a zstd file that can be read so; None for any other.

    Raises:
        InvalidArchive: the file ends with a seek table, and that is wrong.
    """
    try:
        table = read_table(file)
    except InvalidArchive as error:
        msg = f"{file.side}: {error.message}"
        hint = f"get the file again; `zstd -d {file.side}` may still make a plain tar of it"
        raise InvalidArchive(msg, hint=hint) from None
    return None if table is None else FramesFile(file, table)


def read_table(file: OpenFile) -> SeekTable | None:
    """The seek table at the end of a file, proved against the heads of all frames.

    None if there is none, or where frames are larger than ours, or do not say how much they hold:
    such a file is right, but has to be decompressed from its beginning.

    Raises:
        InvalidArchive: table and file do not fit each other.
    """
    footer = file.read_at(max(0, file.size - FOOTER_BYTES), FOOTER_BYTES)
    n_bytes = table_bytes(footer, file.size)
    if not n_bytes:
        return None
    table = SeekTable.parse(file.read_at(file.size - n_bytes, n_bytes))
    if table.size != file.size - n_bytes:
        msg = f"the frames of its seek table have {table.size} bytes, {file.size - n_bytes} stand"
        raise InvalidArchive(f"{msg} before it")
    heads, heads_offset = b"", 0
    for frame in table:
        start = frame.offset - heads_offset
        if start + HEADER_BYTES > len(heads):
            # Small frames stand together, large ones far apart.
            n_bytes = _HEADS_BYTES if frame.size < _HEADS_BYTES else HEADER_BYTES
            heads, heads_offset, start = file.read_at(frame.offset, n_bytes), frame.offset, 0
        head = heads[start : start + min(HEADER_BYTES, frame.size)]
        if not 0 < frame.content_size <= FRAME_BYTES or frame.size > 2 * FRAME_BYTES:
            return None
        if not head.startswith(MAGIC):
            msg = f"the seek table says that a frame begins at byte {frame.offset}; none does"
            raise InvalidArchive(msg)
        declared = content_size(head)
        if declared is None:
            return None
        if declared != frame.content_size:
            msg = (
                f"the frame at byte {frame.offset} holds {declared} bytes, the seek table says "
                f"{frame.content_size}"
            )
            raise InvalidArchive(msg)
    return table
