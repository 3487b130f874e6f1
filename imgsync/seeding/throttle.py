"""A source that gives no more than so many bytes a second, to all who read from it together."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imgsync.content import Readable
    from imgsync.model.bundle import Bundle
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding, Resolved

_AT_ONCE_S: Final = 0.1
"""How long a piece that is read may take at the rate: progress stays smooth, and shares fair."""

_LEAST_BYTES: Final = 4096


class Rate:
    """So many bytes a second, for any number of threads."""

    def __init__(
        self,
        bytes_per_s: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.piece = max(_LEAST_BYTES, int(bytes_per_s * _AT_ONCE_S))
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()
        self._lock = threading.Lock()

    def wait(self, n_bytes: int) -> None:
        """Return when these bytes may go; what nobody used is not saved up."""
        with self._lock:
            now = self._clock()
            begin = max(self._free_at, now)
            self._free_at = begin + n_bytes / self._bytes_per_s
        if begin > now:
            self._sleep(begin - now)


class Throttled:
    """A Holding of another one's content, at a rate; the kernel can send nothing past it."""

    def __init__(self, inner: Holding, rate: Rate) -> None:
        """Read from ``inner``."""
        self.inner = inner
        self._rate = rate

    @property
    def side(self) -> str:
        """The inner store's."""
        return self.inner.side

    def resolve(self, reference: Reference) -> Resolved:
        """The inner store's."""
        return self.inner.resolve(reference)

    def bundle(self) -> Bundle:
        """The inner store's."""
        return self.inner.bundle()

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The inner store's bytes, slowly."""
        return _Slow(self.inner.open(descriptor, offset), self._rate)


class ThrottledListing(Throttled):
    """The same of a store that can list what it has."""

    def __init__(
        self, inner: Holding, rate: Rate, sizes: Callable[[], Mapping[Digest, int]]
    ) -> None:
        super().__init__(inner, rate)
        self.sizes = sizes


class _Slow:
    def __init__(self, inner: Readable, rate: Rate) -> None:
        self._inner = inner
        self._rate = rate

    def read(self, size: int = -1, /) -> bytes:
        data = self._inner.read(self._rate.piece if size < 0 else min(size, self._rate.piece))
        self._rate.wait(len(data))
        return data

    def close(self) -> None:
        self._inner.close()
