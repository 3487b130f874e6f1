"""Source and Destination: where content is read from, and where it goes.

The contract, which ``tests/store_contract.py`` runs against every store:

- ``open`` gives exactly the stored bytes from an offset on; nobody trusts them before they have
  passed a `VerifiedStream`. ``open`` of an offset that is not below the size is never asked for.
- ``put`` reads the stream to its end. Content is visible only after ``put`` returned. If reading
  the stream raises, the exception passes through, and what stays behind is at most bytes that
  ``kept`` tells of later. ``put`` of content that is there is harmless.
- ``name`` comes last, when everything that the root needs is there.
- Stores are used by several threads at once.

Stores turn foreign exceptions (requests, urllib3, OSError, zstandard) into those of
``imgsync.errors``, each in one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from imgsync.content import Readable, VerifiedStream
    from imgsync.model.bundle import Bundle
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.reference import Reference


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name means at a source; ``raw`` is the document's bytes if they came with it."""

    descriptor: Descriptor
    raw: bytes | None = None


class Source(Protocol):
    """Where content is read from."""

    @property
    def side(self) -> str:
        """How messages call this store: a host and repository, or a file name."""
        ...

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means now.

        Raises:
            NotFound, AccessDenied: the store says no.
        """
        ...

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The content's bytes from ``offset`` on, unproved.

        Raises:
            NotFound: the store does not have it.
        """
        ...


class Holding(Source, Protocol):
    """A source that knows all that it holds: an archive, a layout, a containerd namespace."""

    def bundle(self) -> Bundle:
        """Its roots with their names, and what it declares to be absent."""
        ...


@runtime_checkable
class Listing(Protocol):
    """A store that can say at once which content it has, whether or not a name needs it."""

    def sizes(self) -> Mapping[Digest, int]:
        """Every object by its digest, with the size in bytes that it has there."""
        ...


@runtime_checkable
class Locked(Protocol):
    """A store that imgsync may have written, with a lock that says what it is."""

    def lock(self) -> Lock | None:
        """The lock, proved; None where imgsync did not write the store."""
        ...


@runtime_checkable
class Placed(Protocol):
    """A stream whose bytes stand in an open file, so that the kernel can send them from there."""

    @property
    def place(self) -> tuple[int, int, int]:
        """The file's descriptor, and offset and size of the bytes that were not read yet.

        The descriptor is open as long as the stream is.
        """
        ...


class Destination(Protocol):
    """Where content goes: one pool of blobs with names, or one repository of a registry."""

    @property
    def side(self) -> str:
        """How messages call this store."""
        ...

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """Those that must be sent; what is not in the answer is there, with the right size."""
        ...

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Store content; the stream starts at ``stream.tell()`` and has ``len(stream)`` bytes."""
        ...

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Let the name mean this root, whose closure is there."""
        ...


@runtime_checkable
class Resuming(Protocol):
    """A destination that keeps the beginning of content from a run that was broken off."""

    def kept(self, descriptor: Descriptor) -> Readable | None:
        """The bytes kept from before, or None. Fewer than the whole; unproved."""
        ...


@runtime_checkable
class Mounting(Protocol):
    """A destination that can take content from another one of the same registry by name."""

    @property
    def mounts_with(self) -> str:
        """Destinations with the same text can mount from each other (a registry's base URL)."""
        ...

    def mount(self, descriptor: Descriptor, origin: Destination) -> bool:
        """Whether the registry linked the content from ``origin``; if not, it must be sent."""
        ...


@runtime_checkable
class Mirrored(Protocol):
    """A source that reads from mirrors first, if it has any."""

    @property
    def without_mirrors(self) -> Source:
        """The place itself; the same object where there are no mirrors."""
        ...


def in_turn(sources: Iterable[Source]) -> Iterator[Source]:
    """Sources, best first; behind one with mirrors itself without them, because mirrors may lie."""
    for source in sources:
        yield source
        if isinstance(source, Mirrored):
            behind = source.without_mirrors
            if behind is not source:
                yield behind
