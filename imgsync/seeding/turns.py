"""Whose turn it is to serve a node: this host's, or that of a node that is done. No I/O.

Each serves so many others at once and no more. Whoever waits takes the first place that is free,
and one at a node rather than one here: what nodes do among themselves is the point of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from imgsync.errors import Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.seeding.peer import Peer


MOST_FAILURES: Final = 3
"""After so many peers in a row that could not send, none is asked: nodes do not reach each other,
or the agent has no key for them."""


class Turns:
    """The places of this host and of the nodes that are done; used by a thread for each node."""

    def __init__(self, at_once: int) -> None:
        """Let each of them serve ``at_once`` nodes at a time."""
        self._at_once = at_once
        self._peers: dict[str, list[Peer]] = {}
        self._busy: Counter[Peer | None] = Counter()
        self._changed = threading.Condition()
        self._n_failures = 0
        self._is_over = False

    @contextmanager
    def turn(self, kind: str) -> Iterator[Peer | None]:
        """Wait for a place at a node of this kind, which is given, or here, which is None.

        Raises:
            Unreachable: the run was stopped meanwhile.
        """
        with self._changed:
            while not (free := self._free(kind)):
                self._changed.wait()
            server = free[0]
            self._busy[server] += 1
        try:
            yield server
        finally:
            with self._changed:
                self._busy[server] -= 1
                self._changed.notify_all()

    def add(self, kind: str, peer: Peer) -> None:
        """A node is done, and serves others of its kind from now on."""
        with self._changed:
            self._peers.setdefault(kind, []).append(peer)
            self._changed.notify_all()

    def drop(self, peer: Peer) -> None:
        """It could not serve; nobody is sent there again."""
        with self._changed:
            self._n_failures += 1
            for peers in self._peers.values():
                if peer in peers:
                    peers.remove(peer)

    def served(self) -> None:
        """A peer could serve."""
        with self._changed:
            self._n_failures = 0

    def stop(self) -> None:
        """Nobody gets a turn any more, and nothing goes on."""
        with self._changed:
            self._is_over = True
            for peer in self._busy:
                if peer is not None:
                    peer.stop()
            self._changed.notify_all()

    def _free(self, kind: str) -> list[Peer | None]:
        """Who has a place, the least busy node first and this host last."""
        if self._is_over:
            raise Unreachable("the run was stopped")
        peers: list[Peer] = []
        if self._n_failures < MOST_FAILURES:
            peers = sorted(self._peers.get(kind, ()), key=lambda peer: self._busy[peer])
        return [peer for peer in (*peers, None) if self._busy[peer] < self._at_once]
