"""What the nodes of a run share: the source, what each platform gets of it, and the turns."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgsync.gathering import Gathered, gather
from imgsync.model.platform import PlatformChoice
from imgsync.seeding.throttle import Rate, Throttled, ThrottledListing
from imgsync.seeding.turns import Turns
from imgsync.stores import Listing

if TYPE_CHECKING:
    from imgsync.errors import ImgsyncError
    from imgsync.events import Report
    from imgsync.fleet.connection import Connection
    from imgsync.fleet.ssh import Ssh
    from imgsync.model.bundle import Root
    from imgsync.model.platform import Platform
    from imgsync.seeding.peer import Peer
    from imgsync.seeding.request import SeedRequest
    from imgsync.stores import Holding


@dataclass(frozen=True, slots=True)
class ForPlatform:
    """The images of the source for one platform, and those that have none for it."""

    choice: PlatformChoice
    gathered: Gathered
    unfit: tuple[tuple[Root, ImgsyncError], ...]

    @property
    def kind(self) -> str:
        """What the nodes have in common that get this."""
        return str(self.choice)


class Shared:
    """Used by a thread for each node.

    Attributes:
        open: the connections that are.
        turns: whose turn it is to serve, where nodes serve others.
    """

    def __init__(self, source: Holding, ssh: Ssh, request: SeedRequest, report: Report) -> None:
        self.source = _throttled(source, request.rate)
        self.ssh = ssh
        self.request = request
        self.report = report
        self.open: set[Connection] = set()
        self._holding = source
        self._lock = threading.Lock()
        self._for_platforms: dict[str, ForPlatform] = {}
        self.turns = Turns(request.relay) if request.relay else None

    def stop(self) -> None:
        """End all that is under way; what runs over connections fails."""
        if self.turns is not None:
            self.turns.stop()
        for connection in list(self.open):
            connection.cut()

    def for_platform(self, platform: Platform) -> ForPlatform:
        """What a node of this platform gets."""
        request = self.request
        choice = PlatformChoice((platform,)) if request.own_platform else request.selection.choice
        with self._lock:
            if str(choice) not in self._for_platforms:
                self._for_platforms[str(choice)] = self._gather(choice)
            return self._for_platforms[str(choice)]

    def turn(self, what: ForPlatform, *, by_peer: bool) -> AbstractContextManager[Peer | None]:
        """Wait until somebody may serve a node: a peer, which is given, or this host."""
        if self.turns is None:
            return nullcontext()
        return self.turns.turn(what.kind if by_peer else "")

    def _gather(self, choice: PlatformChoice) -> ForPlatform:
        selection = replace(self.request.selection, choice=choice)
        found = gather(self._holding, self.request.mapping, selection)
        return ForPlatform(choice, found, found.unfit)


def _throttled(source: Holding, rate: int | None) -> Holding:
    if rate is None:
        return source
    if isinstance(source, Listing):
        return ThrottledListing(source, Rate(rate), source.sizes)
    return Throttled(source, Rate(rate))
