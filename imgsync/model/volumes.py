"""Volumes: one bundle on several media, cut between blobs, each of them a bundle by itself.

A volume's lock is the whole bundle's, with the blobs of the other volumes declared absent. All
volumes hold all manifests, so any of them says what the set is made of. Which blob stands in
which volume is a function of the whole lock and the size of a volume: the same on every host, and
known at the far side before the other volumes arrive.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput
from imgsync.model.bundle import AbsentReason
from imgsync.model.lock import Lock, Volume
from imgsync.model.tar_header import header_bytes, padding
from imgsync.model.tar_layout import tar_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest


@dataclass(frozen=True, slots=True)
class VolumePlan:
    """One volume: its lock, and the roots that its ``index.json`` names.

    Attributes:
        is_oversized: it holds a single blob that is larger than a volume.
    """

    lock: Lock
    roots: tuple[Root, ...]
    is_oversized: bool = False

    @property
    def volume(self) -> Volume:
        """Its place in the set."""
        if self.lock.volume is None:
            raise AssertionError
        return self.lock.volume


def whole_lock(lock: Lock) -> Lock:
    """The lock of the whole set that a volume belongs to; of a bundle in one piece, itself."""
    if lock.volume is None:
        return lock
    absent = {digest: why for digest, why in lock.absent.items() if why is not AbsentReason.VOLUME}
    return replace(lock, absent=absent, volume=None)


def split(lock: Lock, size: int) -> tuple[VolumePlan, ...]:
    """Cut a bundle into volumes of at most ``size`` bytes each.

    Images are kept together, those first that need the least, so that most of them are whole
    with as few volumes as possible. A blob larger than a volume goes alone.

    Raises:
        InvalidInput: not even the manifests, which every volume holds, fit.
    """
    blobs = {item.digest for item in lock.present() if not item.is_document}
    room = size - _overhead(lock, blobs, size)
    if room <= 0:
        msg = f"a volume of {size} bytes cannot hold the manifests, which take {size - room} bytes"
        raise InvalidInput(msg, hint="choose larger volumes")
    assigned = _assign(lock, blobs, room)
    contents: list[set[Digest]] = [set() for _ in range(max(assigned.values(), default=0) + 1)]
    for digest, number in assigned.items():
        contents[number].add(digest)
    return tuple(
        _plan(lock, blobs, content, Volume(number + 1, len(contents), size), room)
        for number, content in enumerate(contents)
    )


def volume_numbers(lock: Lock) -> dict[Digest, int]:
    """Which volume of the set holds each blob, from 1; nothing for a bundle in one piece."""
    if lock.volume is None:
        return {}
    return {
        item.digest: plan.volume.number
        for plan in split(whole_lock(lock), lock.volume.size)
        for item in plan.lock.present()
        if not item.is_document
    }


def named_roots(lock: Lock) -> tuple[Root, ...]:
    """The roots that ``index.json`` of this bundle or volume names, as it was made.

    Raises:
        InvalidInput: no volume like this one comes of its set.
    """
    if lock.volume is None:
        return lock.roots
    plans = split(whole_lock(lock), lock.volume.size)
    if lock.volume.of != len(plans) or plans[lock.volume.number - 1].lock != lock:
        msg = f"no volume {lock.volume.number} of {lock.volume.of} comes of this set like this one"
        raise InvalidInput(msg)
    return plans[lock.volume.number - 1].roots


def _plan(
    lock: Lock, blobs: set[Digest], content: set[Digest], volume: Volume, room: int
) -> VolumePlan:
    absent = dict(lock.absent)
    absent.update(dict.fromkeys(blobs - content, AbsentReason.VOLUME))
    roots = tuple(
        root for root in lock.roots if _belongs(lock, root, blobs, content, volume.number)
    )
    return VolumePlan(
        replace(lock, absent=absent, volume=volume),
        roots,
        is_oversized=sum(_cost(lock, digest) for digest in content) > room,
    )


def _belongs(lock: Lock, root: Root, blobs: set[Digest], content: set[Digest], number: int) -> bool:
    """Whether a volume names this root: it holds content of it, or there is none to hold."""
    needed = closure_of(lock, root.descriptor.digest) & blobs
    return bool(needed & content) or (not needed and number == 1)


def closure_of(lock: Lock, root: Digest) -> set[Digest]:
    """Everything below a root, and itself, by the lock alone."""
    seen: set[Digest] = set()
    stack = [root]
    while stack:
        digest = stack.pop()
        if digest not in seen:
            seen.add(digest)
            stack.extend(lock.objects[digest].children or ())
    return seen


def _cost(lock: Lock, digest: Digest) -> int:
    """What a blob takes of the file: header, data, padding."""
    size = lock.objects[digest].size
    name = f"blobs/{digest.algorithm}/{digest.hex}"
    return header_bytes(name, size) + size + padding(size)


def _overhead(lock: Lock, blobs: set[Digest], size: int) -> int:
    """The size of a volume without any blob: the most that all but its blobs can take."""
    absent = {**lock.absent, **dict.fromkeys(blobs, AbsentReason.VOLUME)}
    n_most = len(blobs) + 1
    return tar_layout(replace(lock, absent=absent, volume=Volume(n_most, n_most, size))).size


def _assign(lock: Lock, blobs: set[Digest], room: int) -> dict[Digest, int]:
    """The volume of each blob, from 0."""
    images = _by_root(lock, blobs)
    assigned: dict[Digest, int] = {}
    number, used = 0, 0
    for needed in _smallest_first(lock, images):
        fresh = sorted((digest for digest in needed if digest not in assigned), key=str)
        total = sum(_cost(lock, digest) for digest in fresh)
        if used and used + total > room:
            number, used = number + 1, 0
        for digest in fresh:
            cost = _cost(lock, digest)
            if used and used + cost > room:
                number, used = number + 1, 0
            assigned[digest] = number
            used += cost
    return assigned


def _by_root(lock: Lock, blobs: set[Digest]) -> list[set[Digest]]:
    """What each root needs of the blobs, each root once."""
    roots: Iterable[Digest] = dict.fromkeys(root.descriptor.digest for root in lock.roots)
    return [closure_of(lock, root) & blobs for root in roots]


def _smallest_first(lock: Lock, images: Sequence[set[Digest]]) -> Iterator[set[Digest]]:
    """Images in the order in which each adds the fewest bytes to those before it."""
    users: dict[Digest, list[int]] = {}
    for number, needed in enumerate(images):
        for digest in needed:
            users.setdefault(digest, []).append(number)
    left = [sum(_cost(lock, digest) for digest in needed) for needed in images]
    heap = [(cost, number) for number, cost in enumerate(left)]
    heapq.heapify(heap)
    placed: set[Digest] = set()
    done = [False] * len(images)
    while heap:
        cost, number = heapq.heappop(heap)
        if done[number] or cost != left[number]:
            continue
        done[number] = True
        yield images[number]
        for digest in images[number] - placed:
            placed.add(digest)
            for user in users[digest]:
                left[user] -= _cost(lock, digest)
                if not done[user]:
                    heapq.heappush(heap, (left[user], user))
