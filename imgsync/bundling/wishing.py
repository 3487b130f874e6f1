"""From what a user wished for to requests: every wish gets its store, an archive one each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from imgsync.bundling.request import Request
from imgsync.errors import Conflict, InvalidInput
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.referrers.naming import with_own_name
from imgsync.stores import Holding, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    named = [root for root in bundle.roots if root.name is not None]
    if wish.name is not None and len(bundle.roots) > 1 and wish.source.transport.is_path:
        msg = f"{wish.source} holds {len(bundle.roots)} images, and is given the name {wish.name}"
        hint = f"say which one: {wish.source}:{named[0].name if named else 'NAME'}"
        raise Conflict(msg, hint=hint)
    for root in (with_own_name(root, named) for root in bundle.roots):
        name = wish.name or root.name
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
