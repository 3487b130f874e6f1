"""Reading from mirrors first, and from the registry where they fail.

A mirror is a convenience: whatever is wrong with it, the registry is asked. One that does not
answer is left alone for a while, so that it is not waited for with every object. What it gives is
proved like everything else; what fails the proof is the business of whoever reads, who can ask
the registry itself (`Repository.without_mirrors`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from imgsync.errors import ContentError, ImgsyncError, NetworkError, NotFound, StoreError
from imgsync.events import Noted, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.stores import Resolved, Source

T = TypeVar("T")

REST_S: Final = 300.0
"""So long a mirror that did not answer is not asked again."""

_NOT_FATAL: Final = (StoreError, NetworkError, ContentError)


class Health:
    """Whether a mirror is worth asking; shared by all that is read from it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._rests_until = 0.0

    @property
    def is_resting(self) -> bool:
        """Whether it failed a short while ago."""
        return time.monotonic() < self._rests_until

    def failed(self, side: str, error: ImgsyncError) -> None:
        """Leave it alone for a while, and say so once."""
        if not self.is_resting:
            self._report(Noted(f"mirror {side}: {error.message}", "warning"))
        self._rests_until = time.monotonic() + REST_S


class MirrorSource:
    """A repository at a mirror, as a source that is left alone when it fails."""

    def __init__(self, source: Source, health: Health, *, resolves: bool, report: Report) -> None:
        """``health`` is the mirror's; ``resolves``: tags may be asked there, not only digests."""
        self._source = source
        self._mirror = health
        self._repository = Health(report)
        self._resolves = resolves

    def resolve(self, reference: Reference) -> Resolved | None:
        """What the name means there; None if the mirror is of no use for it."""
        if not self._resolves and reference.digest is None:
            return None
        return self._tried(lambda: self._source.resolve(reference))

    def open(self, descriptor: Descriptor, offset: int) -> Readable | None:
        """The content's bytes; None if the mirror is of no use for it."""
        return self._tried(lambda: self._source.open(descriptor, offset))

    def failed(self, error: ImgsyncError) -> None:
        """Take note of an error; what the mirror simply does not have is none."""
        if isinstance(error, NotFound):
            return
        # No answer is about the whole mirror, a refusal may be about this repository.
        health = self._mirror if isinstance(error, NetworkError) else self._repository
        health.failed(self._source.side, error)

    def _tried(self, ask: Callable[[], T]) -> T | None:
        if self._mirror.is_resting or self._repository.is_resting:
            return None
        try:
            return ask()
        except _NOT_FATAL as error:
            self.failed(error)
            return None


class MirroredBody:
    """A body from a mirror, that goes on from the next place when this one fails."""

    def __init__(
        self,
        mirror: MirrorSource,
        body: Readable,
        offset: int,
        others: Callable[[int], Readable],
    ) -> None:
        """``others`` opens the same content elsewhere, from an offset on."""
        self._mirror: MirrorSource | None = mirror
        self._body = body
        self._position = offset
        self._others = others

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        try:
            data = self._body.read(size)
        except _NOT_FATAL as error:
            if self._mirror is None:
                raise
            self._mirror.failed(error)
            self._mirror = None
            self._body.close()
            self._body = self._others(self._position)
            data = self._body.read(size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()


def open_mirrored(
    mirrors: Sequence[MirrorSource],
    descriptor: Descriptor,
    offset: int,
    registry: Callable[[int], Readable],
) -> Readable:
    """The content from the first mirror that has it, else from the registry."""
    if not mirrors:
        return registry(offset)
    first, *others = mirrors

    def elsewhere(position: int) -> Readable:
        return open_mirrored(others, descriptor, position, registry)

    body = first.open(descriptor, offset)
    return elsewhere(offset) if body is None else MirroredBody(first, body, offset, elsewhere)
