"""What is asked of a seeding, and what came of each node. Frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from imgsync.errors import ImgsyncError
    from imgsync.fleet.host import Host
    from imgsync.model.bundle import Root
    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.seeding.reaching import Direct
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
        rate: bytes a second from here to all nodes together; None is as fast as it goes.
        relay: how many nodes this host serves at once, and each node that is done; 0 lets this
            host serve all of them.
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
    relay: int = 0
    direct: Direct | None = None
    ssh: str = "ssh"


@dataclass(frozen=True, slots=True)
class NodeResult:
    """One node, and what came of it.

    Attributes:
        how: the way that was open to content: forwarded, direct, stream, or relayed by a peer.
        peer: the node that it was relayed by.
        relayed: how many objects came from there, of ``relayed_bytes``.
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
    peer: str = ""
    relayed: int = 0
    relayed_bytes: int = 0
    lacked: int = 0
    lacked_bytes: int = 0
    had: int = 0
    had_bytes: int = 0
    originals: tuple[Root, ...] = ()
    unfit: tuple[tuple[Root, ImgsyncError], ...] = ()
    result: ImportResult | None = None
    error: ImgsyncError | None = None

    @property
    def status(self) -> str:
        """``seeded``, ``unchanged`` or ``failed``."""
        if self.error is not None:
            return "failed"
        images = self.result.imported if self.result is not None else ()
        return "unchanged" if all(item.status == "unchanged" for item in images) else "seeded"

    @property
    def sent(self) -> int:
        """How many objects were sent to it from here."""
        return self.result.n_moved - self.relayed if self.result is not None else 0

    @property
    def sent_bytes(self) -> int:
        """What was sent to it from here."""
        return self.result.n_moved_bytes - self.relayed_bytes if self.result is not None else 0
