"""The one place that proves bytes: hashing and counting while they pass.

`VerifiedStream` stands between every source and every destination. It raises before it hands over
the last chunk, so content that is wrong is always content that is unfinished: the registry never
gets the length that was declared, the archive's blob is never marked whole, nothing is renamed.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, Protocol

from imgsync.errors import DigestMismatch, SizeMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

    from imgsync.model.descriptor import Descriptor

CHUNK_BYTES: Final = 256 * 1024
"""Large enough that Python's share of the work disappears, small enough for many workers."""

MAX_READ_BYTES: Final = 1024 * 1024
"""The most that one `VerifiedStream.read` gives, for readers that do nothing else but hash."""


class Readable(Protocol):
    """All that is needed of a stream from a source."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class VerifiedStream(io.RawIOBase):
    """A stream of exactly the bytes that a descriptor promises, or an error.

    ``prefix`` is what the destination kept from an earlier run: it is hashed first, and the
    stream starts behind it, at ``tell()``. ``on_bytes`` is called with each amount that passed.
    ``side`` is how errors call the inner stream's store.
    """

    def __init__(
        self,
        inner: Readable,
        descriptor: Descriptor,
        *,
        side: str = "source",
        prefix: Readable | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self._inner = inner
        self._descriptor = descriptor
        self._side = side
        self._on_bytes = on_bytes
        self._hash = descriptor.digest.hasher()
        self._position = 0
        self._checked = False
        if prefix is not None:
            while chunk := prefix.read(CHUNK_BYTES):
                self._hash.update(chunk)
                self._position += len(chunk)
        self._start = self._position
        if self._position == descriptor.size:
            self._check()

    def readable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in the whole content, kept bytes included."""
        return self._position

    def __len__(self) -> int:
        """How many bytes the stream gives in all; requests makes Content-Length of it."""
        return self._descriptor.size - self._start

    def __bool__(self) -> bool:
        """A stream is a stream, even one of an empty blob."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer; see `read` for what is raised."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes (all that is left, if negative); empty at the end.

        Raises:
            SizeMismatch: the inner stream ends early or goes on behind the promised size.
            DigestMismatch: all bytes came and are not the promised ones.
        """
        left = self._descriptor.size - self._position
        if left == 0 or size == 0:
            return b""
        if size < 0:
            return self._read_all()
        chunk = self._inner.read(min(size, left, MAX_READ_BYTES))
        if not chunk:
            raise SizeMismatch(self._descriptor, self._position, side=self._side)
        self._hash.update(chunk)
        self._position += len(chunk)
        if self._position >= self._descriptor.size:
            self._check()
        if self._on_bytes is not None:
            self._on_bytes(len(chunk))
        return chunk

    def close(self) -> None:
        """Close the inner stream too."""
        if not self.closed:
            self._inner.close()
        super().close()

    def _read_all(self) -> bytes:
        parts = []
        while part := self.read(CHUNK_BYTES):
            parts.append(part)
        return b"".join(parts)

    def _check(self) -> None:
        if self._position > self._descriptor.size or self._inner.read(1):
            raise SizeMismatch(self._descriptor, self._descriptor.size, side=self._side, more=True)
        got = self._hash.hexdigest()
        if got != self._descriptor.digest.hex:
            algorithm = self._descriptor.digest.algorithm
            raise DigestMismatch(self._descriptor, f"{algorithm}:{got}", side=self._side)


def read_verified(inner: Readable, descriptor: Descriptor, *, side: str = "source") -> bytes:
    """All bytes of small content, proved. The stream is closed.

    Raises:
        SizeMismatch, DigestMismatch: see `VerifiedStream.read`.
    """
    with VerifiedStream(inner, descriptor, side=side) as stream:
        return stream.read()
