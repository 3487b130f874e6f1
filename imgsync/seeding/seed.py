"""Seeding a fleet: what ``imgsync seed`` runs.

Each node is one import, the same as ``imgsync import`` on the node itself: asked what it has,
sent what it lacks, walked before and after a garbage collection. What one does, or fails to do,
stops no other.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.fleet.ssh import Ssh
from imgsync.seeding.node import seed_node
from imgsync.seeding.shared import Shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.events import Report
    from imgsync.fleet.host import Host
    from imgsync.seeding.request import NodeResult, SeedRequest
    from imgsync.stores import Holding


def seed(
    source: Holding, hosts: Sequence[Host], request: SeedRequest, report: Report
) -> list[NodeResult]:
    """Seed all hosts; the results are in their order.

    Raises:
        InvalidInput: nothing was begun.
    """
    with tempfile.TemporaryDirectory(prefix="imgsync-ssh-", ignore_cleanup_errors=True) as folder:
        shared = Shared(source, Ssh.parse(request.ssh, Path(folder)), request, report)
        with ThreadPoolExecutor(request.jobs, "node") as pool:
            futures = [pool.submit(seed_node, shared, host) for host in hosts]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                shared.stop()
                raise
