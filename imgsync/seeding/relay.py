"""Relay: one node's content comes from a peer; what the peer cannot give comes from here.

Nobody here sees a relayed byte, so what the receiver has is walked before it gets a name
(`imgsync.stores.containerd.carrying`), and a digest is asked of a peer once: what then turns out to
be missing is sent by us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError, NoSpace
from imgsync.events import Advanced, Event, Noted
from imgsync.stores.containerd.stream import import_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.events import Report
    from imgsync.fleet.connection import Connection
    from imgsync.model.digest import Digest
    from imgsync.seeding.peer import Peer
    from imgsync.seeding.turns import Turns
    from imgsync.stores import Source
    from imgsync.stores.containerd.command import Ctr
    from imgsync.stores.containerd.delta import Delta


@dataclass(slots=True)
class Relay:
    """Sends to one node; an `imgsync.stores.containerd.stream.Send`.

    Attributes:
        turns: are told whether the peer could send.
        n_objects: how much came from the peer, of ``n_bytes``.
    """

    peer: Peer
    receiver: Connection
    turns: Turns
    n_objects: int = 0
    n_bytes: int = 0
    _asked: set[Digest] = field(default_factory=set, init=False)
    _is_lost: bool = field(default=False, init=False)

    def __call__(
        self, ctr: Ctr, namespace: str, delta: Delta, source: Source, report: Report
    ) -> None:
        """Let the peer send, or send."""
        if not self._is_for_peer(delta) or not self._relayed(ctr, namespace, delta, report):
            import_stream(ctr, namespace, delta, source, report)

    def _is_for_peer(self, delta: Delta) -> bool:
        """All or nothing: an archive with half an image is refused, or is not held."""
        return not self._is_lost and all(
            blob.digest in self.peer.has and blob.digest not in self._asked for blob in delta.blobs
        )

    def _relayed(self, ctr: Ctr, namespace: str, delta: Delta, report: Report) -> bool:
        self._asked.update(blob.digest for blob in delta.blobs)
        came: list[Advanced] = []

        def note(event: Event) -> None:
            if isinstance(event, Advanced):
                came.append(event)
            report(event)

        try:
            self.peer.send(self.receiver, ctr, namespace, delta, note)
        except NoSpace:
            # The receiver's disk: from here it would be as full.
            self._count(came)
            raise
        except ImgsyncError as error:
            self._is_lost = True
            self.turns.drop(self.peer)
            why = f"{self.peer.label} could not send: {error.message}; sent from here instead"
            report(Noted(why, "warning"))
            for event in came:
                report(Advanced(event.descriptor, -event.n_bytes))
            return False
        self.turns.served()
        self._count(came)
        return True

    def _count(self, came: Sequence[Advanced]) -> None:
        self.n_objects += len(came)
        self.n_bytes += sum(event.n_bytes for event in came)
