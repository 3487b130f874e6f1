"""What goes into a bundle beside the images: that which is about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.bundling.request import Request
from imgsync.model.bundle import AbsentReason
from imgsync.referrers.choice import kinds_of
from imgsync.referrers.collecting import Subject, documents_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgsync.bundling.chosen import Chosen
    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.referrers.choice import ReferrerChoice
    from imgsync.referrers.collecting import Extra
    from imgsync.walk import Graph


def subjects_of(chosen: Sequence[Chosen], graph: Graph) -> Iterator[Subject]:
    """Everything that something may be about: indexes, and manifests whose content comes along."""
    for number, item in enumerate(chosen):
        place = item.root.full_name
        if place is None or not item.request.looks_about:
            continue
        dropped = _dropped(item.root, item.absent, graph)
        for digest in documents_of(graph, item.root):
            if digest not in dropped:
                yield Subject(digest, item.request.source, place, number)


def request_of(extra: Extra) -> Request:
    """The request for something that was found; its root is known."""
    root = extra.root
    return Request(root.extra, extra.source, root=root, extra=root.extra, subject=root.subject)


def without_unwanted(
    chosen: Sequence[Chosen], graph: Graph, choice: ReferrerChoice
) -> list[Chosen]:
    """The images, and of what came with them just what was chosen and is about what comes along.

    Content about a manifest whose platform was left out stays behind, and what is about that.
    """
    kept: set[Digest] = set()
    dropped: set[Digest] = set()
    for item in chosen:
        left_out = _dropped(item.root, item.absent, graph)
        dropped |= left_out
        kept.update(key for key in documents_of(graph, item.root) if key not in left_out)
    gone = dropped - kept
    left = list(chosen)
    while True:
        fit = [item for item in left if not _is_left_out(item, gone, graph, choice)]
        if len(fit) == len(left):
            return fit
        gone |= {item.root.descriptor.digest for item in left if item not in fit}
        left = fit


def _is_left_out(item: Chosen, gone: set[Digest], graph: Graph, choice: ReferrerChoice) -> bool:
    if item.root.subject is None or item.request.subject is None:
        return False  # an image, or something that was asked for by its own name
    document = graph.documents[item.root.descriptor.digest]
    return item.root.subject in gone or not choice.wants(kinds_of(document))


def _dropped(root: Root, absent: Mapping[Digest, AbsentReason], graph: Graph) -> set[Digest]:
    """The manifests below a root of which content is left out with their platform."""
    return {
        descriptor.digest
        for descriptor, manifest in graph.manifests(root.descriptor)
        if any(absent.get(child.digest) is AbsentReason.PLATFORM for child in manifest.children)
    }
