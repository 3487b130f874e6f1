"""From what a source holds to what goes where: selection, names, and refusals of bad targets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.documents import reader_of
from imgsync.errors import AllFailed, Conflict, ImgsyncError, InvalidReference, NotFound
from imgsync.model.bundle import AbsentReason
from imgsync.model.reference import Reference
from imgsync.model.volumes import volume_numbers
from imgsync.platforms import absent_of, platforms_of
from imgsync.pushing.request import PushItem, digest_tag
from imgsync.referrers.naming import with_own_name
from imgsync.referrers.places import subject_of, subject_within
from imgsync.stores import Locked
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.model.mapping import Mapping
    from imgsync.model.platform import Platform
    from imgsync.model.selection import Selection
    from imgsync.stores import Holding


def push_items(
    holding: Holding,
    mapping: Mapping,
    selection: Selection,
    tag_template: str,
    *,
    jobs: int = 4,
) -> list[PushItem]:
    """One item for each image that was chosen, with its target; content about images behind them.

    Raises:
        Conflict: without a mapping an image would go back to where it came from, or two images
            would land on one name.
        NotFound: nothing was chosen.
        AllFailed: images have not the platforms that were chosen.
    """
    bundle = holding.bundle()
    roots = [_with_subject(root, bundle.roots, holding) for root in bundle.roots]
    if not roots:
        msg = f"{holding.side} holds no image"
        raise NotFound(msg)
    # Platforms and what content is about need the documents; most pushes need neither.
    graph = Graph()
    platforms: dict[Digest, Platform] = {}
    if not selection.is_all:
        read = reader_of(holding, jobs=jobs)
        walk([root.descriptor for root in roots], read, graph=graph)
        platforms = platforms_of(graph, [root.descriptor for root in roots], read)

    def documents_of(digest: Digest) -> Collection[Digest]:
        closure = graph.closure([graph.descriptors[digest]])
        return [item.digest for item in closure if item.is_document]

    lock = holding.lock() if isinstance(holding, Locked) else None
    volumes = volume_numbers(lock) if lock is not None else {}
    items = []
    unfit: list[tuple[str, ImgsyncError]] = []
    for root in selection.chosen(roots, documents_of, side=holding.side):
        absent = dict(bundle.absent)
        if not selection.choice.is_all and root.subject is None:
            try:
                left_out = absent_of(graph, root.descriptor, selection.choice, platforms)
            except NotFound as error:
                unfit.append((root.label, error))
                continue
            absent.update(dict.fromkeys(left_out, AbsentReason.PLATFORM))
        target = _target(root, mapping, tag_template)
        items.append(PushItem(root.label, root, target, holding, absent, volumes))
    if unfit:
        msg = "not all images have the platforms that were chosen; nothing is pushed"
        raise AllFailed(msg, unfit)
    _check_targets(items, mapping)
    return sorted(items, key=lambda item: item.root.name is None or item.root.subject is not None)


def _with_subject(root: Root, roots: Sequence[Root], holding: Holding) -> Root:
    """A root with what it is about; one without any name is in the repository of its image."""
    subject = subject_of(root, lambda: subject_within(holding, root.descriptor))
    if subject is None:
        return root
    return with_own_name(replace(root, subject=subject), roots)


def _target(root: Root, mapping: Mapping, tag_template: str) -> Reference:
    name = mapping.move(root).full_name
    if name is None:
        has = "only a tag" if root.tag else "no name"
        msg = f"{root.label} has {has}, and a registry needs to know the repository"
        hint = "give it one first: imgsync bundle SOURCE=HOST/REPOSITORY, or imgsync retag"
        raise InvalidReference(msg, hint=hint)
    if root.name is None and root.subject is not None and name.digest is not None:
        # What is about something is found through it, and needs no tag.
        return name.with_tag("")
    if name.tag:
        return name.with_tag(name.tag)
    return name.with_tag(digest_tag(tag_template, root.descriptor.digest))


def _check_targets(items: list[PushItem], mapping: Mapping) -> None:
    taken: dict[Reference, PushItem] = {}
    for item in items:
        if mapping.is_identity and item.root.origin:
            origin = Reference.parse(item.root.origin)
            if origin.registry == item.target.registry:
                msg = f"{item.label} would go back to {origin.registry}, where it came from"
                raise Conflict(msg, hint="say where it goes: --to HOST/PROJECT")
        if not item.target.tag or item.root.subject is not None:
            continue
        other = taken.setdefault(item.target, item)
        if other.root.descriptor.digest != item.root.descriptor.digest:
            msg = f"{other.label} and {item.label} would both become {item.target}"
            raise Conflict(msg, hint="--keep-registry keeps them apart, or a rule of --map")
