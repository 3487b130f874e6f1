"""A fleet beside a lock: what each node says of each image. Nothing is changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError
from imgsync.events import Failed, NodeEnded, OfNode, Report
from imgsync.fleet.connection import Connection
from imgsync.fleet.finding import open_node
from imgsync.fleet.session import session
from imgsync.fleet.ssh import Ssh
from imgsync.nodes.against_lock import LockedImage, compare
from imgsync.nodes.looking import look

if TYPE_CHECKING:
    from imgsync.fleet.host import Host
    from imgsync.model.lock import Lock
    from imgsync.model.platform import Platform
    from imgsync.model.reference import Reference

JOBS_A_NODE: Final = 4
"""Commands at once on one node; sshd lets a connection have 10 sessions."""


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """What is looked at, and how.

    Attributes:
        rename: gives the name that an image of the lock has on the nodes.
        address: of the socket; empty is found out for each node.
        ctr: the command; empty likewise.
        jobs: how many nodes at once.
        with_hash: read every byte.
        ssh: how ssh is called.
    """

    lock: Lock
    rename: Callable[[Reference], Reference]
    namespace: str = "k8s.io"
    address: str = ""
    ctr: str = ""
    jobs: int = 8
    with_hash: bool = False
    ssh: str = "ssh"


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """One node: every image of the lock, or why it could not be asked."""

    host: Host
    images: tuple[LockedImage, ...] = ()
    error: ImgsyncError | None = None
    platform: Platform | None = None

    def passes(self, require: str) -> bool:
        """Whether every image there is what was required: ``runs`` or ``whole``."""
        return self.error is None and all(item.verdict.passes(require) for item in self.images)


def check_fleet(hosts: Sequence[Host], request: FleetRequest, report: Report) -> list[NodeCheck]:
    """Look at all nodes; the results are in their order.

    Raises:
        InvalidInput: the command for ssh is none.
    """
    with tempfile.TemporaryDirectory(prefix="imgsync-ssh-", ignore_cleanup_errors=True) as folder:
        ssh = Ssh.parse(request.ssh, Path(folder))
        with ThreadPoolExecutor(request.jobs, "node") as pool:
            futures = [pool.submit(_check, ssh, host, request, report) for host in hosts]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _check(ssh: Ssh, host: Host, request: FleetRequest, report: Report) -> NodeCheck:
    try:
        with Connection(ssh, host) as connection:
            connection.open(session(), lambda event: report(OfNode(host.label, event)))
            containerd, platform = open_node(
                connection, request.namespace, address=request.address, command=request.ctr
            )
            facts = look(
                containerd,
                platform,
                lambda event: report(OfNode(host.label, event)),
                with_hash=request.with_hash,
                jobs=JOBS_A_NODE,
            )
    except ImgsyncError as error:
        report(OfNode(host.label, Failed("", error)))
        return NodeCheck(host, error=error)
    report(OfNode(host.label, NodeEnded("looked at")))
    return NodeCheck(host, compare(facts, request.lock, request.rename), platform=platform)
