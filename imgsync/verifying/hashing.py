"""Proving many objects at once, each read once, on all cores."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from imgsync.content import CHUNK_BYTES, MAX_READ_BYTES, VerifiedStream
from imgsync.decompression import Decompressed, compression_by_magic
from imgsync.errors import ContentError, DigestMismatch, ImgsyncError, SizeMismatch, StoreError
from imgsync.events import Advanced, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores import Source


STEP_BYTES: Final = 8 * 1024 * 1024
"""How many bytes of an object pass between two events."""


class _EndsError(Exception):
    """The run was interrupted: a large object is not hashed to its end."""


class Prover:
    """Reads content to its end through `VerifiedStream`, and keeps what was wrong.

    Attributes:
        errors: for each object that is not what it must be, the error.
        diff_ids: of layers, the digest of what is inside, where that was asked for.
        n_bytes: how many bytes were proved.
    """

    def __init__(self, source: Source, report: Report, jobs: int = 0) -> None:
        """Read from this source; ``jobs`` threads, as many as there are cores if 0."""
        self.errors: dict[Digest, ImgsyncError] = {}
        self.diff_ids: dict[Digest, Digest | ImgsyncError] = {}
        self.n_bytes = 0
        self._source = source
        self._report = report
        self._jobs = jobs or os.cpu_count() or 1
        self._mutex = threading.Lock()
        self._ends = False

    def prove(self, descriptors: Iterable[Descriptor], *, inside: Collection[Digest] = ()) -> None:
        """Hash every object; of those in ``inside``, also what comes out of decompression.

        Raises:
            NetworkError, ContainerdError, …: the source cannot be read at all; that says nothing
                about the content.
        """
        # The large ones first, so that no thread is left alone with one at the end.
        ordered = sorted(descriptors, key=lambda item: -item.size)

        def work(descriptor: Descriptor) -> None:
            if descriptor.digest in inside:
                self._guarded(descriptor, self._look_inside)
            else:
                self._guarded(descriptor, self._hash)

        with ThreadPoolExecutor(self._jobs, "verify") as pool:
            try:
                for _ in pool.map(work, ordered):
                    pass
            except BaseException:
                self._ends = True
                raise

    def prove_stream(self, descriptor: Descriptor, stream: Readable) -> ImgsyncError | None:
        """What is wrong with one more stream of the same content; None if nothing is."""
        try:
            _drain(VerifiedStream(stream, descriptor, side=self._source.side))
        except ContentError as error:
            return error
        return None

    def _guarded(self, descriptor: Descriptor, work: Callable[[Descriptor], None]) -> None:
        try:
            work(descriptor)
        except (ContentError, StoreError) as error:
            with self._mutex:
                self.errors[descriptor.digest] = error

    @contextmanager
    def _stream(self, descriptor: Descriptor) -> Iterator[VerifiedStream]:
        """A stream whose progress is told in large steps: each has its price in every thread."""
        untold = 0

        def on_bytes(n_bytes: int) -> None:
            nonlocal untold
            if self._ends:
                raise _EndsError
            untold += n_bytes
            if untold >= STEP_BYTES:
                untold = self._advance(descriptor, untold)

        with VerifiedStream(
            self._source.open(descriptor), descriptor, side=self._source.side, on_bytes=on_bytes
        ) as stream:
            yield stream
        if untold:
            self._advance(descriptor, untold)

    def _advance(self, descriptor: Descriptor, n_bytes: int) -> int:
        with self._mutex:
            self.n_bytes += n_bytes
            self._report(Advanced(descriptor, n_bytes))
        return 0

    def _hash(self, descriptor: Descriptor) -> None:
        with self._stream(descriptor) as stream:
            _drain(stream)

    def _look_inside(self, descriptor: Descriptor) -> None:
        with self._stream(descriptor) as stream:
            first = stream.read(CHUNK_BYTES)
            what = f"{self._source.side}: {descriptor.short}"
            inner = Decompressed(_Rejoined(first, stream), compression_by_magic(first), what)
            hasher = descriptor.digest.hasher()
            try:
                while chunk := inner.read(CHUNK_BYTES):
                    hasher.update(chunk)
            except (DigestMismatch, SizeMismatch):
                raise
            except ContentError as error:
                _drain(stream)  # its own bytes may be wrong too, which then is the cause
                self.diff_ids[descriptor.digest] = error
            else:
                self.diff_ids[descriptor.digest] = type(descriptor.digest)(
                    descriptor.digest.algorithm, hasher.hexdigest()
                )


class _Rejoined:
    """A stream whose first bytes were looked at."""

    def __init__(self, first: bytes, rest: VerifiedStream) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int = -1, /) -> bytes:
        if self._first:
            part, self._first = self._first[:size], self._first[size:]
            return part
        return self._rest.read(size)

    def close(self) -> None:
        """Leave the stream to whoever opened it."""


def _drain(stream: VerifiedStream) -> None:
    while stream.read(MAX_READ_BYTES):
        pass
