"""Seeding one node: the same import as on the node itself, over ssh."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from imgsync.errors import AllFailed, ImgsyncError, SomeFailed
from imgsync.events import Event, Failed, InPart, NodeEnded, OfNode, Planned
from imgsync.fleet.connection import Connection
from imgsync.fleet.finding import open_node
from imgsync.fleet.session import session
from imgsync.seeding.peer import Peer, can_receive, can_send
from imgsync.seeding.reaching import Reaching
from imgsync.seeding.relay import Relay
from imgsync.seeding.request import NodeResult
from imgsync.stores.containerd.importing import import_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.fleet.host import Host
    from imgsync.seeding.shared import ForPlatform, Shared
    from imgsync.stores.containerd.import_request import ImportOptions, ImportResult
    from imgsync.stores.containerd.namespace import Containerd


def seed_node(shared: Shared, host: Host) -> NodeResult:
    """Seed one node; whatever goes wrong is in the result."""
    connection = Connection(shared.ssh, host)
    node = _Node(shared, connection)
    shared.open.add(connection)
    try:
        with connection:
            result = node.run()
    except ImgsyncError as error:
        result = node.result(error=error)
    finally:
        shared.open.discard(connection)
    node.report(_ended(result))
    return result


class _Node:
    def __init__(self, shared: Shared, connection: Connection) -> None:
        self._shared = shared
        self._connection = connection
        self._begun = monotonic()
        self._plan = Planned(0, 0, 0, 0)
        self._what: ForPlatform | None = None
        self._how = ""
        self._relay: Relay | None = None

    def run(self) -> NodeResult:
        """Connect, and import.

        Raises:
            ImgsyncError: nothing came of it.
        """
        shared, connection = self._shared, self._connection
        request = shared.request
        connection.open(session(), self.report)
        containerd, platform = open_node(
            connection, request.namespace, address=request.address, command=request.ctr
        )
        what = self._what = shared.for_platform(platform)
        options = replace(
            request.options, node=platform, required=request.options.required or platform
        )
        with shared.turn(what, by_peer=can_receive(connection)) as peer:
            result = self._import(containerd, what, options, peer)
        failures = [*((root.label, error) for root, error in what.unfit), *result.failures]
        error = _error_of(failures, len(result.imported) + len(what.unfit))
        if shared.turns is not None and error is None and can_send(connection):
            own = Peer(connection, containerd.ctr, containerd.namespace, result.present)
            shared.turns.add(what.kind, own)
        return self.result(result, error)

    def report(self, event: Event) -> None:
        """Tell an event as one of this node."""
        if isinstance(event, InPart) and self._shared.request.own_platform:
            return  # as it should be: other platforms are for other nodes
        if isinstance(event, Planned):
            self._plan = event
        self._shared.report(OfNode(self._connection.host.label, event))

    def result(
        self, result: ImportResult | None = None, error: ImgsyncError | None = None
    ) -> NodeResult:
        """The node as it is now."""
        plan, what, relay = self._plan, self._what, self._relay
        return NodeResult(
            self._connection.host,
            monotonic() - self._begun,
            how=self._how,
            peer=relay.peer.label if relay is not None and relay.n_objects else "",
            relayed=relay.n_objects if relay is not None else 0,
            relayed_bytes=relay.n_bytes if relay is not None else 0,
            lacked=plan.n_objects,
            lacked_bytes=plan.n_bytes,
            had=plan.n_present,
            had_bytes=plan.n_present_bytes,
            originals=what.gathered.originals if what is not None else (),
            unfit=what.unfit if what is not None else (),
            result=result,
            error=error,
        )

    def _import(
        self, containerd: Containerd, what: ForPlatform, options: ImportOptions, peer: Peer | None
    ) -> ImportResult:
        reaching = Reaching(self._connection, self._shared.request.direct)
        if peer is not None and self._shared.turns is not None:
            self._relay = Relay(peer, self._connection, self._shared.turns)
        try:
            return import_images(
                containerd,
                what.gathered.roots,
                what.gathered.graph,
                self._shared.source,
                options,
                self.report,
                absent=what.gathered.absent,
                serve=reaching.serve if peer is None else None,
                send=self._relay,
            )
        finally:
            self._how = reaching.how
            if self._relay is not None and self._relay.n_objects:
                self._how = "relayed"


def _error_of(failures: Sequence[tuple[str, ImgsyncError]], n_images: int) -> ImgsyncError | None:
    if not failures:
        return None
    if len(failures) == n_images:
        return AllFailed("no image was imported", failures)
    return SomeFailed(f"{len(failures)} of {n_images} images were not imported", failures)


def _ended(result: NodeResult) -> Event:
    return NodeEnded(result.status) if result.error is None else Failed("", result.error)
