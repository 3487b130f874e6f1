"""A body that goes on after the line was cut, from where it stopped.

What it gives is unproved: the engine hashes it. What is checked here is that the server means the
same content and the right part of it, so that nothing is appended where it does not belong.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from imgsync.content import CHUNK_BYTES
from imgsync.errors import NetworkError, RegistryUnavailable, SizeMismatch
from imgsync.stores.registry.wire_errors import Cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.model.descriptor import Descriptor
    from imgsync.stores.registry.answer import Answer

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)

STALL_S: Final = 120.0
STALL_BYTES: Final = 16 * 1024
"""A line that brings less in that time is taken for dead, although it drips."""


class ResumingBody:
    """A readable over as many answers as it takes.

    ``ask`` asks the *registry* for the content from an offset on, with a Range where that is not
    0: addresses that it redirects to expire.
    """

    def __init__(
        self,
        ask: Callable[[int], Answer],
        descriptor: Descriptor,
        offset: int,
        side: str,
        retries: int,
    ) -> None:
        self._ask = ask
        self._descriptor = descriptor
        self._position = offset
        self._side = side
        self._retries = retries
        self._n_failed = 0
        self._window = (time.monotonic(), offset)
        self._answer: Answer | None = self._opened()

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; empty at the end, which may come too early.

        Raises:
            NetworkError: cut again and again, without any progress in between.
        """
        wanted = CHUNK_BYTES if size < 0 else size
        while self._answer is not None:
            try:
                data = self._answer.read(wanted)
                self._check_pace(len(data))
            except Cut as cut:
                self._go_on(cut)
                continue
            if not data and self._position < self._descriptor.size:
                # No length was announced, or not all of it came; the same thing to us.
                self._go_on(Cut(f"{self._side}: the connection ended too early"))
                continue
            self._position += len(data)
            if not data:
                self.close()
            return data
        return b""

    def close(self) -> None:
        """Give the connection back, or close it if there is more to come."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _go_on(self, cut: Cut) -> None:
        """Open the rest, unless nothing is missing or too little comes each time."""
        self.close()
        while self._answer is None and self._position < self._descriptor.size:
            self._n_failed += 1
            if self._n_failed > self._retries:
                raise self._lost(cut)
            self._window = (time.monotonic(), self._position)
            try:
                self._answer = self._opened()
            except Cut as again:
                cut = again

    def _lost(self, cut: Cut) -> RegistryUnavailable:
        msg = (
            f"{self._side}: {self._descriptor.short} was cut {self._n_failed} times at byte "
            f"{self._position}: {cut.message}"
        )
        return RegistryUnavailable(msg, hint="run the same command again, it goes on from there")

    def _opened(self) -> Answer:
        offset = self._position
        answer = self._ask(offset)
        try:
            answer.refuse_encoding()
            if answer.status == 206:
                self._check_range(answer, offset)
            elif offset == 0:
                self._check_length(answer)
            else:
                self._skip(answer, offset)
        except BaseException:
            answer.close()
            raise
        return answer

    def _check_length(self, answer: Answer) -> None:
        length, size = answer.length, self._descriptor.size
        if length is not None and length != size:
            raise SizeMismatch(self._descriptor, length, side=self._side)

    def _check_range(self, answer: Answer, offset: int) -> None:
        text = str(answer.headers.get("Content-Range", ""))
        found = _CONTENT_RANGE.fullmatch(text.strip())
        if found is None or int(found[1]) != offset:
            msg = f"{self._side}: asked for bytes from {offset} on, it sends {text[:60]!r}"
            raise NetworkError(msg)
        if found[3] != "*" and int(found[3]) != self._descriptor.size:
            raise SizeMismatch(self._descriptor, int(found[3]), side=self._side)

    def _skip(self, answer: Answer, offset: int) -> None:
        """The server knows no Range and starts anew: read and drop what we have."""
        self._check_length(answer)
        left = offset
        while left:
            data = answer.read(min(left, CHUNK_BYTES))
            if not data:
                msg = f"{self._side}: the connection ended too early"
                raise Cut(msg)
            left -= len(data)

    def _check_pace(self, n_bytes: int) -> None:
        since, position = self._window
        now = time.monotonic()
        if self._position + n_bytes - position >= STALL_BYTES:
            self._n_failed = 0
            self._window = (now, self._position + n_bytes)
        elif now - since > STALL_S:
            msg = f"{self._side}: hardly a byte came in {STALL_S:.0f} s"
            raise Cut(msg)
