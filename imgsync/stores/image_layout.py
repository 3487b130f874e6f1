"""What a folder and a tar have in common as OCI image layouts: names, roots and the lock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from imgsync.content import read_verified
from imgsync.errors import InvalidArchive, MissingContent, NotFound
from imgsync.model.bundle import Bundle
from imgsync.model.descriptor import Descriptor
from imgsync.model.layout_index import LayoutIndex, parse_layout_index, with_lock
from imgsync.model.lock import MEDIA_TYPE as LOCK_MEDIA_TYPE
from imgsync.model.lock import Lock
from imgsync.stores import Resolved
from imgsync.stores.roots_of_others import roots_of_others
from imgsync.stores.selected import find_root
from imgsync.walk import check_document_size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference

MAX_SMALL_FILE_BYTES: Final = 64 * 1024 * 1024
"""Of ``index.json`` and the lock, which have some hundred bytes for each image or object."""


class ImageLayout(ABC):
    """The reading of a layout; how its files are had is left to `Layout` and `Archive`."""

    @property
    @abstractmethod
    def side(self) -> str:
        """How messages call it."""

    @abstractmethod
    def small_file(self, name: str) -> bytes:
        """The bytes of a file of the layout that is no blob.

        Raises:
            NotFound: it is not there.
            InvalidArchive: it is larger than any such file.
        """

    @abstractmethod
    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The bytes of a blob, unproved."""

    @abstractmethod
    def sizes(self) -> Mapping[Digest, int]:
        """Every blob, with its size."""

    def index(self) -> LayoutIndex:
        """What ``index.json`` says.

        Raises:
            InvalidManifest, InvalidArchive: it is damaged, or absent.
        """
        try:
            raw = self.small_file("index.json")
        except NotFound:
            msg = f"{self.side} has no index.json"
            raise InvalidArchive(msg, hint="it was cut off, or is not finished") from None
        return parse_layout_index(raw, f"{self.side}: index.json")

    def lock(self) -> Lock | None:
        """The lock of a layout that imgsync wrote, proved.

        Raises:
            MissingContent, ContentError: ``index.json`` names one that is absent or damaged.
        """
        digest = self.index().lock
        if digest is None:
            return None
        size = self.sizes().get(digest)
        if size is None:
            msg = f"{self.side}: index.json names the lock {digest.short}, which is not there"
            raise MissingContent(msg, hint="the bundle is damaged; get it again")
        check_small(size, f"{self.side}: lock {digest.short}")
        descriptor = Descriptor(LOCK_MEDIA_TYPE, digest, size)
        raw = read_verified(self.open(descriptor), descriptor, side=self.side)
        return Lock.parse(raw, f"{self.side}: lock")

    def bundle(self) -> Bundle:
        """The roots of ``index.json``, with what the lock says where imgsync wrote it.

        Of others' entries just those that are images, and what is about them (`roots_of_others`).
        """
        index, lock = self.index(), self.lock()
        if lock is None:
            return Bundle(roots_of_others(index.roots, self._document))
        return Bundle(with_lock(index.roots, lock), lock.absent)

    def _document(self, descriptor: Descriptor) -> bytes:
        check_document_size(descriptor)
        return read_verified(self.open(descriptor), descriptor, side=self.side)

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means."""
        return Resolved(find_root(self.index().roots, reference, self.side).descriptor)

    def notes(self) -> Sequence[str]:
        """What a user should know about how it is made."""
        return self.index().notes


def check_small(size: int, what: str) -> None:
    """Refuse to read a file into memory that claims to be far larger than any of its kind.

    Raises:
        InvalidArchive: more than 64 MiB.
    """
    if size > MAX_SMALL_FILE_BYTES:
        msg = f"{what} has {size} bytes, far more than any other"
        raise InvalidArchive(msg)
