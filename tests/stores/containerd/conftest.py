"""Loading images into a real containerd, by imgsync's own parts and without a command line."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.documents import reader_of
from imgsync.model.bundle import AbsentReason
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.import_request import ImportOptions, ImportResult
from imgsync.stores.containerd.importing import import_images
from imgsync.stores.containerd.namespace import Containerd
from imgsync.stores.layout import Layout
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from imgsync.events import Event
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding
    from tests.images import Images
    from tests.servers.containerd import Containerd as Server

AMD64 = Platform("linux", "amd64")


@dataclass
class Loader:
    """Writes images as an archive, and imports that; `events` are those of the last import."""

    folder: Path
    containerd: Containerd
    events: list[Event] = field(default_factory=list)

    def __call__(
        self,
        images: Images,
        names: Iterable[str] | None = None,
        *,
        leave_out: Iterable[str] = (),
        replace: Mapping[str, bytes] | None = None,
        absent: Iterable[str] = (),
        why: AbsentReason = AbsentReason.PLATFORM,
        rename: Callable[[Reference], Reference] | None = None,
        into: Containerd | None = None,
        as_layout: bool = False,
        **options: Any,
    ) -> ImportResult:
        """What came of it; ``absent`` is declared, ``leave_out`` and ``replace`` are not."""
        source = self._written(images, names, [*leave_out, *absent], replace, as_layout=as_layout)
        bundle = source.bundle()
        declared = {Digest.parse(digest) for digest in absent}
        graph = walk([root.descriptor for root in bundle.roots], reader_of(source), absent=declared)
        roots = [
            root.named(rename(root.name)) if rename and root.name else root for root in bundle.roots
        ]
        self.events = []
        options.setdefault("node", AMD64)
        return import_images(
            into or self.containerd,
            roots,
            graph,
            source,
            ImportOptions(**options),
            self.events.append,
            absent=dict.fromkeys(declared, why),
        )

    def _written(
        self,
        images: Images,
        names: Iterable[str] | None,
        leave_out: Iterable[str],
        replace: Mapping[str, bytes] | None,
        *,
        as_layout: bool,
    ) -> Holding:
        path = self.folder / secrets.token_hex(4)
        if as_layout:
            return Layout(images.write_layout(path, names))
        images.write_archive(path, names, leave_out=leave_out, replace=replace)
        return open_archive(path)


@pytest.fixture
def ours(containerd: Server, namespace: str) -> Containerd:
    """A namespace of the containerd of all tests, as imgsync sees it."""
    return Containerd(Ctr(str(containerd.socket)), namespace)


@pytest.fixture
def load(ours: Containerd, tmp_path: Path) -> Loader:
    """Imports images into `ours`."""
    return Loader(tmp_path, ours)
