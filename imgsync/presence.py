"""Which content a store has, where that can be known without asking for each object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.documents import reader_of
from imgsync.stores import Holding, Listing
from imgsync.stores.containerd.namespace import Containerd
from imgsync.stores.selected import Selected
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imgsync.model.digest import Digest
    from imgsync.model.selection import Selection
    from imgsync.stores import Source


def held_by(holding: Holding) -> Collection[Digest] | None:
    """All digests that a store has, or None for one that must be asked for each (a registry)."""
    inner = holding.inner if isinstance(holding, Selected) else holding
    if isinstance(inner, Listing):
        return inner.sizes().keys()
    if isinstance(inner, Containerd):
        return inner.content.digests()
    return None


def held_sizes(source: Source) -> Mapping[Digest, int] | None:
    """All content that a source has, with its size in bytes, where it can list that."""
    inner = source.inner if isinstance(source, Selected) else source
    return inner.sizes() if isinstance(inner, Listing) else None


def is_containerd(holding: Holding) -> bool:
    """Whether this is a namespace of containerd, or some of its images."""
    inner = holding.inner if isinstance(holding, Selected) else holding
    return isinstance(inner, Containerd)


def select_images(holding: Holding, selection: Selection, *, jobs: int = 4) -> Holding:
    """The store with the images that ``--image`` chose, and with what is about them.

    Raises:
        NotFound: a glob names nothing.
    """
    if not selection.globs:
        return holding
    bundle = holding.bundle()
    roots = [root.descriptor for root in bundle.roots]
    graph = walk(roots, reader_of(holding, jobs=jobs), absent=bundle.absent)

    def documents_of(digest: Digest) -> Collection[Digest]:
        closure = graph.closure([graph.descriptors[digest]])
        return [item.digest for item in closure if item.is_document]

    return Selected(holding, selection.chosen(bundle.roots, documents_of, side=holding.side))
