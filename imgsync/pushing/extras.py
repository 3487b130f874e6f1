"""What is pushed beside the images: that which is about them, from the source or a bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.events import Noted, Report
from imgsync.model.bundle import AbsentReason
from imgsync.pushing.outcome import LEFT_OUT
from imgsync.pushing.request import PushItem
from imgsync.referrers.choice import kinds_of
from imgsync.referrers.collecting import Collected, Collector, Extra, Subject, documents_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imgsync.model.digest import Digest
    from imgsync.pushing.outcome import Pushed
    from imgsync.walk import Graph


def chosen(pushed: Sequence[Pushed], graph: Graph, collector: Collector) -> list[Pushed]:
    """The images, and of what came with them what was chosen."""
    return [image for image in pushed if not is_extra(image) or _is_chosen(image, graph, collector)]


def _is_chosen(image: Pushed, graph: Graph, collector: Collector) -> bool:
    document = graph.documents.get(image.root.descriptor.digest)
    return document is None or collector.choice.wants(kinds_of(document))


def collect(
    pushed: Sequence[Pushed],
    graph: Graph,
    collector: Collector,
    walk_more: Callable[[Sequence[Extra]], Graph],
) -> Collected:
    """What the sources have about the images, named as it is named at the destinations."""
    return collector.collect(_subjects(pushed, graph), walk_more)


def item_of(extra: Extra) -> PushItem:
    """Something that was found, with where it goes: by its tag, or by its digest alone."""
    name = extra.name
    return PushItem(extra.root.extra, extra.root, name.with_tag(name.tag), extra.source)


def _subjects(pushed: Sequence[Pushed], graph: Graph) -> Iterator[Subject]:
    for number, image in enumerate(pushed):
        if image.error is not None:
            continue
        item = image.item
        dropped = {
            descriptor.digest
            for descriptor, manifest in graph.manifests(item.root.descriptor)
            if any(
                item.absent.get(part.digest) is AbsentReason.PLATFORM for part in manifest.children
            )
        }
        for digest in documents_of(graph, item.root):
            if digest not in dropped and item.absent.get(digest) is not AbsentReason.PLATFORM:
                yield Subject(digest, item.source, item.target, number)


def beside_their_images(pushed: Sequence[Pushed], graph: Graph) -> None:
    """Let what is about an image go to the repository that the image goes to.

    A rule for names may not match what has no name of its own; what is about an image is found
    in the repository of the image only.
    """
    holders: dict[Digest, list[Pushed]] = {}
    extras = [image for image in pushed if is_extra(image)]
    for image in pushed:
        if not is_extra(image):
            for digest in documents_of(graph, image.item.root):
                holders.setdefault(digest, []).append(image)
    while extras:
        placed = [extra for extra in extras if extra.item.root.subject in holders]
        if not placed:
            return
        for extra in placed:
            subject = extra.item.root.subject
            holder = _nearest(extra, holders[subject]) if subject is not None else extra
            target = holder.item.target.with_tag(extra.item.target.tag)
            extra.item = replace(extra.item, target=target)
            for digest in documents_of(graph, extra.item.root):
                holders.setdefault(digest, []).append(extra)
        done = {id(extra) for extra in placed}
        extras = [extra for extra in extras if id(extra) not in done]


def _nearest(extra: Pushed, holders: Sequence[Pushed]) -> Pushed:
    """Of several images with the same content the one that it came with."""
    repository = _repository(extra)
    return next((image for image in holders if _repository(image) == repository), holders[0])


def _repository(image: Pushed) -> str:
    name = image.item.root.full_name
    return name.name if name is not None else ""


def is_extra(image: Pushed) -> bool:
    """Whether it is about something else."""
    return image.item.root.subject is not None


def each_once(pushed: Sequence[Pushed], report: Report) -> list[Pushed]:
    """Nothing about an image twice, and no tag of it with two meanings: the first one stays."""
    taken: dict[tuple[str, str], Pushed] = {}
    kept = []
    for image in pushed:
        target, digest = image.item.target, image.root.descriptor.digest
        other = taken.setdefault((target.name, target.tag or str(digest)), image)
        if other is image or not is_extra(image):
            kept.append(image)
        elif other.root.descriptor.digest != digest:
            message = f"{image.item.label} is left out: {target} is {other.item.label} already"
            report(Noted(message, "warning"))
    return kept


def after_their_subjects(pushed: Sequence[Pushed], graph: Graph) -> list[Pushed]:
    """The images as they come, then what is about them, then what is about that."""
    ordered = [image for image in pushed if not is_extra(image)]
    waiting = [image for image in pushed if is_extra(image)]
    while waiting:
        still = {digest for image in waiting for digest in documents_of(graph, image.root)}
        ready = [image for image in waiting if image.item.root.subject not in still] or waiting
        ordered.extend(ready)
        done = {id(image) for image in ready}
        waiting = [image for image in waiting if id(image) not in done]
    return ordered


def leave_out_orphans(pushed: Sequence[Pushed], graph: Graph, report: Report) -> None:
    """Leave out what is about content that does not come to be there, and name it.

    That is the old digest of an index that was rewritten, the platforms that it lost, and images
    that failed or were skipped. What is about content of which this push knows nothing goes.
    """
    images = [image for image in pushed if not is_extra(image)]
    extras = [image for image in pushed if is_extra(image) and image.error is None]
    coming = [image for image in images if image.error is None and image.status != "skipped"]
    gone: dict[str, set[Digest]] = {}
    for image in images:
        gone.setdefault(image.item.target.name, set()).update(documents_of(graph, image.item.root))
    while True:
        there: dict[str, set[Digest]] = {}
        for image in (*coming, *extras):
            there.setdefault(image.item.target.name, set()).update(documents_of(graph, image.root))
        kept = []
        for image in extras:
            place, subject = image.item.target.name, image.item.root.subject
            if subject in there.get(place, ()) or subject not in gone.get(place, ()):
                kept.append(image)
                continue
            gone[place].update(documents_of(graph, image.root))
            image.status = LEFT_OUT
            about = subject.short if subject is not None else ""
            label = image.item.label
            report(Noted(f"{label} is left out: it is about {about}, which is not pushed"))
        if len(kept) == len(extras):
            return
        extras = kept
