"""The end of a compressed bundle under other names: its last frames and its seek table.

The names stand in the last members of the tar, and a frame begins at each member, so everything
before them is copied as it is and nothing of it is decompressed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import InvalidArchive
from imgsync.model.seek_table import SeekTable, frame_sizes
from imgsync.stores.archive.packing import new_compressor

if TYPE_CHECKING:
    from imgsync.model.tar_layout import TarLayout
    from imgsync.stores.archive.frames_file import FramesFile


def packed_tail(
    frames: FramesFile, offset: int, old_tail: bytes, new_tail: bytes, layout: TarLayout
) -> tuple[int, bytes, bytes]:
    """Where the last frames begin in the file, the bytes there now, and those that are to be.

    Args:
        frames: the bundle as it is.
        offset: where the tail of the tar begins, in its bytes.
        old_tail: that tail as it is.
        new_tail: as it is to be.
        layout: of the tar that it is to be.

    Raises:
        InvalidArchive: the tar does not end with the old tail, or imgsync did not cut the frames.
    """
    number = frames.table.number_at(offset)
    first = frames.table.frame(number)
    if first.content_offset != offset:
        msg = f"{frames.side}: something else than imgsync compressed it"
        raise InvalidArchive(msg, hint=f"make it anew: imgsync bundle {frames.side} --to … -o FILE")
    if frames.read_at(offset, len(old_tail) + 1) != old_tail:
        msg = f"{frames.side} does not end as imgsync wrote it"
        hint = f"`imgsync verify {frames.side}` tells what is wrong with it"
        raise InvalidArchive(msg, hint=hint)
    table = SeekTable()
    for before in range(number):
        frame = frames.table.frame(before)
        table.add(frame.size, frame.content_size)
    compress = new_compressor()
    made = b""
    position = 0
    for size in frame_sizes(layout):
        if position >= offset:
            start = position - offset
            packed = compress(new_tail[start : start + size])
            table.add(len(packed), size)
            made += packed
        position += size
    return first.offset, frames.raw(first.offset), made + table.to_bytes()
