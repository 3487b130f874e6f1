"""A stream on its way out, which remembers whether it was the one that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgsync.content import VerifiedStream


class Outgoing:
    """Passes on what is read.

    Attributes:
        n_left: how many bytes were not read yet.
        error: what the stream raised, so that it is not taken for a failure of the registry.
    """

    def __init__(self, stream: VerifiedStream) -> None:
        self._stream = stream
        self.n_left = len(stream)
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        try:
            data = self._stream.read(size)
        except BaseException as error:
            self.error = error
            raise
        self.n_left -= len(data)
        return data

    def read_full(self, size: int) -> bytes:
        """``size`` bytes, or all that is left."""
        parts = []
        while size and (part := self.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Whoever opened the stream closes it."""
