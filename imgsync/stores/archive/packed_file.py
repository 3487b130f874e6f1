"""PackedArchiveFile: the destination that is a bundle in one ``.tar.zst``.

The tar grows uncompressed in ``NAME.partial``, as that of every bundle, so that blobs come in any
order and a run that stops goes on; when it is whole it is compressed to ``NAME.partial.zst``, and
that gets the name. Both are on disk at that moment (``docs/decisions``, "Compress at the end").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.events import Advanced, Noted, Planned
from imgsync.model.seek_table import frame_sizes
from imgsync.stores.archive.archive_file import ArchiveFile, packed_of
from imgsync.stores.archive.packing import pack
from imgsync.stores.disk import sync_folder, turn_os_errors

if TYPE_CHECKING:
    from pathlib import Path

SUFFIXES = (".zst", ".tzst")


def is_packed_name(path: Path) -> bool:
    """Whether a bundle of this name is to be compressed."""
    return path.name.lower().endswith(SUFFIXES)


class PackedArchiveFile(ArchiveFile):
    """A Destination and Resuming store; `finish` compresses the file and gives it its name."""

    def finish(self) -> int:
        """Compress the tar, sync, and give the result the name; its size in bytes.

        Raises:
            NoSpace: the file system cannot hold both; the tar is kept.
        """
        self._write_members()
        size = self._layout.size
        me = next(iter(self._layout.members)).descriptor
        self._report(Noted(f"compressing {size} bytes"))
        self._report(Planned(0, size, 0, 0))

        def advance(n_bytes: int) -> None:
            if me is not None:
                self._report(Advanced(me, n_bytes))

        packed = packed_of(self.path)
        n_bytes = pack(self._fd, packed, frame_sizes(self._layout), on_bytes=advance)
        with turn_os_errors(self.side):
            packed.rename(self.path)
            sync_folder(self.path.parent)
            self.partial.unlink()
        self._journal.remove()
        return n_bytes
