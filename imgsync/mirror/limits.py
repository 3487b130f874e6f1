"""How much a run may do: time, bytes, pulls of a counted budget, and how fast. Decisions only.

Clocks and sleeping are given, so that all of it can be tested without waiting.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from imgsync.errors import BudgetSpent

DEFAULT_PULLS_FLOOR: Final = 10
"""So many pulls of a counted budget are left for the people behind the same address."""

Clock = Callable[[], float]


def jitter_s(most_s: float, dice: Callable[[], float] = random.random) -> float:
    """How long to wait before the run, so that not all mirrors start at the same second."""
    return max(0.0, most_s) * dice()


class Allowance:
    """What is left of a run's time and bytes; used by several threads.

    Bytes are those that passed, whether or not their image was finished: they are what the line
    has borne.
    """

    def __init__(
        self,
        time_limit_s: float | None = None,
        byte_limit: int | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """Begin now."""
        self._time_limit_s = time_limit_s
        self._byte_limit = byte_limit
        self._clock = clock
        self._begun_s = clock()
        self._lock = threading.Lock()
        self.n_bytes = 0

    def add(self, n_bytes: int) -> None:
        """So many bytes have passed."""
        with self._lock:
            self.n_bytes += max(0, n_bytes)

    def check(self) -> None:
        """Whether the run may go on.

        Raises:
            BudgetSpent: the time or the bytes are used up; says which.
        """
        spent = self.spent
        if spent:
            raise BudgetSpent(spent, hint="what is done stays done; the next run goes on")

    @property
    def bytes_left(self) -> int | None:
        """How many bytes may still pass; None for any number."""
        if self._byte_limit is None:
            return None
        with self._lock:
            return max(0, self._byte_limit - self.n_bytes)

    @property
    def spent(self) -> str:
        """Which limit is reached, for people; an empty text for none."""
        if self._time_limit_s is not None and self._clock() - self._begun_s >= self._time_limit_s:
            return f"the time limit of {self._time_limit_s:g} s is reached"
        if self._byte_limit is not None and self.n_bytes >= self._byte_limit:
            return f"the limit of {self._byte_limit} bytes is reached"
        return ""


@dataclass(frozen=True, slots=True)
class PullBudget:
    """What a registry says that it still gives, and how much of it is not for us.

    Attributes:
        limit, remaining, window_s: as the headers say.
        floor: how many pulls must stay.
    """

    limit: int
    remaining: int
    window_s: float
    floor: int = DEFAULT_PULLS_FLOOR

    @property
    def usable(self) -> int:
        """How many pulls this run may make."""
        # A floor above a small limit would forbid everything for ever.
        floor = self.floor if self.floor < self.limit else max(0, self.limit - 1)
        return max(0, self.remaining - floor)

    def allows(self, n_pulls: int) -> bool:
        """Whether so many more manifests may be read."""
        return n_pulls <= self.usable

    def spent(self, host: str) -> BudgetSpent:
        """The error of an image that is left for another run."""
        hours = f" in {self.window_s / 3600:g} h" if self.window_s else ""
        return BudgetSpent(
            f"{host}: {self.remaining} of {self.limit} pulls{hours} are left, and "
            f"{self.floor} are kept for others",
            hint=f"the next run goes on; log in to {host} for a larger budget",
        )


class Throttle:
    """Lets things pass at a rate; used by several threads.

    A token bucket that may go into debt: who comes pays by waiting, in the order in which they
    came, so that a large chunk is not held up for ever by small ones.
    """

    def __init__(
        self,
        per_second: float,
        *,
        burst_s: float = 1.0,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Allow ``per_second`` units, and ``burst_s`` seconds' worth of them at once."""
        self._per_second = per_second
        self._burst = max(1.0, per_second * burst_s)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._level = self._burst
        self._at_s = clock()

    def take(self, n: float = 1) -> float:
        """Wait until ``n`` more may pass; says for how many seconds."""
        with self._lock:
            now = self._clock()
            self._level = min(self._burst, self._level + (now - self._at_s) * self._per_second)
            self._at_s = now
            self._level -= n
            wait_s = max(0.0, -self._level / self._per_second)
        if wait_s:
            self._sleep(wait_s)
        return wait_s
