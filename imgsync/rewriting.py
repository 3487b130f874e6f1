"""The one exception to "the same bytes": an index of just the platforms that are whole.

Registries want every child of an index (distribution 2.8, so Harbor too, answers
MANIFEST_BLOB_UNKNOWN otherwise). A bundle of chosen platforms can therefore be pushed only as a
smaller index, which has another digest; the user asks for it with ``--rewrite-index`` and is told
both digests. The same input gives the same digest, on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgsync.errors import InvalidDigest, PartialRefused
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import ATTESTATION_SUBJECT, Index, parse_document
from imgsync.model.strict_json import canonical, parse_object

if TYPE_CHECKING:
    from collections.abc import Container

    from imgsync.walk import Graph


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A root that is whole, and the bytes of the indexes that were made for it."""

    root: Descriptor
    documents: dict[Digest, bytes]

    def add_to(self, graph: Graph) -> None:
        """Let a graph know the new indexes, so that a plan can be made of them."""
        for digest, raw in self.documents.items():
            descriptor = Descriptor(self._media_type(raw), digest, len(raw))
            graph.documents[digest] = parse_document(raw, descriptor)
            graph.descriptors[digest] = descriptor

    def _media_type(self, raw: bytes) -> str:
        return str(parse_object(raw, "rewritten index").get("mediaType", self.root.media_type))


def rewrite(graph: Graph, root: Descriptor, absent: Container[Digest]) -> Rewritten:
    """An index of what is whole below ``root``: order, annotations, subject and nesting kept.

    Attestations of dropped platforms are dropped too. It stays an index even for one platform. A
    root that is whole already is returned as it is.

    Raises:
        PartialRefused: nothing below the root is whole.
    """
    documents: dict[Digest, bytes] = {}
    made = _rewritten(graph, root, absent, documents)
    if made is None:
        msg = f"nothing of {root.short} is whole"
        raise PartialRefused(msg, hint="bundle it again with at least one whole platform")
    return Rewritten(made, documents)


def is_whole(graph: Graph, root: Descriptor, absent: Container[Digest]) -> bool:
    """Whether everything that the root needs is there."""
    return all(item.digest not in absent for item in graph.closure([root]))


def _rewritten(
    graph: Graph,
    descriptor: Descriptor,
    absent: Container[Digest],
    documents: dict[Digest, bytes],
) -> Descriptor | None:
    if is_whole(graph, descriptor, absent):
        return descriptor
    index = graph.documents.get(descriptor.digest)
    if not isinstance(index, Index):
        return None
    children = [_rewritten(graph, child, absent, documents) for child in index.manifests]
    dropped = {
        child.digest for child, made in zip(index.manifests, children, strict=True) if made is None
    }
    kept = [
        (child, made)
        for child, made in zip(index.manifests, children, strict=True)
        if made is not None and _subject_of(child) not in dropped
    ]
    if not kept:
        return None
    value = parse_object(index.raw, descriptor.short)
    entries = {
        id(child): entry for child, entry in zip(index.manifests, value["manifests"], strict=True)
    }
    value["manifests"] = [_entry(entries[id(child)], child, made) for child, made in kept]
    raw = canonical(value)
    digest = Digest.of(raw, descriptor.digest.algorithm)
    documents[digest] = raw
    return Descriptor(
        descriptor.media_type, digest, len(raw), descriptor.platform, descriptor.annotations
    )


def _entry(entry: dict[str, Any], child: Descriptor, made: Descriptor) -> dict[str, Any]:
    if made.digest == child.digest:
        return entry
    return {**entry, "digest": str(made.digest), "size": made.size}


def _subject_of(child: Descriptor) -> Digest | None:
    try:
        return Digest.parse(child.annotations.get(ATTESTATION_SUBJECT, ""))
    except InvalidDigest:
        return None
