"""Files that are read by position, by any number of threads: what archives and layouts stand on."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from imgsync.errors import StoreError
from imgsync.stores.archive.file_slice import FileSlice
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.content import Readable


WINDOW_BYTES: Final = 4096


class FilePlace(NamedTuple):
    """Where bytes stand in an open file, for whoever can hand the kernel a file (sendfile)."""

    fd: int
    offset: int
    size: int


class ByPosition(Protocol):
    """Bytes that are read by position: a plain file, or a compressed one that allows it."""

    @property
    def side(self) -> str:
        """How messages call it."""
        ...

    @property
    def size(self) -> int:
        """The number of bytes."""
        ...

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from there on; fewer only at the end."""
        ...

    def window(self, offset: int) -> bytes:
        """As much from there on as is cheap to read, some blocks of a tar; for its headers.

        At least one block, unless the end is nearer.
        """
        ...

    def section(self, offset: int, size: int) -> Readable:
        """A stream over a part of it."""
        ...


class OpenFile:
    """A file that is open for reading, and closed when nobody has it any more.

    Streams of it keep it open: a store may be forgotten while its content is still on its way.
    """

    def __init__(self, fd: int, side: str) -> None:
        """Take over an open file.

        Raises:
            StoreError: it is a folder, a pipe or a device.
        """
        self._fd = fd
        self.side = side
        with turn_os_errors(side):
            status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            msg = f"{side} is not a file"
            hint = "it is read at any place: write what comes through a pipe to a file first"
            if stat.S_ISDIR(status.st_mode):
                hint = "it is a folder; give the path of a file"
            raise StoreError(msg, hint=hint if side else "")
        self.size = status.st_size

    @classmethod
    def at(cls, path: Path, side: str = "") -> OpenFile:
        """Open the file of this path.

        Raises:
            NotFound, AccessDenied, StoreError: there is none, or it cannot be read.
        """
        side = side or str(path)
        with turn_os_errors(side):
            # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return cls(fd, side)

    def __del__(self) -> None:
        """Give back the descriptor."""
        os.close(self._fd)

    def fileno(self) -> int:
        """The descriptor; its position means nothing."""
        return self._fd

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` bytes from there on; fewer only at the end of the file."""
        with turn_os_errors(self.side):
            data = os.pread(self._fd, size, offset)
            while 0 < len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        return data

    def window(self, offset: int) -> bytes:
        """Some blocks of a tar: often there is a second header in them."""
        return self.read_at(offset, WINDOW_BYTES)

    def section(self, offset: int, size: int) -> Section:
        """A stream over a part of it, which keeps the file open."""
        return Section(self, offset, size)


class Section(FileSlice):
    """A part of an open file as a stream; it keeps the file open, and tells where it is."""

    def __init__(self, file: OpenFile, offset: int, size: int) -> None:
        """Take ``size`` bytes of the file from ``offset`` on."""
        super().__init__(file.fileno(), offset, size, file.side)
        self._file = file

    @property
    def place(self) -> FilePlace:
        """The bytes that were not read yet."""
        return FilePlace(self._fd, self._position, self._end - self._position)
