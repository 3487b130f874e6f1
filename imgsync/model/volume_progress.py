"""How much of a set of volumes has arrived somewhere. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.model.bundle import AbsentReason
from imgsync.model.volumes import closure_of, volume_numbers

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock


@dataclass(frozen=True, slots=True)
class SetProgress:
    """What a place has of all the images of a set.

    Attributes:
        n_volumes: how many volumes the set has.
        n_images: how many images it has; one under several names is one.
        n_whole: how many of them are there with everything that the set brings, and named.
        needed: the volumes that have what is still missing.
        unnamed: the names in the set of images of which nothing is missing but a name.
    """

    n_volumes: int
    n_images: int
    n_whole: int
    needed: tuple[int, ...]
    unnamed: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether everything is there."""
        return self.n_whole == self.n_images


def set_progress(
    lock: Lock, present: Collection[Digest], named: Collection[Digest]
) -> SetProgress | None:
    """Compare a set with what a place has; None for the lock of a bundle in one piece.

    Args:
        lock: that of any of its volumes.
        present: the content that the place has.
        named: the roots that have a name there.
    """
    if lock.volume is None:
        return None
    numbers = volume_numbers(lock)
    missing: set[Digest] = set()
    unnamed: dict[Digest, str] = {}
    roots = {root.descriptor.digest: root.label for root in lock.images}
    n_whole = 0
    for digest, label in roots.items():
        lost = {item for item in closure_of(lock, digest) if item not in present}
        lost = {item for item in lost if lock.absent.get(item) in (None, AbsentReason.VOLUME)}
        missing |= lost
        if not lost and digest not in named:
            unnamed[digest] = label
        n_whole += not lost and digest in named
    needed = {numbers[item] for item in missing if item in numbers}
    return SetProgress(
        lock.volume.of, len(roots), n_whole, tuple(sorted(needed)), tuple(unnamed.values())
    )
