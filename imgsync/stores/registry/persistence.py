"""Asking again: how often, how long to wait in between, and what to say in the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from imgsync.errors import NetworkError, RateLimited
from imgsync.events import Report, Retried
from imgsync.stores.registry.quota import parse_quota
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.retry import LONGEST_WAIT_S, RETRY_STATUSES, Pace
from imgsync.stores.registry.wire_errors import Cut, NoConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.stores.registry.answer import Answer

DEAD_S: Final = 60.0
"""So long a host that never answered is not tried again, by whomever it is asked for."""


class Persistence:
    """The patience with one server, shared by all who ask it."""

    def __init__(self, name: str, retries: int, report: Report) -> None:
        """``name`` is how messages call the server."""
        self.pace = Pace()
        self.retries = retries
        self._name = name
        self._report = report
        self._was_reached = False
        self._n_unreached = 0
        self._dead: tuple[float, NetworkError] | None = None

    def answer(self, exchange: Callable[[], Answer], what: str = "") -> Answer:
        """An answer whose status is worth looking at.

        Raises:
            RateLimited: 429, and waiting will not help within the run.
            RegistryUnavailable: only failures, after all attempts.
            NetworkError: no answer, after all attempts or for good.
            Whatever else ``exchange`` raises.
        """
        n_failed = 0
        while True:
            self.raise_if_dead()
            started = self.pace.wait()
            try:
                answer = exchange()
            except (Cut, NoConnection) as error:
                self.raise_if_dead()
                n_failed += 1
                self._note_unreached(error)
                if n_failed > self._limit:
                    raise _spent(error, what, n_failed) from error
                self._hold_up(started, what, error.message)
                continue
            self._was_reached = True
            if answer.status not in RETRY_STATUSES:
                self.pace.succeeded()
                return answer
            n_failed += 1
            refusal = Refusal.of(answer, what, self._name)
            _stop_if_limited(refusal, answer)
            if n_failed > self.retries:
                raise refusal.error()
            self._hold_up(started, what, refusal.says, refusal.retry_after_s)

    @property
    def _limit(self) -> int:
        # A host that never answered is more likely misspelt than restarting.
        return self.retries if self._was_reached else min(1, self.retries)

    def raise_if_dead(self) -> None:
        """Whoever waited for another's first request need not find out again that it failed.

        Raises:
            NetworkError: the host did not answer a short while ago, and never before.
        """
        if self._was_reached or self._dead is None:
            return
        when, error = self._dead
        if time.monotonic() - when < DEAD_S:
            raise type(error)(error.message, hint=error.hint)

    def _note_unreached(self, error: NetworkError) -> None:
        """Count failures before the first answer, whoever asked: they have the same cause."""
        if self._was_reached:
            return
        self._n_unreached += 1
        if self._n_unreached > self._limit:
            self._dead = time.monotonic(), _spent(error, "", self._n_unreached)

    def _hold_up(self, started: float, what: str, why: str, asked_s: float | None = None) -> None:
        wait_s = self.pace.failed(started, asked_s)
        self._report(Retried(f"{self._name}: {what}" if what else self._name, why, wait_s))


def _spent(error: NetworkError, what: str, n_failed: int) -> NetworkError:
    if n_failed == 1:
        return error
    about = f" ({what})" if what else ""
    return type(error)(f"{error.message}, {n_failed} times{about}", hint=error.hint)


def _stop_if_limited(refusal: Refusal, answer: Answer) -> None:
    """Do not ask on where a pull quota is used up, or where the wait is longer than a run.

    Raises:
        RateLimited: with the time when the quota is back, if the registry tells.
    """
    if refusal.status != 429:
        return
    quota = parse_quota(answer.headers)
    after_s = refusal.retry_after_s
    is_spent = quota is not None and quota.remaining == 0
    is_pull_limit = "pull rate limit" in refusal.envelope.text.lower()
    if is_spent or is_pull_limit or (after_s is not None and after_s > LONGEST_WAIT_S):
        reset_s = after_s if after_s is not None else (quota.window_s if quota else None)
        hint = "run the same command again later, or log in for a larger quota"
        raise RateLimited(refusal.error().message, hint=hint, reset_s=reset_s)
