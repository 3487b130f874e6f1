"""Whose turn it is to serve: never more than so many at once, and nobody waits for ever."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from imgsync.errors import Unreachable
from imgsync.seeding.peer import Peer
from imgsync.seeding.turns import MOST_FAILURES, Turns


class _Peer:
    """As far as turns know one."""

    def __init__(self) -> None:
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


def _peer() -> Peer:
    return cast("Peer", _Peer())


@pytest.mark.parametrize("at_once", [1, 3])
def test_nobody_serves_more_than_so_many_at_once(at_once: int) -> None:
    turns = Turns(at_once)
    lock = threading.Lock()
    serving: dict[Peer | None, int] = {}
    most: dict[Peer | None, int] = {}

    def node(number: int) -> Peer | None:
        with turns.turn("amd64") as server:
            with lock:
                serving[server] = serving.get(server, 0) + 1
                most[server] = max(most.get(server, 0), serving[server])
            time.sleep(random.Random(number).random() / 200)
            with lock:
                serving[server] -= 1
        turns.add("amd64", _peer())
        return server

    with ThreadPoolExecutor(20) as pool:
        servers = list(pool.map(node, range(60)))
    assert max(most.values()) == at_once
    assert len(set(servers)) > 2, "nodes serve others"
    assert most[None] == at_once


def test_a_node_comes_before_this_host_and_the_least_busy_one_first() -> None:
    turns = Turns(2)
    first, second = _peer(), _peer()
    turns.add("amd64", first)
    turns.add("amd64", second)
    with turns.turn("amd64") as one, turns.turn("amd64") as two, turns.turn("amd64") as three:
        assert {one, two} == {first, second}
        assert three is not None
        with turns.turn("amd64"), turns.turn("amd64") as last:
            assert last is None


def test_only_those_of_the_same_kind_serve() -> None:
    turns = Turns(1)
    turns.add("amd64", _peer())
    with turns.turn("arm64") as server:
        assert server is None


def test_who_could_not_serve_is_not_asked_again() -> None:
    turns = Turns(1)
    bad, good = _peer(), _peer()
    turns.add("amd64", bad)
    turns.drop(bad)
    turns.add("amd64", good)
    with turns.turn("amd64") as server:
        assert server is good


def test_where_none_can_serve_this_host_does_it_alone() -> None:
    turns = Turns(1)
    for _ in range(MOST_FAILURES):
        turns.add("amd64", _peer())
        with turns.turn("amd64") as server:
            assert server is not None
            turns.drop(server)
    turns.add("amd64", _peer())
    with turns.turn("amd64") as server:
        assert server is None
    turns.served()
    with turns.turn("amd64") as server:
        assert server is not None


def test_a_stop_ends_what_is_sent_and_what_waits() -> None:
    turns = Turns(1)
    peer = _peer()
    turns.add("amd64", peer)
    with (
        ThreadPoolExecutor(1) as pool,
        turns.turn("amd64"),
        turns.turn("amd64"),
    ):
        waiting = pool.submit(turns.turn("amd64").__enter__)
        turns.stop()
        with pytest.raises(Unreachable):
            waiting.result()
    assert cast("_Peer", peer).is_stopped
