"""Moving one object to one destination: which source, what after a failure, when to give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.content import Readable, VerifiedStream
from imgsync.errors import (
    BudgetSpent,
    ChildrenUnknown,
    ContentError,
    ImgsyncError,
    NetworkError,
    NotFound,
    RateLimited,
    RegistryUnavailable,
)
from imgsync.events import Advanced, Copied, Named, Report, Retried, Started
from imgsync.stores import Mounting, Resuming, in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.plan import Plan, Step
    from imgsync.stores import Destination, Source


class Stopped(BaseException):
    """Raised within workers when the run ends early; never seen outside of the engine."""


class Mover:
    """Does the steps of a plan one at a time; used by several workers at once."""

    def __init__(
        self,
        plan: Plan,
        sources: Sequence[Source],
        destinations: Sequence[Destination],
        report: Report,
        retries: int,
        check_stop: Callable[[], None],
    ) -> None:
        """Keep what the steps need; ``check_stop`` is called with each chunk and may raise."""
        self._plan = plan
        self._sources = sources
        self._destinations = destinations
        self._report = report
        self._retries = retries
        self._check_stop = check_stop

    def move(self, step: Step) -> str:
        """Make sure that the object is at its destination; says whether it was sent or mounted.

        Raises:
            ImgsyncError: what the destination said, or the last source.
        """
        destination = self._destinations[step.destination]
        if step.mount_from is not None and isinstance(destination, Mounting):
            origin = self._destinations[step.mount_from]
            if destination.mount(step.descriptor, origin):
                self._report(Copied(step.descriptor, destination.side, "mounted"))
                return "mounted"
        try:
            self._send(step.descriptor, step.sources, destination)
        except ChildrenUnknown:
            # The registry forgot what it said it had: send the children whatever it says now.
            self._report(
                Retried(step.descriptor.short, f"{destination.side} lost content that it had")
            )
            for child in self._plan.graph.children(step.descriptor.digest):
                if child.digest not in self._plan.absent:
                    self._send(child, step.sources, destination)
            self._send(step.descriptor, step.sources, destination)
        self._report(Copied(step.descriptor, destination.side))
        return "sent"

    def name(self, place: int, reference: Reference, root: Descriptor) -> None:
        """Let the name mean the root at this destination."""
        destination = self._destinations[place]
        destination.name(reference, root)
        self._report(Named(str(reference), root))

    def _send(
        self, descriptor: Descriptor, sources: Sequence[int], destination: Destination
    ) -> None:
        last: ImgsyncError = NotFound(f"{descriptor.short} is in no source")
        for source in in_turn(self._sources[number] for number in sources):
            try:
                self._send_from(source, descriptor, destination)
            except _SourceFailed as failed:
                if isinstance(failed.error, RateLimited):
                    # No other source is tried: it would be the same registry's quota.
                    raise BudgetSpent(failed.error.message, hint=failed.error.hint) from None
                last = failed.error
            else:
                return
        raise last

    def _send_from(self, source: Source, descriptor: Descriptor, destination: Destination) -> None:
        """One source, with fresh streams while the network is to blame.

        Raises:
            _SourceFailed: this source will not do; another may.
        """
        resume = True
        attempt = 0
        while True:
            attempt += 1
            try:
                self._attempt(source, descriptor, destination, resume=resume)
            except _SourceFailed as failed:
                if isinstance(failed.error, ContentError) and failed.resumed and resume:
                    # Kept bytes may be to blame: once from zero before the source is.
                    resume = False
                    self._report(Retried(descriptor.short, "kept bytes were wrong"))
                    continue
                raise
            except NetworkError as error:
                # A registry that is told to be unavailable was asked often enough.
                if attempt > self._retries or isinstance(error, RateLimited | RegistryUnavailable):
                    raise
                self._report(Retried(descriptor.short, error.message))
            else:
                return

    def _attempt(
        self, source: Source, descriptor: Descriptor, destination: Destination, *, resume: bool
    ) -> None:
        prefix = None
        if resume and isinstance(destination, Resuming):
            prefix = destination.kept(descriptor)
        passed = 0

        def on_bytes(n_bytes: int) -> None:
            nonlocal passed
            self._check_stop()
            passed += n_bytes
            self._report(Advanced(descriptor, n_bytes))

        inner = _FromSource(source, descriptor)
        try:
            stream = VerifiedStream(
                inner, descriptor, side=source.side, prefix=prefix, on_bytes=on_bytes
            )
            if prefix is not None:
                on_bytes(stream.tell())
            self._report(Started(descriptor, stream.tell()))
            with stream:
                inner.start(stream.tell())
                destination.put(descriptor, stream)
        except BaseException as error:
            self._report(Advanced(descriptor, -passed))
            if isinstance(error, ImgsyncError) and (
                inner.failed is not None or isinstance(error, ContentError)
            ):
                raise _SourceFailed(inner.failed or error, resumed=prefix is not None) from error
            raise
        finally:
            inner.close()
            if prefix is not None:
                prefix.close()


class _SourceFailed(Exception):
    def __init__(self, error: ImgsyncError, *, resumed: bool) -> None:
        super().__init__()
        self.error = error
        self.resumed = resumed


class _FromSource:
    """The source's stream, opened at its first read, which remembers whether it failed.

    So that the engine can tell a source's error from one of the destination, which may be
    another registry with errors of the same kind.
    """

    def __init__(self, source: Source, descriptor: Descriptor) -> None:
        self._source = source
        self._descriptor = descriptor
        self._stream: Readable | None = None
        self._offset = 0
        self.failed: ImgsyncError | None = None

    def start(self, offset: int) -> None:
        self._offset = offset

    def read(self, size: int = -1) -> bytes:
        try:
            if self._stream is None:
                if self._offset >= self._descriptor.size > 0:
                    return b""
                self._stream = self._source.open(self._descriptor, self._offset)
            return self._stream.read(size)
        except ImgsyncError as error:
            self.failed = error
            raise

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
