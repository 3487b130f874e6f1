"""LayoutBundle: a layout folder that becomes a bundle, with its lock, when all content is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import Conflict
from imgsync.model.bundle_files import index_file

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.reference import Reference
    from imgsync.stores.files import Section
    from imgsync.stores.layout import Layout


class LayoutBundle:
    """Destination and Resuming; `finish` writes the lock and ``index.json``, which names all.

    Names are not added one by one: what is declared absent must be known with the first of them.
    """

    def __init__(self, layout: Layout, lock: Lock) -> None:
        """Write what the lock lists into this layout.

        Raises:
            Conflict: it is no bundle and holds other images, whose names would be lost.
        """
        index = layout.index()
        names = {(root.name, root.extra) for root in lock.roots}
        others = [root.label for root in index.roots if (root.name, root.extra) not in names]
        if others and not index.is_ours:
            msg = f"{layout.side} holds other images: {', '.join(others[:5])}"
            raise Conflict(msg, hint="choose an empty or a new folder")
        self._layout = layout
        self._lock = lock

    @property
    def side(self) -> str:
        """The folder's path."""
        return self._layout.side

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """As the layout says."""
        return self._layout.missing(descriptors)

    def kept(self, descriptor: Descriptor) -> Section | None:
        """As the layout says."""
        return self._layout.kept(descriptor)

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Into the layout."""
        self._layout.put(descriptor, stream)

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Nothing yet: `finish` writes all names."""

    def finish(self) -> None:
        """Let the folder be this bundle. One that is it already is left alone."""
        me = self._lock.descriptor()
        index = index_file(self._lock.roots, me.digest)
        if self._layout.missing([me]) or self._layout.small_file("index.json") != index:
            self._layout.finish(self._lock.roots, self._lock)
