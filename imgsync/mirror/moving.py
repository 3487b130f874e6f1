"""Moving a batch of images: a plan and a push like any other, within what the run may still do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imgsync.errors import BudgetSpent, ImgsyncError, RateLimited
from imgsync.events import Advanced, Copied, Event, Named, Noted
from imgsync.mirror.platforms import narrow
from imgsync.mirror.receipts import ABOUT, PUSHED, Receipt
from imgsync.mirror.summary import ImageOutcome, Status
from imgsync.model.bundle import AbsentReason, Root
from imgsync.model.reference import Reference
from imgsync.pushing.push import plan_push, push
from imgsync.pushing.request import PushItem, PushOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgsync.events import Report
    from imgsync.mirror.limits import Allowance
    from imgsync.mirror.looking import Looked
    from imgsync.mirror.measuring import Measured
    from imgsync.mirror.mounts import Mounts
    from imgsync.mirror.sources import Documents
    from imgsync.mirror.state import State
    from imgsync.model.digest import Digest
    from imgsync.pushing.gate import Gate
    from imgsync.pushing.outcome import Pushed
    from imgsync.pushing.planned import PushPlan
    from imgsync.pushing.targets import OpenTarget
    from imgsync.referrers.choice import ReferrerChoice
    from imgsync.stores import Source
    from imgsync.walk import Graph


@dataclass(slots=True)
class Moved:
    """What came of the batches so far."""

    outcomes: list[ImageOutcome] = field(default_factory=list)
    n_sent: int = 0
    n_sent_bytes: int = 0
    n_mounted: int = 0
    n_extras: int = 0

    def count(self, event: Copied) -> None:
        """An object arrived."""
        if event.how == "mounted":
            self.n_mounted += 1
        else:
            self.n_sent += 1
            self.n_sent_bytes += event.descriptor.size


@dataclass(slots=True)
class Mover:
    """Moves batches; what all of them share.

    Attributes:
        options_of: how to push, for a choice of what is about images.
        gate: asks a Harbor beforehand; None asks nobody.
        learn: called with each image that was looked at in full, and with what is about it.
        write_receipt: called as soon as a tag stands, so that no kill can lose the claim.
    """

    open_source: Callable[[Reference], Source]
    open_target: OpenTarget
    documents: Documents
    mounts: Mounts
    allowance: Allowance
    state: State
    report: Report
    options_of: Callable[[ReferrerChoice], PushOptions]
    gate: Gate | None
    learn: Callable[[Looked, Graph, Sequence[Pushed]], None]
    write_receipt: Callable[[Receipt], None]
    moved: Moved = field(default_factory=Moved)

    def move(self, batch: Sequence[Looked]) -> None:
        """Move these images, as far as the run's limits let it.

        They are of one choice of platforms, and of what comes along.

        Raises:
            BudgetSpent: the run's own limits are reached; what was not finished is left.
        """
        options = self.options_of(batch[0].item.referrers)
        planned, items = self._plan(batch, options)
        if planned is None:
            return
        self.mounts.use(planned)
        if len(items) > 1 and not self._fits(planned.plan.n_bytes):
            # Near the limit, one by one: what fits is moved, what does not is left.
            for _, looked in items:
                self.move([looked])
            return
        by_item = {id(item): looked for item, looked in items}
        if not self._fits(planned.plan.n_bytes):
            self._leave(batch, planned.plan.n_bytes)
            return
        self._push(planned, options, by_item)

    def measure(self, batch: Sequence[Looked], measured: Measured) -> None:
        """Note what moving these images would do, with its bytes; nothing is written.

        Raises:
            BudgetSpent: no further manifest may be read.
        """
        planned, items = self._plan(batch, self.options_of(batch[0].item.referrers))
        if planned is None:
            return
        sizes = measured.add(planned)
        by_item = {id(item): looked for item, looked in items}
        self._note_extras([one for one in planned.pushed if id(one.item) not in by_item], planned)
        for image in planned.pushed:
            looked = by_item.get(id(image.item))
            if looked is not None:
                self._done(looked, image, n_bytes=sizes.get(id(image), 0))

    def _plan(
        self, batch: Sequence[Looked], options: PushOptions
    ) -> tuple[PushPlan | None, list[tuple[PushItem, Looked]]]:
        """What pushing these images would be; None where nothing of them can be planned."""
        items, self.documents.left_out = self._items(batch)
        if not items:
            return None, items
        try:
            planned = plan_push(
                [item for item, _ in items],
                self.open_target,
                options,
                self._quietly,
                gate=self.gate,
            )
        except ImgsyncError as error:
            # It concerns all of them; the other batches may fare better.
            for looked in batch:
                self._end(looked, error)
            return None, items
        return planned, items

    def _items(self, batch: Sequence[Looked]) -> tuple[list[tuple[PushItem, Looked]], set[Digest]]:
        """What to push, and which manifests nobody of the batch wants."""
        items: list[tuple[PushItem, Looked]] = []
        left_out: set[Digest] = set()
        for looked in batch:
            try:
                self.allowance.check()
                item = self._item(looked)
            except ImgsyncError as error:
                self._end(looked, error)
                continue
            items.append((item, looked))
            left_out |= item.absent.keys()
        return items, left_out

    def _item(self, looked: Looked) -> PushItem:
        name = looked.item.source
        source = self.open_source(name)
        root = looked.root or source.resolve(name).descriptor
        looked.root = root
        narrowed = narrow(source, root, looked.item.platforms)
        looked.left_out = narrowed.left_out
        absent: Mapping[Digest, AbsentReason] = dict.fromkeys(
            narrowed.left_out, AbsentReason.PLATFORM
        )
        origin = str(Reference(name.registry, name.repository, name.tag, root.digest))
        return PushItem(
            str(name), Root(looked.item.target, root, origin), looked.item.target, source, absent
        )

    def _fits(self, n_bytes: int) -> bool:
        left = self.allowance.bytes_left
        return left is None or n_bytes <= left

    def _leave(self, batch: Iterable[Looked], n_bytes: int) -> None:
        for looked in batch:
            msg = f"{looked.item.target} needs {n_bytes} bytes, more than the run may still move"
            self._end(looked, BudgetSpent(msg, hint="the next run goes on with it"))

    def _push(self, planned: PushPlan, options: PushOptions, by_item: Mapping[int, Looked]) -> None:
        """Move, and note what came of each image, whatever stops it."""
        named: set[str] = set()
        targets = {str(looked.item.target): looked for looked in by_item.values()}
        about = self._about(planned, by_item)

        def report(event: Event) -> None:
            self.report(event)
            match event:
                case Advanced() if event.n_bytes > 0:
                    self.allowance.add(event.n_bytes)
                    self.allowance.check()
                case Copied():
                    self.moved.count(event)
                    self._receipt_about(about.get((event.where, event.descriptor.digest)))
                case Named():
                    named.add(event.name)
                    if event.name in targets:
                        self._receipt(targets[event.name], event)
                    else:
                        self._receipt_about(about.get((event.name, event.descriptor.digest)))
                case _:
                    pass

        stopped: BaseException | None = None
        try:
            push(planned, options, report)
            self.mounts.learn(planned)
        except BaseException as error:
            stopped = error
            if isinstance(error, BudgetSpent) or not isinstance(error, ImgsyncError):
                raise
        finally:
            extras = [image for image in planned.pushed if id(image.item) not in by_item]
            if stopped is None:
                self._note_extras(extras, planned)
            for image in planned.pushed:
                looked = by_item.get(id(image.item))
                if looked is None:
                    continue
                if stopped is None and image.error is None and not planned.not_found_out:
                    self.learn(looked, planned.graph, extras)
                if stopped is not None and str(image.item.target) not in named:
                    left = stopped if isinstance(stopped, ImgsyncError) else None
                    self._end(looked, left, status=Status.LEFT)
                else:
                    self._done(looked, image)

    def _about(
        self, planned: PushPlan, by_item: Mapping[int, Looked]
    ) -> dict[tuple[str, Digest], Pushed]:
        """What is about the images, by the event that says that it stands there.

        That is its tag, or its arrival in its repository where it has none.
        """
        found = {}
        for image in planned.pushed:
            target = image.item.target
            if id(image.item) not in by_item and image.item.root.subject is not None:
                where = str(target) if target.tag else target.name
                found[where, image.root.descriptor.digest] = image
        return found

    def _receipt_about(self, image: Pushed | None) -> None:
        if image is None:
            return
        target, digest = image.item.target, image.root.descriptor.digest
        place = target.with_tag(target.tag) if target.tag else target.at(digest)
        label = image.item.label
        subject = image.item.root.subject
        self.write_receipt(Receipt(time.time(), ABOUT, place, digest, label, subject=subject))

    def _note_extras(self, extras: Sequence[Pushed], planned: PushPlan) -> None:
        """What came of what is about images: failures, and how many there are."""
        failures = [*planned.not_found_out]
        for image in extras:
            if image.error is not None:
                failures.append((str(image.item.label), image.error))
            elif image.status == "pushed":
                self.moved.n_extras += 1
        self.moved.outcomes += [
            ImageOutcome(label, "", Status.FAILED, error=error) for label, error in failures
        ]

    def _done(self, looked: Looked, image: Pushed, *, n_bytes: int | None = None) -> None:
        if image.error is not None:
            self._end(looked, image.error)
            return
        root = image.root.descriptor
        if looked.root is not None:
            self.state.remember_seen(looked.item.key, looked.root.digest)
            if not looked.item.platforms.is_all:
                platforms = str(looked.item.platforms)
                self.state.remember_rewritten(looked.root.digest, platforms, root.digest)
        status = Status.UNCHANGED
        if image.before is None or image.before.digest != root.digest:
            status = Status.UPDATED if looked.before is not None else Status.NEW
        self._end(looked, None, status=status, digest=str(root.digest), n_bytes=n_bytes)

    def _end(
        self,
        looked: Looked,
        error: ImgsyncError | None,
        *,
        status: Status | None = None,
        digest: str = "",
        n_bytes: int | None = None,
    ) -> None:
        if looked.is_same and isinstance(error, (BudgetSpent, RateLimited)):
            # The image is as it should be; what is about it is looked for another time.
            error, status = None, Status.UNCHANGED
        outcome = outcome_of(looked, error, status=status, digest=digest)
        self.moved.outcomes.append(replace(outcome, n_bytes=n_bytes))

    def _receipt(self, looked: Looked, event: Named) -> None:
        source = looked.item.source
        digest = looked.root.digest if looked.root is not None else event.descriptor.digest
        self.write_receipt(
            Receipt(
                time.time(),
                PUSHED,
                looked.item.target,
                event.descriptor.digest,
                str(replace(source, digest=digest)),
                str(looked.before.digest) if looked.before is not None else "",
            )
        )

    def _quietly(self, event: Event) -> None:
        """Planning repeats what the summary tells; a cron's mail needs it once."""
        if not isinstance(event, Noted) or event.level != "info":
            self.report(event)


def outcome_of(
    looked: Looked, error: ImgsyncError | None, *, status: Status | None = None, digest: str = ""
) -> ImageOutcome:
    """What came of an image; without a status, what its error says."""
    if status is None:
        is_left = isinstance(error, (BudgetSpent, RateLimited))
        status = Status.UNCHANGED if error is None else Status.LEFT if is_left else Status.FAILED
    source_digest = looked.source_digest
    return ImageOutcome(
        str(looked.item.source),
        str(looked.item.target),
        status,
        digest,
        str(source_digest) if source_digest is not None else "",
        str(looked.before.digest) if looked.before is not None else "",
        error,
    )
