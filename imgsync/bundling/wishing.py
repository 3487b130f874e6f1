"""From what a user wished for to requests: every wish gets its store, an archive one each image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.bundling.request import Request
from imgsync.errors import Conflict, InvalidInput
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.referrers.naming import with_own_name
from imgsync.stores import Holding, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.image_list import Wish
    from imgsync.model.mapping import Mapping

OpenRepository = Callable[[Reference], Source]
OpenHolding = Callable[[ImageSource], Holding]


def requests_of(
    wishes: Iterable[Wish],
    open_repository: OpenRepository,
    open_holding: OpenHolding,
    choice: PlatformChoice,
    mapping: Mapping,
) -> list[Request]:
    """One request for each image that is wished for, under the name that ``mapping`` gives it.

    ``choice`` is that of the command line; a lock's own stands above an empty one.

    Raises:
        Conflict: one name is given to an archive of several images.
        InvalidInput: an image of an archive has no name, and was given none.
    """
    requests: list[Request] = []
    for wish in wishes:
        if wish.source.transport is Transport.REGISTRY:
            requests.append(_of_registry(wish, open_repository, choice, mapping))
        else:
            requests.extend(_of_holding(wish, open_holding, choice, mapping))
    return requests


def _of_registry(
    wish: Wish, open_repository: OpenRepository, choice: PlatformChoice, mapping: Mapping
) -> Request:
    reference = wish.source.reference
    if reference is None:
        msg = f"{wish.source} names no image"
        raise InvalidInput(msg)
    locked = wish.root
    if locked is not None and choice.is_all:
        choice = PlatformChoice.parse([locked.platforms or "all"])
    extra, subject = "", None
    if locked is not None and locked.name is None:
        extra, subject = mapping.move(locked).extra, locked.subject
    return Request(
        extra or str(reference),
        open_repository(reference),
        reference,
        name=mapping.apply(wish.name) if wish.name is not None else None,
        choice=choice,
        extra=extra,
        subject=subject,
        looks_about=locked is None,
    )


def _of_holding(
    wish: Wish, open_holding: OpenHolding, choice: PlatformChoice, mapping: Mapping
) -> Iterator[Request]:
    holding = open_holding(wish.source)
    bundle = holding.bundle()
    roots = bundle.roots
    if wish.name is not None:
        roots = tuple(_named(wish, wish.name, roots))
    for root in (with_own_name(root, roots) for root in roots):
        name = root.name
        if name is None and not root.extra:
            msg = f"{wish.source}: {root.descriptor.short} has no name"
            raise InvalidInput(msg, hint="give it one: SOURCE=NAME")
        yield Request(
            str(name or root.extra),
            holding,
            root=root,
            name=mapping.apply(name) if name is not None else None,
            choice=choice,
            extra=mapping.move(root).extra if name is None else "",
            subject=root.subject,
            absent=bundle.absent,
        )


def _named(wish: Wish, name: Reference, roots: Sequence[Root]) -> Iterator[Root]:
    """The roots under the name that was given; what is about the image loses its own repository.

    Where the images of a folder or archive have tags and no repository (oras, regctl, skopeo), a
    name without a tag is their repository.
    """
    images = [root for root in roots if root.subject is None]
    keeps_tags = (
        wish.is_repository
        and not wish.source.label
        and all(root.full_name is None and root.tag for root in images)
    )
    if len(images) > 1 and wish.source.transport.is_path and not keeps_tags:
        msg = f"{wish.source} holds {len(images)} images, and is given the name {name}"
        raise Conflict(msg, hint=f"say which one: {_labelled(wish.source, images[0].label)}")
    for root in roots:
        if root.subject is not None:
            yield replace(root, extra=root.tag)
        else:
            yield root.named(name.with_tag(root.tag) if keeps_tags else name)


def _labelled(source: ImageSource, label: str) -> str:
    """One image of a file or folder, as it can be typed."""
    if source.transport is Transport.FILE:
        transport = Transport.LAYOUT if Path(source.path).is_dir() else Transport.OCI_ARCHIVE
        source = replace(source, transport=transport)
    return str(replace(source, label=label))
