"""The differences between two `Contents`: images, platforms, layers and bytes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from imgsync.comparing.contents import Contents, ImageContents, PlatformContents
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest


class Change(StrEnum):
    """What happened to an image or a platform between the first and the second."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    """The same root under another name."""
    MOVED = "moved"
    """The same name, and another digest."""
    PLATFORMS = "platforms"
    """The same root, and not the same content of it is there."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Some objects, each counted once."""

    n_objects: int = 0
    n_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """A layer of one platform. ``is_new``: the first thing has it in none of its images."""

    change: Change
    layer: Descriptor
    is_new: bool


@dataclass(frozen=True, slots=True)
class PlatformDiff:
    """One platform of one image; ``change`` is added, removed, moved or same."""

    name: str
    change: Change
    before: PlatformContents | None
    after: PlatformContents | None
    layers: tuple[LayerDiff, ...]

    @property
    def is_config_only(self) -> bool:
        """Whether it runs on the same files as before, and is told something else."""
        return self.change is Change.MOVED and all(
            item.change is Change.SAME for item in self.layers
        )


@dataclass(frozen=True, slots=True)
class ImageDiff:
    """One image.

    Attributes:
        name: in the second thing; in the first, where it was removed.
        old_name: where it was renamed, what it was called.
        new: what it needs and the first thing does not have, for whichever image.
        gone: of a removed image, or of what it was before, what the second does not have.
    """

    change: Change
    name: str
    before: ImageContents | None
    after: ImageContents | None
    platforms: tuple[PlatformDiff, ...]
    new: Amount
    gone: Amount
    old_name: str = ""


@dataclass(frozen=True, slots=True)
class Differences:
    """Everything that differs, and how much is the same.

    Attributes:
        images: by name, those that are the same included.
        new: objects that only the second has.
        shared: objects that both have.
        gone: objects that only the first has.
    """

    first: str
    second: str
    images: tuple[ImageDiff, ...]
    new: Amount
    shared: Amount
    gone: Amount

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not self.new.n_objects + self.gone.n_objects and not self.changed

    @property
    def changed(self) -> tuple[ImageDiff, ...]:
        """The images that differ."""
        return tuple(image for image in self.images if image.change is not Change.SAME)

    def count(self, change: Change) -> int:
        """How many images changed in this way."""
        return sum(image.change is change for image in self.images)


def differences(first: Contents, second: Contents) -> Differences:
    """Compare; what is only in ``second`` is new."""
    renamed = _renamed(first, second)
    old_names = set(renamed.values())
    images: list[ImageDiff] = []
    for name in sorted(first.images.keys() | second.images.keys()):
        if name in old_names:
            continue
        old_name = renamed.get(name, "")
        before, after = first.images.get(old_name or name), second.images.get(name)
        images.append(
            ImageDiff(
                Change.RENAMED if old_name else _change(before, after),
                name,
                before,
                after,
                tuple(_platforms(before, after, first.sizes)),
                _only(after, second.sizes, first.sizes),
                _only(before, first.sizes, second.sizes),
                old_name,
            )
        )
    return Differences(
        first.label,
        second.label,
        tuple(images),
        _amount(second.sizes.keys() - first.sizes.keys(), second.sizes),
        _amount(second.sizes.keys() & first.sizes.keys(), second.sizes),
        _amount(first.sizes.keys() - second.sizes.keys(), first.sizes),
    )


def _renamed(first: Contents, second: Contents) -> dict[str, str]:
    """New names, each with an old one that meant the same content and is gone."""
    by_root: dict[Digest, list[str]] = {}
    for name in sorted(first.images.keys() - second.images.keys(), reverse=True):
        by_root.setdefault(first.images[name].root.digest, []).append(name)
    renamed: dict[str, str] = {}
    for name in sorted(second.images.keys() - first.images.keys()):
        before = by_root.get(second.images[name].root.digest)
        if before and first.images[before[-1]].objects == second.images[name].objects:
            renamed[name] = before.pop()
    return renamed


def _change(before: ImageContents | None, after: ImageContents | None) -> Change:
    if before is None or after is None:
        return Change.ADDED if before is None else Change.REMOVED
    if before.root.digest != after.root.digest:
        return Change.MOVED
    return Change.SAME if before.objects == after.objects else Change.PLATFORMS


def _platforms(
    before: ImageContents | None, after: ImageContents | None, known: Collection[Digest]
) -> Iterator[PlatformDiff]:
    old = before.platforms if before is not None else {}
    new = after.platforms if after is not None else {}
    for name in dict.fromkeys((*new, *old)):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            change = Change.ADDED if one is None else Change.REMOVED
        else:
            is_same = one.manifest.digest == other.manifest.digest
            change = Change.SAME if is_same else Change.MOVED
        yield PlatformDiff(name, change, one, other, tuple(_layers(one, other, known)))


def _layers(
    before: PlatformContents | None, after: PlatformContents | None, known: Collection[Digest]
) -> Iterator[LayerDiff]:
    """In the order of the layers, lowest first; what went stands before what came instead."""
    old = before.layers if before is not None else ()
    new = after.layers if after is not None else ()
    matcher = SequenceMatcher(
        None, [item.digest for item in old], [item.digest for item in new], autojunk=False
    )
    for what, old_from, old_to, new_from, new_to in matcher.get_opcodes():
        if what == "equal":
            yield from (LayerDiff(Change.SAME, item, False) for item in new[new_from:new_to])
            continue
        yield from (LayerDiff(Change.REMOVED, item, False) for item in old[old_from:old_to])
        for item in new[new_from:new_to]:
            yield LayerDiff(Change.ADDED, item, item.digest not in known)


def _only(
    image: ImageContents | None, sizes: Mapping[Digest, int], other: Collection[Digest]
) -> Amount:
    own = image.objects if image is not None else frozenset()
    return _amount({digest for digest in own if digest not in other}, sizes)


def _amount(digests: Collection[Digest], sizes: Mapping[Digest, int]) -> Amount:
    return Amount(len(digests), sum(sizes[digest] for digest in digests))
