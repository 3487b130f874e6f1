"""Roots by name, and a store seen as holding only some of them (``--image``, ``oci:DIR:NAME``)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.errors import NotFound
from imgsync.stores import Resolved

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.content import Readable
    from imgsync.model.bundle import Bundle, Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding


class Selected:
    """A Holding of another one's content, with some of its roots.

    It cannot list its content (`imgsync.stores.Listing`): what the other roots need is none of
    its business.
    """

    def __init__(self, inner: Holding, roots: Collection[Root]) -> None:
        """Show just these roots, which are the inner store's."""
        self.inner = inner
        self._roots = tuple(roots)

    @property
    def side(self) -> str:
        """The inner store's."""
        return self.inner.side

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means, if it is one of those that are shown."""
        return Resolved(find_root(self._roots, reference, self.side).descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The inner store's bytes."""
        return self.inner.open(descriptor, offset)

    def bundle(self) -> Bundle:
        """The roots that are shown, with what the inner store declares absent."""
        return replace(self.inner.bundle(), roots=self._roots)


def find_root(roots: Collection[Root], reference: Reference, side: str) -> Root:
    """The root that a name means in a store that knows all its names.

    A digest decides, where the reference has one; the tag is then only a name.

    Raises:
        NotFound: no root of this name; the message says which names there are.
    """
    for root in roots:
        if reference.digest is not None:
            if root.descriptor.digest == reference.digest:
                return root
        elif root.name == reference:
            return root
    names = [root.label for root in roots]
    has = f"it has {', '.join(names[:5])}" if names else "it has no names"
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    msg = f"{side} has no {reference}"
    raise NotFound(msg, hint=f"{has}{more}")
