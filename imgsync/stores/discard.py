"""Discard: reads everything and keeps nothing, so that a run into it proves its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.content import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference


class Discard:
    """A Destination that lacks everything, always."""

    side = "nowhere"

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """All of them."""
        return {item.digest for item in descriptors}

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Read the stream to its end; it raises if the bytes are not the promised ones."""
        del descriptor
        while stream.read(CHUNK_BYTES):
            pass

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Forget the name."""
