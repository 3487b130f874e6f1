"""A rate is one for all who read."""

from __future__ import annotations

from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.seeding.throttle import Rate, Throttled
from imgsync.stores.memory import Memory

DATA = b"x" * 100_000
ITEM = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_bytes_take_their_time() -> None:
    clock = Clock()
    memory = Memory()
    memory.blobs[ITEM.digest] = DATA
    rate = Rate(10_000, clock=clock, sleep=clock.sleep)
    store = Throttled(memory, rate)
    for _ in range(2):
        stream = store.open(ITEM)
        read = b""
        while chunk := stream.read(1_000_000):
            assert len(chunk) <= rate.piece
            read += chunk
        stream.close()
        assert read == DATA
    # The last piece has gone; how long it takes is seen by the next.
    assert 19 <= clock.now <= 20


def test_what_nobody_used_is_not_saved_up() -> None:
    clock = Clock()
    rate = Rate(1000, clock=clock, sleep=clock.sleep)
    clock.now = 100.0
    rate.wait(5000)
    assert clock.now == 100.0
    rate.wait(1)
    assert clock.now == 105.0
