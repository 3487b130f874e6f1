"""A bundle of ours read by its lock, which says where every byte belongs, whatever the tar says.

So a bundle with a damaged header, a damaged index or a lost tail can still be looked at, member by
member. The lock is read from the bundle itself, or from its copy beside it. The names may have
been changed since; they are read from ``index.json`` where that is still right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.decompression import compression_by_magic
from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.model.bundle_files import blob_path
from imgsync.model.digest import Digest
from imgsync.model.layout_index import LayoutIndex, parse_layout_index
from imgsync.model.lock import Lock
from imgsync.model.tar_header import BLOCK_BYTES, END_OF_ARCHIVE, padding
from imgsync.model.tar_layout import TarLayout, tar_layout
from imgsync.model.volumes import named_roots
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.beside import lock_of
from imgsync.stores.archive.packed_file import is_packed_name
from imgsync.stores.archive.tar_file import TarFile
from imgsync.stores.archive.tar_index import Entry, Kind, TarIndex
from imgsync.stores.files import OpenFile

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.model.bundle import Root
    from imgsync.stores.files import ByPosition

LOCK_BEGINS: Final = b'{\n "absent":'
MAX_SMALL_BYTES: Final = 1 << 30
"""A lock or index larger than this is damage to its header, not a lock."""


class ArchiveByLock(Archive):
    """A damaged bundle: its members stand where they must stand, and may be wrong at any byte.

    Attributes:
        cause: why it cannot be read as a tar.
    """

    def __init__(self, file: ByPosition, lock: Lock, cause: ImgsyncError) -> None:
        """Look at a file through this lock."""
        self.cause = cause
        self._found_lock = lock
        self._found_roots, _ = find_roots(file, lock)
        super().__init__(TarFile(file, _planned(tar_layout(lock, self._found_roots))))

    def _check_layout_file(self) -> None:
        """Nothing: it may be damaged like every member, and verification tells."""

    def index(self) -> LayoutIndex:
        """The names that were found."""
        return LayoutIndex(self._found_roots, self._found_lock.descriptor().digest, is_ours=True)

    def lock(self) -> Lock:
        """The lock that was found."""
        return self._found_lock


def open_by_lock(path: Path, cause: ImgsyncError) -> ArchiveByLock | None:
    """A bundle that cannot be read because of ``cause``; None if it is none, or its lock is lost.

    Raises:
        NotFound, AccessDenied, StoreError: the file cannot be opened.
    """
    file = OpenFile.at(path)
    lock = None if is_compressed(path, file) else _ours(file, path)
    try:
        return ArchiveByLock(file, lock, cause) if lock is not None else None
    except InvalidInput:  # a volume of a set that it does not come of
        return None


def advice_about(path: Path) -> str:
    """What to do with a bundle of ours that cannot be read; empty if it does not look like one.

    Raises:
        NotFound, AccessDenied, StoreError: the file cannot be opened.
    """
    file = OpenFile.at(path)
    if is_compressed(path, file):
        return ""  # whoever reads its frames knows better
    if _ours(file, path) is not None:
        return f"imgsync verify {path} lists all that is damaged; {advice_to_heal(path)}"
    is_ours = file.read_at(BLOCK_BYTES, len(LOCK_BEGINS)) == LOCK_BEGINS
    return advice_without_lock(path) if is_ours else ""


def advice_to_heal(path: Path) -> str:
    """What heals a bundle of ours whose lock is known.

    Raises:
        NotFound, AccessDenied, StoreError: the file cannot be opened.
    """
    if is_compressed(path, OpenFile.at(path)):
        return advice_about_compressed(path)
    return f"imgsync repair {path} heals it, and fetches only what is bad"


def advice_about_compressed(path: Path) -> str:
    """How a compressed bundle is made again: nothing of it has a place that is known before."""
    return f"make it anew from its lock: imgsync bundle -f {lock_of(path)} -o FILE"


def advice_without_lock(path: Path) -> str:
    """What brings back a lock that is damaged."""
    return f"put a copy of {lock_of(path).name} beside it; the sender has it, and it is small"


def is_compressed(path: Path, file: ByPosition) -> bool:
    """Whether a bundle is compressed as a whole, by its name or by what it begins with."""
    return is_packed_name(path) or bool(compression_by_magic(file.read_at(0, 6)))


def find_lock(file: ByPosition, path: Path) -> Lock | None:
    """The lock of a bundle of ours: from its first member, else from its copy beside it."""
    name, size = header_of(file.read_at(0, BLOCK_BYTES))
    raw = file.read_at(BLOCK_BYTES, size) if name.startswith("blobs/") else b""
    if raw and name == blob_path(Digest.of(raw)):
        try:
            return Lock.parse(raw, file.side)
        except ImgsyncError:
            pass
    return _lock_beside(path)


def find_roots(file: ByPosition, lock: Lock) -> tuple[tuple[Root, ...], bool]:
    """The roots with their names, and whether newer names may be lost."""
    as_made = tuple(named_roots(lock))
    layout = tar_layout(lock, as_made)
    manifest, index = layout.members[-2:]
    if file.read_at(index.data_offset, index.size) == index.data:
        return as_made, False
    # Names of another length move index.json, and its own header still says where it is.
    _, manifest_size = header_of(file.read_at(manifest.offset, BLOCK_BYTES))
    offset = manifest.data_offset + manifest_size + padding(manifest_size)
    name, size = header_of(file.read_at(offset, BLOCK_BYTES))
    if name == "index.json":
        raw = file.read_at(offset + BLOCK_BYTES, size)
        try:
            roots = parse_layout_index(raw, file.side).roots
            is_ours = all(root.descriptor.digest in lock.objects for root in roots)
            if is_ours and tar_layout(lock, roots).members[-1].data == raw:
                return roots, False
        except ImgsyncError:
            pass
    return as_made, True


def header_of(header: bytes) -> tuple[str, int]:
    """Name and size in a tar header that may be anything."""
    try:
        name = header[:100].rstrip(b"\0").decode("ascii")
        size = int(header[124:135], 8)
    except ValueError:
        return "", 0
    return name, min(size, MAX_SMALL_BYTES)


def _ours(file: ByPosition, path: Path) -> Lock | None:
    """The lock, if this file was made for it: one header at least stands where it must.

    A lock may have been left beside by another file of the same name.
    """
    lock = find_lock(file, path)
    members = tar_layout(lock).members if lock is not None else ()
    for member in members:
        if file.read_at(member.offset, len(member.header)) == member.header:
            return lock
    return None


def _lock_beside(path: Path) -> Lock | None:
    beside = lock_of(path)
    try:
        return Lock.parse(beside.read_bytes(), str(beside))
    except (OSError, ImgsyncError):
        return None


def _planned(layout: TarLayout) -> TarIndex:
    """The members where they belong."""
    entries = {
        member.name: Entry(member.name, Kind.FILE, member.offset, member.data_offset, member.size)
        for member in layout.members
    }
    return TarIndex(entries, layout.size - len(END_OF_ARCHIVE), has_end=True)
