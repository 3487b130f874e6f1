"""Single: one image of a source that cannot list what it has, as a Holding."""

from __future__ import annotations

import io
from functools import cached_property
from typing import TYPE_CHECKING

from imgsync.errors import NotFound
from imgsync.model.bundle import Bundle, Root

if TYPE_CHECKING:
    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.stores import Resolved, Source


class Single:
    """An image of a registry, to be verified, inspected, pushed or imported like an archive.

    It is resolved when it is first asked for, and means the same from then on.
    """

    def __init__(self, source: Source, reference: Reference) -> None:
        """Show what ``reference`` means at ``source``."""
        self.source = source
        self.reference = reference

    @property
    def side(self) -> str:
        """The source's."""
        return self.source.side

    @cached_property
    def _resolved(self) -> Resolved:
        return self.source.resolve(self.reference)

    def bundle(self) -> Bundle:
        """The one root, under the name that it was asked by.

        Raises:
            NotFound, AccessDenied, NetworkError: the source does not give it.
        """
        name, descriptor = self.reference, self._resolved.descriptor
        origin = str(type(name)(name.registry, name.repository, name.tag, descriptor.digest))
        # With a tag and a digest, the tag is the name, and the digest what is meant.
        shown = name.with_tag(name.tag) if name.tag else name
        return Bundle((Root(shown, descriptor, origin=origin),))

    def resolve(self, reference: Reference) -> Resolved:
        """What the one name means."""
        if reference not in {self.reference, self.bundle().roots[0].name}:
            msg = f"{self.side} is looked at for {self.reference} only, not for {reference}"
            raise NotFound(msg)
        return self._resolved

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The source's bytes; those of the root came with its name, where it can."""
        raw = self._resolved.raw
        if raw is not None and descriptor.digest == self._resolved.descriptor.digest:
            return io.BytesIO(raw[offset:])
        return self.source.open(descriptor, offset)
