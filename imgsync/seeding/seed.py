"""Seeding a fleet: what ``imgsync seed`` runs.

Each node is one import, the same as ``imgsync import`` on the node itself: asked what it has,
sent what it lacks, walked before and after a garbage collection. Nodes know nothing of each
other; what one does, or fails to do, stops no other.
"""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from imgsync.errors import AllFailed, ImgsyncError, SomeFailed
from imgsync.events import Event, Failed, InPart, NodeEnded, OfNode, Planned, Report
from imgsync.fleet.finding import open_node, session
from imgsync.fleet.ssh import Connection, Ssh
from imgsync.gathering import Gathered, gather
from imgsync.model.platform import PlatformChoice
from imgsync.seeding.reaching import Reaching
from imgsync.seeding.throttle import Rate, Throttled, ThrottledListing
from imgsync.stores import Listing
from imgsync.stores.containerd.importing import import_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.fleet.host import Host
    from imgsync.model.bundle import Root
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import Platform
    from imgsync.model.selection import Selection
    from imgsync.seeding.reaching import Direct
    from imgsync.stores import Holding
    from imgsync.stores.containerd.import_request import ImportOptions, ImportResult

JOBS_A_NODE: Final = 4
"""Commands at once on one node; sshd lets a connection have 10 sessions."""


@dataclass(frozen=True, slots=True)
class SeedRequest:
    """What nodes get, and how.

    Attributes:
        namespace: on every node.
        address: of the socket; empty is found out for each node.
        ctr: the command; empty likewise.
        own_platform: each node gets what its own platform needs, instead of what is selected.
        options: of each import; the node's platform is filled in.
        jobs: how many nodes at once.
        rate: bytes a second to all nodes together; None is as fast as it goes.
        direct: where nodes fetch without ssh in between.
        ssh: how ssh is called.
    """

    mapping: Mapping
    selection: Selection
    options: ImportOptions
    namespace: str = "k8s.io"
    address: str = ""
    ctr: str = ""
    own_platform: bool = True
    jobs: int = 8
    rate: int | None = None
    direct: Direct | None = None
    ssh: str = "ssh"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One node, and what came of it.

    Attributes:
        how: the way that was open to content: forwarded, direct or stream.
        lacked: how many objects it lacked of what it was to get, of ``lacked_bytes``.
        had: how many of them it had, likewise.
        originals: the images that it was to get, with the names that they have in the source.
        unfit: those that have nothing for it.
        result: its images; None where it did not come so far.
        error: why it is not seeded, if so.
    """

    host: Host
    seconds: float
    how: str = ""
    lacked: int = 0
    lacked_bytes: int = 0
    result: ImportResult | None = None
    error: ImgsyncError | None = None
    had: int = 0
    had_bytes: int = 0
    originals: tuple[Root, ...] = ()
    unfit: tuple[tuple[Root, ImgsyncError], ...] = ()

    @property
    def status(self) -> str:
        """``seeded``, ``unchanged`` or ``failed``."""
        if self.error is not None:
            return "failed"
        images = self.result.imported if self.result is not None else ()
        return "unchanged" if all(item.status == "unchanged" for item in images) else "seeded"

    @property
    def sent(self) -> int:
        """How many objects were sent to it."""
        return self.result.n_moved if self.result is not None else 0

    @property
    def sent_bytes(self) -> int:
        """What was sent to it."""
        return self.result.n_moved_bytes if self.result is not None else 0


def seed(
    source: Holding, hosts: Sequence[Host], request: SeedRequest, report: Report
) -> list[NodeResult]:
    """Seed all hosts; the results are in their order.

    Raises:
        InvalidInput: nothing was begun.
    """
    with tempfile.TemporaryDirectory(prefix="imgsync-ssh-", ignore_cleanup_errors=True) as folder:
        ssh = Ssh.parse(request.ssh, Path(folder))
        seeding = _Seeding(source, ssh, request, report)
        with ThreadPoolExecutor(request.jobs, "node") as pool:
            futures = [pool.submit(seeding.node, host) for host in hosts]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                seeding.stop()
                raise


class _Seeding:
    """What the nodes of a run share."""

    def __init__(self, source: Holding, ssh: Ssh, request: SeedRequest, report: Report) -> None:
        self.source = _throttled(source, request.rate)
        self.ssh = ssh
        self.request = request
        self.report = report
        self._holding = source
        self._lock = threading.Lock()
        self._gathered: dict[str, _ForPlatform] = {}
        self._open: set[Connection] = set()

    def node(self, host: Host) -> NodeResult:
        """Seed one node; whatever goes wrong is in the result."""
        connection = Connection(self.ssh, host)
        node = _Node(self, host)
        self._open.add(connection)
        try:
            with connection:
                result = node.run(connection)
        except ImgsyncError as error:
            result = node.result(error=error)
        finally:
            self._open.discard(connection)
        node.report(_ended(result))
        return result

    def stop(self) -> None:
        """End all connections; what runs over them fails."""
        for connection in list(self._open):
            connection.cut()

    def for_platform(self, platform: Platform) -> _ForPlatform:
        """What a node of this platform gets."""
        request = self.request
        choice = PlatformChoice((platform,)) if request.own_platform else request.selection.choice
        with self._lock:
            if str(choice) not in self._gathered:
                self._gathered[str(choice)] = self._gather(choice)
            return self._gathered[str(choice)]

    def _gather(self, choice: PlatformChoice) -> _ForPlatform:
        failed: list[tuple[str, ImgsyncError]] = []

        def note(event: Event) -> None:
            if isinstance(event, Failed):
                failed.append((event.what, event.error))
            else:
                self.report(event)

        selection = replace(self.request.selection, choice=choice)
        found = gather(self._holding, self.request.mapping, selection, note)
        roots = {root.label: root for root in self._holding.bundle().roots}
        unfit = tuple((roots[label], error) for label, error in failed)
        return _ForPlatform(found, unfit)


@dataclass(frozen=True, slots=True)
class _ForPlatform:
    """The images of the source for one platform, and those that have none for it."""

    gathered: Gathered
    unfit: tuple[tuple[Root, ImgsyncError], ...]


class _Node:
    def __init__(self, seeding: _Seeding, host: Host) -> None:
        self._seeding = seeding
        self._host = host
        self._begun = monotonic()
        self._planned = Planned(0, 0, 0, 0)
        self._what: _ForPlatform | None = None
        self._how = ""

    def run(self, connection: Connection) -> NodeResult:
        """Connect, and import.

        Raises:
            ImgsyncError: nothing came of it.
        """
        request = self._seeding.request
        connection.open(session())
        containerd, platform = open_node(
            connection, request.namespace, address=request.address, command=request.ctr
        )
        what = self._what = self._seeding.for_platform(platform)
        options = replace(
            request.options, node=platform, required=request.options.required or platform
        )
        reaching = Reaching(connection, request.direct)
        result = import_images(
            containerd,
            what.gathered.roots,
            what.gathered.graph,
            self._seeding.source,
            options,
            self.report,
            absent=what.gathered.absent,
            serve=reaching.serve,
        )
        self._how = reaching.how
        failures = [*((root.label, error) for root, error in what.unfit), *result.failures]
        return self.result(result, _error_of(failures, len(result.imported) + len(what.unfit)))

    def report(self, event: Event) -> None:
        """Tell an event as one of this node."""
        if isinstance(event, InPart) and self._seeding.request.own_platform:
            return  # as it should be: other platforms are for other nodes
        if isinstance(event, Planned):
            self._planned = event
        self._seeding.report(OfNode(self._host.label, event))

    def result(
        self, result: ImportResult | None = None, error: ImgsyncError | None = None
    ) -> NodeResult:
        """The node as it is now."""
        seconds = monotonic() - self._begun
        plan, what = self._planned, self._what
        return NodeResult(
            self._host,
            seconds,
            self._how,
            plan.n_objects,
            plan.n_bytes,
            result,
            error,
            plan.n_present,
            plan.n_present_bytes,
            what.gathered.originals if what is not None else (),
            what.unfit if what is not None else (),
        )


def _error_of(failures: Sequence[tuple[str, ImgsyncError]], n_images: int) -> ImgsyncError | None:
    if not failures:
        return None
    if len(failures) == n_images:
        return AllFailed("no image was imported", failures)
    return SomeFailed(f"{len(failures)} of {n_images} images were not imported", failures)


def _ended(result: NodeResult) -> Event:
    return NodeEnded(result.status) if result.error is None else Failed("", result.error)


def _throttled(source: Holding, rate: int | None) -> Holding:
    if rate is None:
        return source
    if isinstance(source, Listing):
        return ThrottledListing(source, Rate(rate), source.sizes)
    return Throttled(source, Rate(rate))
