"""NamespaceFacts: all that is known of a namespace of containerd at one moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.completeness import Completeness, completeness
from imgsync.stores.containerd.anchors import is_anchor
from imgsync.stores.containerd.namespace import is_cri_record
from imgsync.walk import Graph

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.stores.containerd.cri import CriImage
    from imgsync.stores.containerd.parse import ImageRecord


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """What was found; everything that is said of a node is a function of it.

    Attributes:
        side: how messages call the namespace.
        node: the platform of the node.
        records: every image record by its name, those of CRI and of ours too.
        present: the content that the namespace has.
        roots: what the records mean, as descriptors; the size is 0 where the root is not there.
        graph: the walk of all roots.
        platforms: of manifests whose index does not say it.
        damaged: content that is there and is not what its digest says, with what is wrong.
        is_hashed: whether layers were read too; otherwise only manifests and configs were.
        kubelet: what CRI lists, or None where it does not answer or has nothing to do with it.
    """

    side: str
    namespace: str
    node: Platform
    records: Mapping[str, ImageRecord]
    present: frozenset[Digest]
    roots: Mapping[Digest, Descriptor]
    graph: Graph = field(default_factory=Graph)
    platforms: Mapping[Digest, Platform] = field(default_factory=dict)
    damaged: Mapping[Digest, str] = field(default_factory=dict)
    is_hashed: bool = False
    kubelet: tuple[CriImage, ...] | None = None

    def images(self) -> Iterator[ImageRecord]:
        """The records that name images to people."""
        for name, record in self.records.items():
            if not is_cri_record(name) and not is_anchor(name):
                yield record

    def has(self, item: Descriptor) -> bool:
        """Whether content is there, and good as far as that is known."""
        return item.digest in self.present and item.digest not in self.damaged

    def state(self, root: Digest) -> Completeness:
        """Which platforms of an image are whole."""
        return completeness(self.graph, self.roots[root], self.has, platforms=self.platforms)

    def names_of(self, root: Digest) -> tuple[str, ...]:
        """All names that mean this image."""
        return tuple(sorted(record.name for record in self.images() if record.digest == root))
