"""Which ways of sending a blob a host takes, as found out on the way."""

from __future__ import annotations

import threading
from typing import Final

FIRST_CHUNK_BYTES: Final = 16 * 1024 * 1024
LEAST_CHUNK_BYTES: Final = 512 * 1024


class UploadWays:
    """What a host was found not to take; shared by all of its repositories."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.way = 1
        self.chunk_bytes = FIRST_CHUNK_BYTES

    def give_up_whole(self) -> None:
        """Do not send a blob by one PUT any more."""
        with self._lock:
            self.way = max(self.way, 2)

    def use_chunks(self, below: int) -> bool:
        """Send in pieces smaller than that; False if that is too small to be sensible."""
        with self._lock:
            self.way = 3
            self.chunk_bytes = min(self.chunk_bytes, max(below, LEAST_CHUNK_BYTES))
            return below > LEAST_CHUNK_BYTES
