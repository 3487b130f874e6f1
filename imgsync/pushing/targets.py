"""The repositories that a push goes to: what their tags mean, what they lack, what they share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from imgsync.errors import AccessDenied, Conflict, ImgsyncError, MissingContent, NotFound
from imgsync.events import Noted, Report
from imgsync.model.bundle import AbsentReason
from imgsync.model.reference import Reference
from imgsync.pushing.request import OnExistingTag
from imgsync.stores import Destination, Mounting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.pushing.outcome import Pushed
    from imgsync.walk import Graph


class PushTarget(Destination, Mounting, Protocol):
    """A repository of a registry, as a destination."""

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The bytes of what is there."""
        ...

    def has_referrers_api(self, subject: Digest) -> bool:
        """Whether the registry lists by itself what is about a digest."""
        ...

    def digest_of_tag(self, tag: str) -> Descriptor | None:
        """What a tag means there now."""
        ...

    def remember(self, descriptor: Descriptor, raw: bytes) -> None:
        """Know a document's bytes, so that a tag can be put on what is there already."""
        ...


OpenTarget = Callable[[Reference], PushTarget]
WhoHas = Callable[["Digest"], "Iterable[str]"]


class Targets:
    """The destinations of a push, each repository once.

    Attributes:
        all: in the order in which the plan numbers them; the last ones may be there only to
            mount from.
        missing: for each, what it lacks.
        mountable: content that no source brings, by destination and digest, with the
            destination that has it.
    """

    def __init__(self, open_target: OpenTarget, jobs: int) -> None:
        """Open repositories with this function."""
        self._open = open_target
        self._jobs = jobs
        self._places: dict[str, int] = {}
        self.all: list[PushTarget] = []
        self.missing: list[set[Digest]] = []
        self.mountable: dict[tuple[int, Digest], int] = {}

    def place_of(self, target: Reference) -> int:
        """The number of this target's repository."""
        place = self._places.setdefault(target.name, len(self.all))
        if place == len(self.all):
            self.all.append(self._open(target))
            self.missing.append(set())
        return place

    def check_tags(
        self,
        images: Sequence[Pushed],
        policy: OnExistingTag,
        report: Report,
        check_moves: Callable[[Sequence[Pushed]], None] | None = None,
    ) -> None:
        """Ask what the tags mean now, and follow the policy where they mean something else.

        ``check_moves`` fails those of the images whose tags may not be moved.

        Raises:
            Conflict: some do, and that is to be an error; all of them are listed.
        """
        with ThreadPoolExecutor(self._jobs, "tags") as pool:
            list(pool.map(self._ask_tag, images))
        others = [
            image
            for image in images
            if image.before is not None and image.before.digest != image.root.descriptor.digest
        ]
        if others and policy is OnExistingTag.ERROR:
            lines = "\n".join(f"  {_move(image)}" for image in others)
            msg = f"tags stand at the destination with other content:\n{lines}"
            raise Conflict(msg, hint="--on-existing-tag overwrite replaces them, skip leaves them")
        if others and policy is OnExistingTag.OVERWRITE and check_moves is not None:
            check_moves(others)
        for image in others:
            if policy is OnExistingTag.SKIP:
                image.status = "skipped"
            elif image.error is None:
                report(Noted(f"replacing {_move(image)}"))

    def check_content(self, images: Sequence[Pushed], graph: Graph, who_has: WhoHas) -> None:
        """Ask what is missing, and settle for each image what its source relies on.

        ``who_has`` names repositories of the registry that are said to have a digest.
        """
        by_place: dict[int, list[Pushed]] = {}
        for image in images:
            by_place.setdefault(self.place_of(image.item.target), []).append(image)

        def ask(entry: tuple[int, list[Pushed]]) -> None:
            place, here = entry
            closure = list(graph.closure(image.root.descriptor for image in here))
            try:
                self.missing[place] = self.all[place].missing(closure)
            except ImgsyncError as error:
                for image in here:
                    image.fail(error)

        with ThreadPoolExecutor(self._jobs, "missing") as pool:
            list(pool.map(ask, by_place.items()))
        for image in images:
            if image.expected and image.error is None:
                self._settle(image, graph, who_has)

    def _ask_tag(self, image: Pushed) -> None:
        target = image.item.target
        if target.tag:
            try:
                image.before = self.all[self.place_of(target)].digest_of_tag(target.tag)
            except ImgsyncError as error:
                image.fail(error)

    def _settle(self, image: Pushed, graph: Graph, who_has: WhoHas) -> None:
        place = self.place_of(image.item.target)
        waiting = []
        for digest in sorted(image.expected.keys() & self.missing[place], key=str):
            descriptor = graph.descriptors[digest]
            holder = self._holder(place, descriptor, image.item.target, who_has)
            if holder is not None:
                self.mountable[place, digest] = holder
            elif image.expected[digest] is AbsentReason.VOLUME:
                waiting.append(descriptor)
            else:
                msg = (
                    f"{image.item.label}: its bundle relies on {descriptor.short} at "
                    f"{image.item.target.name}, which does not have it"
                )
                hint = "bundle it again with a fresh inventory, or without --have"
                image.fail(MissingContent(msg, hint=hint))
                return
        if waiting:
            image.status, image.waiting_for = "waiting", tuple(waiting)

    def _holder(
        self, place: int, descriptor: Descriptor, target: Reference, who_has: WhoHas
    ) -> int | None:
        """A destination of the same registry that has this content."""
        me = self.all[place]
        for number, other in enumerate(self.all):
            is_near = number != place and other.mounts_with == me.mounts_with
            if is_near and _has(other, descriptor):
                return number
        for repository in who_has(descriptor.digest):
            number = self.place_of(Reference(target.registry, repository, "x"))
            if number != place and _has(self.all[number], descriptor):
                return number
        return None


def _has(target: PushTarget, descriptor: Descriptor) -> bool:
    """Whether content can be mounted from there; what we may not read is as good as empty."""
    try:
        return not target.missing([descriptor])
    except (AccessDenied, NotFound):
        return False


def _move(image: Pushed) -> str:
    before = image.before.digest.short if image.before is not None else "nothing"
    return f"{image.item.target}: {before} -> {image.root.descriptor.digest.short}"
