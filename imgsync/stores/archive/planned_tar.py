"""PlannedTar: a tar whose lock is known, and with it the place of every blob: a source.

Two of them help to make a bundle: the one that stands under its name already, and what an earlier
run left of another plan. When a plan changes (an image more, a tag that moved), the old partial
does not fit the new places; it is set aside under its plan's name, and read from until the new
bundle is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from imgsync.errors import ImgsyncError, NotFound
from imgsync.model.bundle_files import blob_path
from imgsync.model.digest import Digest
from imgsync.model.lock import Lock
from imgsync.model.tar_header import BLOCK_BYTES
from imgsync.model.tar_layout import tar_layout
from imgsync.stores.archive.archive_file import journal_of, packed_of, partial_of
from imgsync.stores.archive.frames_file import open_by_position
from imgsync.stores.archive.journal import Journal
from imgsync.stores.disk import turn_os_errors
from imgsync.stores.files import OpenFile

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.stores import Resolved
    from imgsync.stores.files import ByPosition


class PlannedTar:
    """A Source of the blobs that are there whole, as far as is known; their hash decides."""

    def __init__(self, path: Path, file: ByPosition, lock: Lock, done: Collection[Digest]) -> None:
        """Read the tar of ``path``, which was made for this lock, and holds these digests."""
        self.path = path
        self.digests = frozenset(done)
        self._places = tar_layout(lock).places
        self._file: ByPosition | None = file

    @property
    def side(self) -> str:
        """The file's path."""
        return str(self.path)

    def resolve(self, reference: Reference) -> Resolved:
        """Nothing: it has blobs, no names."""
        msg = f"{self.side}: {reference} is not here"
        raise NotFound(msg)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """A blob's bytes from its place."""
        place = self._places.get(descriptor.digest)
        if self._file is None or place is None or descriptor.digest not in self.digests:
            msg = f"{self.side}: {descriptor.short} is not here"
            raise NotFound(msg)
        return self._file.section(place.offset + offset, place.size - offset)

    def close(self) -> None:
        """Let go of the file; it is closed when no stream of it is left."""
        self._file = None

    def remove(self) -> None:
        """Delete it: the bundle that it helped to make is whole."""
        self.close()
        self.path.unlink(missing_ok=True)
        _journal(self.path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Close it when the block ends."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """See `close`."""
        self.close()


def set_aside(path: Path, journal: Journal) -> None:
    """Keep the partial of ``path`` under its own plan's name, before another plan begins.

    Safe at every moment: the journal's copy is written first, and without a file it says nothing.
    """
    partial = partial_of(path)
    if journal.lock is None or not journal.done or not partial.exists():
        return
    lock = Lock.parse(journal.lock, str(journal_of(path)))
    aside = partial.with_name(f"{partial.name}.{lock.descriptor().digest.hex[:12]}")
    _journal(aside).unlink(missing_ok=True)
    with Journal(_journal(aside)) as copy:
        copy.set_lock(journal.lock)
        for digest in journal.done:
            copy.add_done(digest)
    with turn_os_errors(partial):
        partial.rename(aside)


def leftovers_of(path: Path) -> list[PlannedTar]:
    """All that was set aside for this bundle; what cannot be read is of no use and passed over."""
    found = []
    for file in sorted(path.parent.glob(f"{_escaped(partial_of(path).name)}.*")):
        if file.name.endswith(".journal") or file == packed_of(path):
            continue
        try:
            with Journal(_journal(file)) as journal:
                if journal.lock is not None:
                    lock = Lock.parse(journal.lock, str(file))
                    found.append(PlannedTar(file, OpenFile.at(file), lock, journal.done))
        except ImgsyncError:
            continue
    return found


def previous_of(path: Path) -> PlannedTar | None:
    """The bundle that stands under this name now, if it is one of ours."""
    try:
        file = open_by_position(path)
        if file is None:
            return None
        header = file.read_at(0, BLOCK_BYTES)
        raw = file.read_at(BLOCK_BYTES, int(header[124:135], 8))
        lock = Lock.parse(raw, str(path))
        if not header.startswith(f"{blob_path(Digest.of(raw))}\0".encode()):
            return None
        return PlannedTar(path, file, lock, [item.digest for item in lock.present()])
    except (ValueError, ImgsyncError):
        return None


def _journal(aside: Path) -> Path:
    return aside.with_name(f"{aside.name}.journal")


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
