"""The one walk: from roots to everything they need, level by level, each document read once.

Bundle, verify, push, import and inspect see content through the `Graph` that it makes. Documents
of one level are read together, so that a source over a network reads them in parallel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContentError, ImgsyncError, MissingContent
from imgsync.model.manifest import MAX_DOCUMENT_BYTES, Document, Index, Manifest, parse_document

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest

MAX_DEPTH: Final = 8
"""Levels of documents below a root. Real images have two, nested indexes three."""

Read = tuple["Descriptor", "bytes | ImgsyncError"]
ReadMany = "Callable[[Sequence[Descriptor]], Iterable[Read]]"


@dataclass(slots=True)
class Graph:
    """What some roots are made of.

    Attributes:
        documents: every index and manifest that was read, by digest.
        descriptors: every object that was met, documents and blobs, by digest.
        parents: for every object but the roots, the document that named it first.
        problems: documents that could not be read, or are not what they must be.
    """

    documents: dict[Digest, Document] = field(default_factory=dict)
    descriptors: dict[Digest, Descriptor] = field(default_factory=dict)
    parents: dict[Digest, Digest] = field(default_factory=dict)
    problems: dict[Digest, ImgsyncError] = field(default_factory=dict)

    def children(self, digest: Digest) -> tuple[Descriptor, ...]:
        """What this object needs directly; nothing for blobs and unread documents."""
        document = self.documents.get(digest)
        return document.children if document is not None else ()

    def closure(self, roots: Iterable[Descriptor]) -> Iterator[Descriptor]:
        """Everything that the roots need, and they themselves: each once, children first."""
        seen: set[Digest] = set()
        stack = [(root, False) for root in reversed(list(roots))]
        while stack:
            descriptor, entered = stack.pop()
            if entered:
                yield descriptor
            elif descriptor.digest not in seen:
                seen.add(descriptor.digest)
                stack.append((descriptor, True))
                children = self.children(descriptor.digest)
                stack.extend((child, False) for child in reversed(children))

    def manifests(self, root: Descriptor) -> Iterator[tuple[Descriptor, Manifest]]:
        """The manifests below a root (or the root itself), in the order of the indexes.

        The descriptor is the one of the innermost index, so its platform is what that says.
        """
        seen: set[Digest] = set()
        stack = [root]
        while stack:
            descriptor = stack.pop()
            if descriptor.digest in seen:
                continue
            seen.add(descriptor.digest)
            match self.documents.get(descriptor.digest):
                case Manifest() as manifest:
                    yield descriptor, manifest
                case Index() as index:
                    stack.extend(reversed(index.manifests))
                case None:
                    pass

    def is_runnable(self, root: Descriptor) -> bool:
        """Whether a runtime could run any of it; signatures, charts and SBOMs it cannot."""
        return any(manifest.is_image for _, manifest in self.manifests(root))

    def ancestor(self, digest: Digest) -> Digest:
        """The root below which this object was met first."""
        while digest in self.parents:
            digest = self.parents[digest]
        return digest

    def problems_of(self, root: Descriptor) -> list[ImgsyncError]:
        """What stands in the way of this root, each problem once."""
        return [
            self.problems[item.digest]
            for item in self.closure([root])
            if item.digest in self.problems
        ]


def walk(
    roots: Iterable[Descriptor],
    read_many: Callable[[Sequence[Descriptor]], Iterable[Read]],
    *,
    absent: Collection[Digest] = (),
    graph: Graph | None = None,
) -> Graph:
    """Read every document below the roots, and collect what they name.

    A document that cannot be read is a problem of the graph, not an exception: the caller lists
    all of them together. ``absent`` names documents that are declared to be left out. With a
    ``graph`` that one is filled, so that the reader can ask it for an object's ``ancestor``.
    """
    graph = Graph() if graph is None else graph
    level: list[Descriptor] = []
    for root in roots:
        _meet(graph, root, level)
    depth = 0
    while level:
        to_read = [item for item in level if item.digest not in absent]
        level = []
        if depth > MAX_DEPTH:
            for item in to_read:
                msg = f"{item.short} is nested more than {MAX_DEPTH} documents deep"
                graph.problems[item.digest] = ContentError(msg)
            break
        for descriptor, answer in read_many(to_read):
            try:
                document = _parsed(descriptor, answer)
            except ImgsyncError as error:
                graph.problems[descriptor.digest] = error
                continue
            graph.documents[descriptor.digest] = document
            for child in document.children:
                try:
                    _meet(graph, child, level, descriptor)
                except ContentError as error:
                    graph.problems[descriptor.digest] = error
        depth += 1
    return graph


def walk_apart(
    roots: Iterable[Descriptor],
    read_many: Callable[[Sequence[Descriptor]], Iterable[Read]],
    graph: Graph,
) -> None:
    """Walk further roots that somebody else described, into a graph that is there already.

    One that contradicts what the graph knows is left alone; its descriptor is not the graph's.
    """
    fit = []
    for root in roots:
        known = graph.descriptors.get(root.digest)
        if known is None or (known.kind, known.size) == (root.kind, root.size):
            fit.append(root)
    walk(fit, read_many, graph=graph)


def check_document_size(descriptor: Descriptor) -> None:
    """Refuse a document that claims to be larger than any registry takes.

    Raises:
        ContentError: more than 4 MiB. Nothing of that size is read into memory.
    """
    if descriptor.size > MAX_DOCUMENT_BYTES:
        msg = (
            f"{descriptor.short} is larger than {MAX_DOCUMENT_BYTES} bytes, the limit of manifests"
        )
        raise ContentError(msg)


def _parsed(descriptor: Descriptor, answer: bytes | ImgsyncError) -> Document:
    if isinstance(answer, ImgsyncError):
        raise answer
    return parse_document(answer, descriptor)


def _meet(
    graph: Graph,
    descriptor: Descriptor,
    level: list[Descriptor],
    parent: Descriptor | None = None,
) -> None:
    known = graph.descriptors.get(descriptor.digest)
    if known is not None:
        known.check_same(descriptor)
        return
    graph.descriptors[descriptor.digest] = descriptor
    if parent is not None:
        graph.parents[descriptor.digest] = parent.digest
    if descriptor.is_document:
        level.append(descriptor)


def missing_document(descriptor: Descriptor, side: str) -> MissingContent:
    """The error of a document that a store does not have."""
    return MissingContent(
        f"{side}: {descriptor.short} is absent",
        hint="the images that need it are incomplete; make the bundle again with all platforms",
    )
