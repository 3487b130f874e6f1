"""Which ways of sending a blob a host takes, as found out on the way."""

from __future__ import annotations

import threading
from enum import IntEnum
from typing import Final

FIRST_CHUNK_BYTES: Final = 16 * 1024 * 1024
"""Large enough to cost little, below the limits of most proxies; it is kept in memory."""

LEAST_CHUNK_BYTES: Final = 512 * 1024
"""Below nginx's default limit of 1 MiB; a proxy that takes less is set up wrongly."""


class Way(IntEnum):
    """How a blob is sent, best first."""

    WHOLE = 1
    ONE_PATCH = 2
    CHUNKS = 3


class UploadWays:
    """What is known of one host; shared by all of its repositories.

    Attributes:
        way: the best one that was not refused yet.
        chunk_bytes: the size of pieces, where they are wanted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.way = Way.WHOLE
        self.chunk_bytes = FIRST_CHUNK_BYTES

    def no_whole(self) -> None:
        """The host does not understand a PUT with the whole blob."""
        with self._lock:
            self.way = max(self.way, Way.ONE_PATCH)

    def too_large(self, n_bytes: int) -> bool:
        """A body of so many bytes was too large (413); False if smaller ones are no use."""
        with self._lock:
            self.way = Way.CHUNKS
            if n_bytes <= LEAST_CHUNK_BYTES:
                return False
            self.chunk_bytes = min(self.chunk_bytes, max(n_bytes // 2, LEAST_CHUNK_BYTES))
            return True
