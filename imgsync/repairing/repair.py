"""Repair, not redo: only what is bad is fetched, from where it came or from whoever has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.events import Noted, Report
from imgsync.model.reference import Reference
from imgsync.model.volumes import closure_of
from imgsync.plan import Plan, Step
from imgsync.repairing.damaged import DamagedBundle
from imgsync.repairing.request import RepairRequest, WantedImage
from imgsync.stores import Source
from imgsync.transfer import run
from imgsync.walk import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.tar_layout import Member

OpenRepository = Callable[[Reference], Source]


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a bundle: members with a wrong byte, and the end of the file."""

    members: tuple[Member, ...]
    has_bad_end: bool

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that have to come from elsewhere; the lock is in our hands."""
        return tuple(
            member.descriptor
            for member in self.members
            if member.descriptor is not None and member.data is None
        )

    @property
    def is_none(self) -> bool:
        """Whether every byte is right."""
        return not self.members and not self.has_bad_end


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair found, healed, and could not heal (with the images that need it)."""

    damage: Damage
    healed: tuple[Descriptor, ...]
    left: tuple[tuple[Descriptor, tuple[str, ...]], ...]
    names_lost: bool


def damage_of(bundle: DamagedBundle) -> Damage:
    """Look at every byte of the bundle once."""
    return Damage(tuple(bundle.bad_members()), not bundle.has_good_end)


def repair(
    bundle: DamagedBundle,
    helpers: Sequence[Source],
    open_repository: OpenRepository | None,
    report: Report,
    *,
    jobs: int = 4,
    retries: int = 3,
) -> Repaired:
    """Heal a bundle in place, from ``helpers`` first, then from the origins in its lock.

    Killed at any moment, the same call again finds less to do: right bytes are written into their
    places, nothing else is touched. What no source has stays bad and is told.
    """
    damage = damage_of(bundle)
    if damage.is_none:
        return Repaired(damage, (), (), bundle.names_lost)
    if bundle.names_lost:
        report(
            Noted(
                f"{bundle.side}: names that were given after the bundle was made are lost; "
                "those of its lock are written",
                "warning",
            )
        )
    sources: list[Source] = list(helpers)
    origins = _origins(bundle.lock, damage.blobs, sources, open_repository)
    steps = tuple(
        Step(item, 0, (*range(len(helpers)), *origins.get(item.digest, ())))
        for item in damage.blobs
    )
    plan = Plan((), Graph(), (), steps, ())
    run(plan, sources, [bundle], report, jobs=jobs, retries=retries)
    bundle.write_own(damage.members)
    bundle.sync()
    users = Users(bundle.lock)
    return Repaired(
        damage,
        tuple(item for item in damage.blobs if item.digest in bundle.healed),
        tuple(
            (item, users.of(item.digest))
            for item in damage.blobs
            if item.digest not in bundle.healed
        ),
        bundle.names_lost,
    )


def request_of(bundle: DamagedBundle, damage: Damage) -> RepairRequest:
    """What to ask the other side for.

    Raises:
        InvalidInput: an image with damage came from no registry, so that nobody can be asked.
    """
    bad = {item.digest for item in damage.blobs}
    images = []
    for root in bundle.lock.roots:
        if closure_of(bundle.lock, root.descriptor.digest) & bad:
            if not root.origin:
                msg = f"{root.label} came from a file or a daemon; its lock cannot say where"
                raise InvalidInput(msg, hint="heal it with repair --from THAT_FILE")
            images.append(WantedImage(root.label, root.origin))
    lock = bundle.lock.descriptor().digest
    return RepairRequest(lock, tuple(sorted(bad, key=str)), tuple(images))


class Users:
    """Which images of a lock need an object."""

    def __init__(self, lock: Lock) -> None:
        """Compute the closure of each root once."""
        self._closures: list[tuple[Root, set[Digest]]] = [
            (root, closure_of(lock, root.descriptor.digest)) for root in lock.roots
        ]

    def of(self, digest: Digest) -> tuple[str, ...]:
        """Their labels, in the order of the lock."""
        return tuple(root.label for root, closure in self._closures if digest in closure)


def _origins(
    lock: Lock,
    blobs: Sequence[Descriptor],
    sources: list[Source],
    open_repository: OpenRepository | None,
) -> dict[Digest, tuple[int, ...]]:
    """For each blob the sources that are its images' origins; new ones go into ``sources``."""
    origins: dict[Digest, tuple[int, ...]] = {}
    if open_repository is None:
        return origins
    numbers: dict[str, int] = {}
    bad = {item.digest for item in blobs}
    for root in lock.roots:
        needed = closure_of(lock, root.descriptor.digest) & bad
        if not needed or not root.origin:
            continue
        try:
            reference = Reference.parse(root.origin)
            number = numbers.get(reference.name)
            if number is None:
                number = numbers[reference.name] = len(sources)
                sources.append(open_repository(reference))
        except ImgsyncError:
            continue
        for digest in needed:
            origins[digest] = (*origins.get(digest, ()), number)
    return origins
