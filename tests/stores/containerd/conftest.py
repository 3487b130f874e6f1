"""Loading images into a real containerd, by imgsync's own parts and without a command line."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.documents import reader_of
from imgsync.model.platform import Platform
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.import_request import ImportOptions, ImportResult
from imgsync.stores.containerd.importing import import_images
from imgsync.stores.containerd.namespace import Containerd
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from imgsync.events import Event
    from imgsync.model.reference import Reference
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
        rename: Callable[[Reference], Reference] | None = None,
        into: Containerd | None = None,
        **options: Any,
    ) -> ImportResult:
        """What came of it; ``absent`` is declared, ``leave_out`` and ``replace`` are not."""
        from imgsync.model.digest import Digest

        path = self.folder / f"{secrets.token_hex(4)}.tar"
        images.write_archive(path, names, leave_out=[*leave_out, *absent], replace=replace)
        source = open_archive(path)
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
            absent=declared,
        )


@pytest.fixture
def ours(containerd: Server, namespace: str) -> Containerd:
    """A namespace of the containerd of all tests, as imgsync sees it."""
    return Containerd(Ctr(str(containerd.socket)), namespace)


@pytest.fixture
def load(ours: Containerd, tmp_path: Path) -> Loader:
    """Imports images into `ours`."""
    return Loader(tmp_path, ours)
