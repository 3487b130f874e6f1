"""How a layout folder is written, so that it is whole at every moment.

Content grows in ``.imgsync/`` beside the blobs, in a file named by its digest, so that the next
run can go on with it; it is synced and then renamed. ``index.json`` is replaced by a rename.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.stores.disk import discard, sync_folder, turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.model.digest import Digest

INGEST: Final = ".imgsync"
"""Where content grows. Readers of layouts look at three names only, and this is none of them."""


class LayoutFolder:
    """The files of a layout that is written to; several processes may do so at once."""

    def __init__(self, path: Path) -> None:
        """Write below this folder, which is there."""
        self.path = path
        self._side = str(path)

    def growing(self, digest: Digest) -> Path:
        """Where content grows."""
        return self.path / INGEST / f"{digest.algorithm}-{digest.hex}"

    @contextmanager
    def ingest(self, digest: Digest, final: Path) -> Iterator[int]:
        """A file to write content to; it gets its name when the block ends well.

        It is the one that `growing` tells of, with what an earlier run left in it, unless
        somebody else writes to that at this moment.
        """
        with turn_os_errors(self._side):
            final.parent.mkdir(parents=True, exist_ok=True)
            fd, path, is_shared = self._open_for_growing(digest)
        try:
            yield fd
            with turn_os_errors(self._side):
                os.fsync(fd)
                path.rename(final)
        finally:
            os.close(fd)
            if not is_shared:
                path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes ``index.json``; the lock is on the folder and leaves no file."""
        with turn_os_errors(self._side):
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def replace_file(self, name: str, data: bytes) -> None:
        """Let a small file have this content, before or after a crash, but nothing between."""
        path = self.path / name
        with turn_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            fd, temporary = tempfile.mkstemp(dir=self._scratch())
            try:
                os.fchmod(fd, 0o644)
                write_all(fd, data)
                os.fsync(fd)
                Path(temporary).rename(path)
            except BaseException:
                discard(Path(temporary))
                raise
            finally:
                os.close(fd)
            sync_folder(path.parent)

    def sync_blobs(self) -> None:
        """Make the renames of all content survive a loss of power, before a name promises it."""
        with turn_os_errors(self._side):
            for folder in entries_of(self.path / "blobs"):
                if folder.is_dir():
                    sync_folder(Path(folder.path))

    def tidy(self) -> None:
        """Take the folder for growing content away, if none grows."""
        with suppress(OSError):
            (self.path / INGEST).rmdir()

    def _open_for_growing(self, digest: Digest) -> tuple[int, Path, bool]:
        scratch = self._scratch()
        path = self.growing(digest)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        if _is_locked_here(fd, path):
            return fd, path, True
        os.close(fd)
        fd, text = tempfile.mkstemp(dir=scratch, prefix=f"{path.name}.")
        os.fchmod(fd, 0o644)
        return fd, Path(text), False

    def _scratch(self) -> Path:
        folder = self.path / INGEST
        folder.mkdir(exist_ok=True)
        return folder


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name; nothing if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []


def write_all(fd: int, data: bytes) -> None:
    """Write all of it at the file's position; the kernel may take it in pieces."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _is_locked_here(fd: int, path: Path) -> bool:
    """Whether we have the lock, and the file is still the one at the path."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
