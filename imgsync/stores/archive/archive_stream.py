"""ArchiveStream: the same tar, written in order to a pipe. Not resumable, and it says so.

``index.json`` is the last member, so a reader of a stream that breaks off sees no image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from imgsync.content import CHUNK_BYTES
from imgsync.errors import Conflict
from imgsync.model.tar_header import END_OF_ARCHIVE, padding
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.model.tar_layout import Member, TarLayout


class ArchiveStream:
    """A Destination that takes blobs in the order of the layout, one at a time."""

    def __init__(self, out: BinaryIO, layout: TarLayout, side: str = "standard output") -> None:
        """Write to ``out``, which stays open."""
        self.side = side
        self._out = out
        self._members = iter(layout.members)
        self._member = self._next()
        self._written = 0

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """All of them: a pipe has nothing."""
        return {item.digest for item in descriptors}

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Write the next blob; after a failure within it, only what is not yet written.

        Raises:
            Conflict: it is not the next one, because an earlier one failed.
        """
        member = self._member
        if (
            member is None
            or member.descriptor is None
            or (member.descriptor.digest != descriptor.digest)
        ):
            msg = f"{self.side}: {descriptor.short} cannot be written; the stream has stopped"
            raise Conflict(msg, hint="write to a file with -o FILE; that can be continued")
        while chunk := stream.read(CHUNK_BYTES):
            behind = stream.tell()
            fresh = chunk[max(0, len(chunk) - (behind - self._written)) :]
            if behind <= self._written:
                continue
            self._write(fresh)
            self._written = behind
        self._write(bytes(padding(member.size)))
        self._written = 0
        self._member = self._next()

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Nothing to do: the names stand in ``index.json``."""

    def finish(self) -> None:
        """Write the end of the archive, after all members."""
        if self._member is not None:
            msg = f"{self.side}: {self._member.name} was not written"
            raise Conflict(msg)
        self._write(END_OF_ARCHIVE)
        with turn_os_errors(self.side):
            self._out.flush()

    def _next(self) -> Member | None:
        """Write headers, and the members that we have ourselves, up to the next blob."""
        for member in self._members:
            self._write(member.header)
            if member.data is None:
                return member
            self._write(member.data + bytes(padding(member.size)))
        return None

    def _write(self, data: bytes) -> None:
        with turn_os_errors(self.side):
            self._out.write(data)
