"""Some platforms of an image, decided from its index alone.

Reading the manifest of a platform that nobody wants costs a pull at registries that count them
(Docker Hub), so it is not read: the index says which platforms its children are for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.content import read_verified
from imgsync.documents import DocumentReader
from imgsync.errors import NotFound
from imgsync.model.digest import Digest
from imgsync.model.manifest import parse_document
from imgsync.model.media_types import Kind
from imgsync.platforms import describe, is_kept, platforms_of
from imgsync.rewriting import rewrite
from imgsync.walk import MAX_DEPTH, Graph, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.platform import Platform, PlatformChoice
    from imgsync.stores import Source


@dataclass(frozen=True, slots=True)
class Narrowed:
    """An image of chosen platforms.

    Attributes:
        root: what it becomes; the same as before if nothing is left out.
        left_out: the manifests that are left out.
    """

    root: Descriptor
    left_out: frozenset[Digest] = frozenset()


def narrow(source: Source, root: Descriptor, choice: PlatformChoice) -> Narrowed:
    """Look at an image, and leave out what is not chosen.

    Raises:
        NotFound: it has none of the platforms; the message says which it has.
        Whatever the source raises.
    """
    if choice.is_all:
        return Narrowed(root)
    if root.kind is not Kind.INDEX:
        _check_single(source, root, choice)
        return Narrowed(root)
    graph = index_graph(source, root)
    children = list(_children(graph, root))
    said = {
        item.digest: item.platform
        for item in children
        if item.platform is not None and item.platform.os
    }
    _check(choice, [platform for platform in said.values() if not platform.is_unknown])
    left_out = frozenset(item.digest for item in children if not is_kept(item, choice, said))
    return Narrowed(rewrite(graph, root, left_out).root, left_out)


def index_graph(source: Source, root: Descriptor) -> Graph:
    """The walk of the index and those within it; manifests are met and not read."""
    graph = Graph()
    level = [root]
    for _ in range(MAX_DEPTH):
        below: list[Descriptor] = []
        for item in level:
            raw = read_verified(source.open(item), item, side=source.side)
            document = parse_document(raw, item)
            graph.documents[item.digest] = document
            for child in document.children:
                if child.digest not in graph.descriptors and child.kind is Kind.INDEX:
                    below.append(child)
                graph.descriptors[child.digest] = child
        if not below:
            break
        level = below
    return graph


def _children(graph: Graph, root: Descriptor) -> Iterator[Descriptor]:
    """Everything in the index and those within it that is no index itself."""
    return (item for item in graph.closure([root]) if item.kind is not Kind.INDEX)


def _check(choice: PlatformChoice, images: list[Platform]) -> None:
    # A config speaks of many images, and not each has all of its platforms: one is enough.
    if images and not any(choice.includes(image) for image in images):
        raise NotFound(f"has no platform of {choice}; it has {describe(images)}")


def _check_single(source: Source, root: Descriptor, choice: PlatformChoice) -> None:
    """An image without an index: its config says what it is for."""
    read = DocumentReader(lambda _descriptor: (source,))
    graph = walk([root], read)
    for problem in graph.problems_of(root):
        raise problem
    platforms = platforms_of(graph, [root], read)
    for problem in graph.problems.values():
        raise problem
    for platform in platforms.values():
        if not choice.includes(platform):
            raise NotFound(f"is for {platform} only, not for {choice}")
