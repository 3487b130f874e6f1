"""What is worth asking again, and when. One `Pace` for a host, shared by all of its workers."""

from __future__ import annotations

import random
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_STATUSES: Final = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
"""499 and 522 are what nginx and Cloudflare say of a connection that broke behind them."""

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 60.0
"""The most that is waited, whatever Retry-After says; what asks for more ends the run."""


def retry_after_s(value: str, now_s: float | None = None) -> float | None:
    """Retry-After in seconds, from a number or an HTTP date; None if it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, when - (time.time() if now_s is None else now_s))


class Pace:
    """When the next request to a host may start.

    A failure holds up all workers of the host, so that they do not each find out by themselves;
    failures of requests that were under way together count as one.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._not_before = 0.0
        self._failed_at = 0.0
        self._n_failures = 0

    def wait(self) -> float:
        """Wait until a request may start; says when it did, for `failed`."""
        while (left := self._not_before - self._clock()) > 0 and not self._closed.is_set():
            self._closed.wait(left)
        return self._clock()

    def failed(self, started: float, asked_s: float | None = None) -> float:
        """A request that started then has failed: hold up the next. Says for how many seconds.

        ``asked_s`` is what the server asks for.
        """
        with self._lock:
            now = self._clock()
            if started > self._failed_at:
                self._n_failures += 1
                self._failed_at = now
            wait_s = min(FIRST_WAIT_S * 2 ** min(self._n_failures - 1, 16), LONGEST_WAIT_S)
            # Between half and all of it, so that several imgsyncs do not come in step.
            wait_s *= 0.5 + self._jitter() / 2
            if asked_s is not None:
                wait_s = max(wait_s, min(asked_s, LONGEST_WAIT_S))
            self._not_before = max(self._not_before, now + wait_s)
            return self._not_before - now

    def succeeded(self) -> None:
        """The host answers again."""
        if self._n_failures:
            with self._lock:
                self._n_failures = max(0, self._n_failures - 1)

    def close(self) -> None:
        """Wake up all who wait: the run ends."""
        self._closed.set()
