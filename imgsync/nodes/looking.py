"""Looking at a namespace: the one place where a node is asked; nothing is changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from imgsync.documents import DocumentReader
from imgsync.errors import ContentError, ImgsyncError, MissingContent
from imgsync.events import Planned, Report, ignore
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import MAX_DOCUMENT_BYTES
from imgsync.nodes.facts import NamespaceFacts
from imgsync.platforms import platforms_of
from imgsync.stores.containerd.content import read_content
from imgsync.stores.containerd.cri import CriImage, list_images
from imgsync.stores.containerd.namespace import ANCHOR_PREFIX, is_cri_record
from imgsync.verifying.hashing import Prover
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.model.platform import Platform
    from imgsync.stores.containerd.namespace import Containerd

KUBERNETES: Final = "k8s.io"
"""The only namespace that CRI looks at."""


def look(
    containerd: Containerd,
    node: Platform,
    report: Report = ignore,
    *,
    with_hash: bool = False,
    jobs: int = 4,
) -> NamespaceFacts:
    """Read all records and manifests of a namespace, and with ``with_hash`` every byte.

    Raises:
        ContainerdError: containerd cannot be asked.
    """
    records = containerd.images.all()
    present = frozenset(containerd.content.digests())
    named = {
        record.digest: record.media_type
        for name, record in sorted(records.items())
        if not is_cri_record(name) and not name.startswith(ANCHOR_PREFIX)
    }
    kept: dict[Digest, bytes] = {}
    damaged: dict[Digest, str] = {}

    def read_root(digest: Digest) -> int:
        if digest not in present:
            return 0
        try:
            raw = read_content(containerd.content, digest, containerd.side, MAX_DOCUMENT_BYTES)
        except ImgsyncError as error:
            damaged[digest] = error.message
            return 0
        if Digest.of(raw, digest.algorithm) == digest:
            kept[digest] = raw
        else:
            damaged[digest] = "its bytes are not what its digest says"
        return len(raw)

    with ThreadPoolExecutor(jobs, "roots") as pool:
        sizes = list(pool.map(read_root, named))
    roots = {
        digest: Descriptor(media_type, digest, size)
        for (digest, media_type), size in zip(named.items(), sizes, strict=True)
    }
    sources = (containerd,)
    read = DocumentReader(lambda _item: sources, jobs=jobs, kept=kept)
    graph = walk(roots.values(), read, absent=named.keys() - kept.keys())
    platforms = platforms_of(graph, roots.values(), read)
    damaged.update(
        (digest, error.message)
        for digest, error in graph.problems.items()
        if digest in present
        and isinstance(error, ContentError)
        and not isinstance(error, MissingContent)
    )
    if with_hash:
        blobs = [
            item
            for item in graph.closure(roots.values())
            if item.digest in present and item.digest not in graph.documents
        ]
        damaged.update(_hash(containerd, blobs, report, jobs))
    return NamespaceFacts(
        containerd.side,
        containerd.namespace,
        node,
        records,
        present,
        roots,
        graph,
        platforms,
        damaged,
        with_hash,
        _kubelet(containerd),
    )


def _hash(
    containerd: Containerd, blobs: Iterable[Descriptor], report: Report, jobs: int
) -> dict[Digest, str]:
    items = [item for item in blobs if item.size]
    report(Planned(len(items), sum(item.size for item in items), 0, 0))
    prover = Prover(containerd, report, jobs)
    prover.prove(items)
    return {digest: error.message for digest, error in prover.errors.items()}


def _kubelet(containerd: Containerd) -> tuple[CriImage, ...] | None:
    if containerd.namespace != KUBERNETES or containerd.ctr.is_elsewhere:
        return None
    return list_images(containerd.ctr.address)
