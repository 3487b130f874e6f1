"""Limits: time, bytes, pull budgets, rates, and amounts as people write them."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import BudgetSpent, InvalidInput
from imgsync.mirror.limits import Allowance, PullBudget, Throttle, jitter_s
from imgsync.mirror.quantities import parse_duration, parse_size


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_run_ends_when_its_time_is_over() -> None:
    clock = Clock()
    allowance = Allowance(time_limit_s=60, clock=clock)
    clock.sleep(59)
    allowance.check()
    clock.sleep(1)
    with pytest.raises(BudgetSpent, match="the time limit of 60 s is reached") as caught:
        allowance.check()
    assert caught.value.exit_code == 3


def test_a_run_ends_when_its_bytes_are_used_up() -> None:
    allowance = Allowance(byte_limit=100)
    allowance.add(99)
    allowance.add(-50)
    allowance.check()
    allowance.add(1)
    assert allowance.spent == "the limit of 100 bytes is reached"
    Allowance().check()


@given(st.floats(0, 1e6), st.floats(0, 1, exclude_max=True))
def test_jitter_is_within_what_was_asked(most_s: float, dice: float) -> None:
    assert 0 <= jitter_s(most_s, lambda: dice) <= most_s


def test_a_budget_is_kept_above_its_floor() -> None:
    budget = PullBudget(100, 30, 21600, floor=20)
    assert budget.usable == 10
    assert budget.allows(10)
    assert not budget.allows(11)
    error = budget.spent("docker.io")
    assert error.message == "docker.io: 30 of 100 pulls in 6 h are left, and 20 are kept for others"
    assert isinstance(error, BudgetSpent)


def test_a_floor_above_the_limit_leaves_one_pull() -> None:
    assert PullBudget(10, 10, 0, floor=50).usable == 1
    assert PullBudget(0, 0, 0).usable == 0


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500))
def test_what_is_usable_never_exceeds_what_is_left(limit: int, left: int, floor: int) -> None:
    usable = PullBudget(limit, left, 0, floor).usable
    assert 0 <= usable <= left


@given(st.lists(st.floats(0.1, 50), min_size=1, max_size=30), st.floats(0.5, 100))
def test_a_throttle_never_lets_more_pass_than_its_rate(amounts: list[float], rate: float) -> None:
    clock = Clock()
    throttle = Throttle(rate, clock=clock, sleep=clock.sleep)
    begun = clock.now
    for amount in amounts:
        throttle.take(amount)
    burst = max(1.0, rate)
    assert sum(amounts) <= (clock.now - begun) * rate + burst + 1e-6


def test_a_throttle_lets_a_burst_pass_and_then_waits() -> None:
    clock = Clock()
    throttle = Throttle(2, clock=clock, sleep=clock.sleep)
    assert [throttle.take() for _ in range(4)] == [0, 0, 0.5, 0.5]
    clock.sleep(100)
    assert throttle.take() == 0


def test_a_throttle_is_fair_among_threads() -> None:
    throttle = Throttle(1000, burst_s=0.01)
    threads = [threading.Thread(target=throttle.take, args=(5,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert throttle.take(0) >= 0


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("512", 512),
        ("512B", 512),
        ("1k", 1000),
        ("1.5KiB", 1536),
        ("20MiB", 20 * 2**20),
        ("20 MB", 20_000_000),
        ("3G", 3 * 10**9),
        ("1Ti", 2**40),
    ],
)
def test_sizes(text: str, n_bytes: int) -> None:
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "x", "1X", "-1", "1.5.2", "1iB", "MiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h30m", 9000), ("30d", 2592000)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "x", "1w", "30m2h", "-5s", "1.5h", "٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a time"):
        parse_duration(text)
