"""The carrier by loopback: we are a registry on 127.0.0.1, and containerd fetches from it.

The fastest way in, on every version: containerd takes only what it lacks, adopts what another of
its namespaces has, checks every digest by itself, and makes the image's record last.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from imgsync.serve.access import OneCredential
from imgsync.serve.server import Server
from imgsync.stores.containerd.command import Ended, failure
from imgsync.stores.containerd.hosts_dir import hosts_dir, hosts_toml

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imgsync.events import Report
    from imgsync.serve.catalog import Catalog
    from imgsync.stores import Source
    from imgsync.stores.containerd.command import Ctr
    from imgsync.stores.containerd.namespace import Containerd


class Loopback:
    """A registry that only the ``ctr`` that we start can read from; see `serving`."""

    def __init__(self, ctr: Ctr, namespace: str, folder: Path | str) -> None:
        """Let this ``ctr`` find us by a hosts-dir, which is where the ``ctr`` is."""
        self._ctr = ctr
        self._namespace = namespace
        self._folder = folder
        self._running: set[subprocess.Popen[bytes]] = set()

    def fetch(self, name: str, platforms: Sequence[str] = ()) -> None:
        """Let containerd have the image of this name, with all platforms if none is given.

        Raises:
            ContainerdError: ``ctr`` failed; there is no image of this name that was not before.
        """
        command = ("content", "fetch")
        which = [word for platform in platforms for word in ("--platform", platform)]
        if which and self._ctr.has("--skip-metadata", *command):
            # Else 2.x wants the manifests and configs of all other platforms too.
            which.append("--skip-metadata")
        words = [*(which or ["--all-platforms"]), "--hosts-dir", str(self._folder), name]
        with (
            tempfile.TemporaryFile() as err,
            self._ctr.start(
                self._namespace, *command, *words, stdout=subprocess.DEVNULL, stderr=err
            ) as process,
        ):
            self._running.add(process)
            try:
                status = process.wait()
            finally:
                self._running.discard(process)
            err.seek(0)
            message = err.read().decode(errors="replace")
        if status != 0:
            raise failure(Ended(command, status, b"", message))

    def stop(self) -> None:
        """End the fetches that are under way; their images get no name."""
        for process in list(self._running):
            process.terminate()


Serve = Callable[
    ["Containerd", "Source", "Catalog", "Report"], AbstractContextManager[Loopback | None]
]
"""How a registry of ours is brought to where a ``ctr`` runs; None if it cannot be."""


@contextmanager
def serving(
    containerd: Containerd, source: Source, catalog: Catalog, report: Report
) -> Iterator[Loopback]:
    """Serve a source to the ``ctr`` of this host, and to nobody else who happens to be on it."""
    credential = OneCredential()
    with Server(source, catalog, access=credential, prove=False, report=report) as server:
        headers = {"Authorization": credential.header}
        with hosts_dir({"_default": hosts_toml(server.url, headers=headers)}) as folder:
            yield Loopback(containerd.ctr, containerd.namespace, folder)
