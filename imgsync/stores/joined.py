"""Joined: several stores seen as one, such as the volumes of a bundle that have arrived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import Conflict, NotFound
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.stores import Holding, Listing, Locked, Resolved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.reference import Reference


class Joined:
    """A Holding and Listing: what one of the stores declares absent, another may bring."""

    def __init__(self, parts: Sequence[Holding]) -> None:
        """See these stores as one; they must be able to list what they have.

        Raises:
            Conflict: one of them cannot, or they give one name to different content.
        """
        self._parts = tuple(parts)
        self._sizes: dict[Digest, int] = {}
        for part in parts:
            if not isinstance(part, Listing):
                msg = f"{part.side} cannot be taken together with other sources"
                raise Conflict(msg, hint="name it alone; where images go to is said with --to")
            self._sizes.update(part.sizes())
        self._bundle = self._join()

    @property
    def side(self) -> str:
        """The stores' own, together."""
        return ", ".join(part.side for part in self._parts)

    @property
    def n_parts(self) -> int:
        """How many stores there are."""
        return len(self._parts)

    def bundle(self) -> Bundle:
        """All roots, each name once, and what is absent from every one of the stores."""
        return self._bundle

    def sizes(self) -> Mapping[Digest, int]:
        """Everything that one of them has."""
        return self._sizes

    def lock(self) -> Lock | None:
        """The lock of one of them, if they are volumes: it tells of all."""
        locks = [part.lock() for part in self._parts if isinstance(part, Locked)]
        return next((lock for lock in locks if lock is not None and lock.volume), None)

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means at the first store that has it."""
        for part in self._parts:
            try:
                return part.resolve(reference)
            except NotFound:
                continue
        msg = f"{self.side}: {reference} is not there"
        raise NotFound(msg)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The content's bytes from a store that has it."""
        for part in self._parts:
            if isinstance(part, Listing) and descriptor.digest in part.sizes():
                return part.open(descriptor, offset)
        msg = f"{self.side}: {descriptor.short} is not there"
        raise NotFound(msg)

    def _join(self) -> Bundle:
        roots: dict[tuple[str, Digest], Root] = {}
        named: dict[Reference, Root] = {}
        absent: dict[Digest, AbsentReason] = {}
        for part in self._parts:
            bundle = part.bundle()
            absent.update(bundle.absent)
            for root in bundle.roots:
                roots.setdefault((root.label, root.descriptor.digest), root)
                if root.name is None:
                    continue
                other = named.setdefault(root.name, root)
                if other.descriptor.digest != root.descriptor.digest:
                    msg = f"{self.side} give different content to {root.name}"
                    raise Conflict(msg, hint="push or import them one after the other")
        return Bundle(
            tuple(roots.values()),
            {digest: why for digest, why in absent.items() if digest not in self._sizes},
        )
