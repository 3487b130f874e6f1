"""Memory: a store of plain dicts. The reference for what a store does, and a tool of tests."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

from imgsync.errors import NotFound
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.stores import Resolved
from imgsync.stores.selected import find_root

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference


class Memory:
    """Source, Destination and Holding.

    Attributes:
        blobs: content by digest.
        roots: names and extra roots, in the order in which they came.
        absent: what it declares to be left out.
    """

    def __init__(self, side: str = "memory") -> None:
        """Start with nothing; ``side`` is how messages call it."""
        self.side = side
        self.blobs: dict[Digest, bytes] = {}
        self.roots: list[Root] = []
        self.absent: dict[Digest, AbsentReason] = {}

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means, with the document."""
        root = find_root(self.roots, reference, self.side)
        return Resolved(root.descriptor, self.blobs.get(root.descriptor.digest))

    def open(self, descriptor: Descriptor, offset: int = 0) -> BinaryIO:
        """The bytes that are kept under the digest, whatever they are."""
        try:
            data = self.blobs[descriptor.digest]
        except KeyError:
            msg = f"{self.side}: {descriptor.short} is not there"
            raise NotFound(msg) from None
        stream = io.BytesIO(data)
        stream.seek(offset)
        return stream

    def bundle(self) -> Bundle:
        """Everything that was named."""
        return Bundle(tuple(self.roots), dict(self.absent))

    def sizes(self) -> Mapping[Digest, int]:
        """Everything that is kept."""
        return {digest: len(data) for digest, data in self.blobs.items()}

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """Those that are not kept in their full size."""
        return {
            item.digest
            for item in descriptors
            if item.digest not in self.blobs or len(self.blobs[item.digest]) != item.size
        }

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Keep the bytes, once the stream has proved them."""
        self.blobs[descriptor.digest] = stream.read()

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Keep the name; one that was there means the new root."""
        kept = [item for item in self.roots if item.name != reference]
        self.roots = [*kept, Root(reference, root)]
