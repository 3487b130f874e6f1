"""From a source and its tags to images, each with the one place that it goes to. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgsync.errors import Conflict, ImgsyncError
from imgsync.mirror.names import with_tag
from imgsync.pushing.request import DIGEST_TAG, digest_tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.mirror.config import MirrorSource
    from imgsync.model.platform import PlatformChoice
    from imgsync.model.reference import Reference
    from imgsync.referrers.choice import ReferrerChoice


@dataclass(frozen=True, slots=True)
class MirrorItem:
    """One image.

    Attributes:
        source: with its tag, its digest, or both; the digest says what is meant.
        target: with a tag, and without a digest.
        where: the place in the config, for messages.
    """

    source: Reference
    target: Reference
    platforms: PlatformChoice
    referrers: ReferrerChoice
    where: str

    @property
    def key(self) -> str:
        """Source and target as the state knows them."""
        return f"{self.source} {self.target}"


@dataclass(frozen=True, slots=True)
class Unplaced:
    """An image that is asked for and has no place to go to."""

    source: Reference
    error: ImgsyncError


def item_of(source: MirrorSource, tag: str, *, is_elsewhere: bool = False) -> MirrorItem:
    """The image of a tag that was chosen; ``is_elsewhere`` if it goes to no registry.

    Raises:
        InvalidReference, Conflict: its target is no name, or it is where it came from.
    """
    image = with_tag(source.repository, tag)
    target = _target(source, image)
    if not is_elsewhere and target.name == image.name and target.tag == image.tag:
        msg = f"{source.place}: {image} would go to where it is"
        raise Conflict(msg, hint="--to HOST/PROJECT, or to: in the config")
    return MirrorItem(image, target, source.platforms, source.referrers, str(source.place))


def _target(source: MirrorSource, image: Reference) -> Reference:
    if source.target is not None:
        named = replace(source.target, tag=source.target.tag or image.tag, digest=None)
    else:
        name = source.name or image
        moved = source.mapping.apply(replace(name, tag=name.tag or image.tag, digest=image.digest))
        named = replace(moved, digest=None)
    if not named.tag and image.digest is not None:
        # A registry drops what has no tag.
        return named.with_tag(digest_tag(DIGEST_TAG, image.digest))
    return named


def items_of(
    chosen: Iterable[tuple[MirrorSource, Iterable[str]]], *, is_elsewhere: bool = False
) -> tuple[list[MirrorItem], list[Unplaced]]:
    """All images, each target once, in the order in which they were asked for.

    Where two sources would go to one target, the first one does, and the other is told; which
    tags a pattern selects is not known before the registry is asked.
    """
    items: dict[Reference, MirrorItem] = {}
    unplaced: list[Unplaced] = []
    for source, tags in chosen:
        for tag in tags:
            try:
                item = item_of(source, tag, is_elsewhere=is_elsewhere)
                other = items.setdefault(item.target, item)
                if (other.source, other.platforms) != (item.source, item.platforms):
                    msg = (
                        f"{other.source} ({other.where}) and {item.source} ({item.where}) would "
                        f"both become {item.target}"
                    )
                    raise Conflict(msg, hint="keep-registry keeps them apart, or a rule in map")
            except ImgsyncError as error:
                unplaced.append(Unplaced(with_tag(source.repository, tag), error))
    return list(items.values()), unplaced
