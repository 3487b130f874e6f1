"""TarFile: the members of a tar by name, read where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import InvalidArchive, NotFound
from imgsync.model.tar_header import END_OF_ARCHIVE
from imgsync.stores.archive.tar_index import Entry, Kind, TarIndex, index_tar
from imgsync.stores.files import FilePlace, OpenFile
from imgsync.stores.image_layout import check_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.content import Readable
    from imgsync.stores.files import ByPosition

_CHUNK_BYTES = 1024 * 1024


class TarFile:
    """A tar whose members are found by name; used by several threads at once.

    Attributes:
        file: what it stands on.
        index: all members.
    """

    def __init__(self, file: ByPosition, index: TarIndex | None = None) -> None:
        """Read the headers, unless it is known what they must be.

        Raises:
            InvalidArchive: see `imgsync.stores.archive.tar_index`.
        """
        self.file = file
        self.index = index if index is not None else index_tar(file)

    @property
    def side(self) -> str:
        """The file's path."""
        return self.file.side

    def __contains__(self, name: str) -> bool:
        """Whether there is a member of this name, whatever it is."""
        return name in self.index.entries

    def find(self, name: str) -> Entry | None:
        """The member that has the content of this name, through links.

        Raises:
            InvalidArchive: a link that leads nowhere or in a circle.
        """
        try:
            return self.index.file(name)
        except InvalidArchive as error:
            msg = f"{self.side}: {error.message}"
            raise InvalidArchive(msg) from None

    def read_small(self, name: str) -> bytes:
        """All bytes of a member that is no blob.

        Raises:
            NotFound: there is no such member.
            InvalidArchive: it is larger than any such file.
        """
        entry = self.find(name)
        if entry is None:
            msg = f"{self.side} has no {name}"
            raise NotFound(msg)
        check_small(entry.size, f"{self.side}: {name}")
        return self.file.read_at(entry.data_offset, entry.size)

    def open(self, entry: Entry, offset: int = 0) -> Readable:
        """The bytes of a member from an offset on."""
        return self.file.section(entry.data_offset + offset, max(0, entry.size - offset))

    def place(self, entry: Entry) -> FilePlace | None:
        """Where the member stands in an open file; None if the file is a compressed one."""
        if isinstance(self.file, OpenFile):
            return FilePlace(self.file.fileno(), entry.data_offset, entry.size)
        return None

    def files(self) -> Iterator[Entry]:
        """All members that are plain files, in their order."""
        return (entry for entry in self.index.entries.values() if entry.kind is Kind.FILE)

    def notes(self) -> Iterator[str]:
        """What is odd about the end of the file: every tool reads it, but nobody writes it so."""
        end = self.index.end
        if not self.index.has_end:
            yield f"{self.side}: the zeros are missing that end a tar; it may have been cut off"
            return
        position = end + len(END_OF_ARCHIVE)
        while position < self.file.size:
            chunk = self.file.read_at(position, _CHUNK_BYTES)
            if chunk.strip(b"\0"):
                rest = self.file.size - position
                yield f"{self.side}: {rest} bytes that are not of the tar stand behind its end"
                return
            position += len(chunk)
            if not chunk:
                return
