"""The whole of an import: what ``imgsync import`` runs. Proved before, and proved afterwards.

Truth is read three times: before anything moves, when everything came, and once more after a
forced garbage collection. Content that nothing holds is there at first and gone minutes later (a
default ``ctr images import`` leaves such); whoever looks once is told that all is well.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from imgsync.completeness import completeness
from imgsync.errors import ContainerdError, IncompleteImport
from imgsync.events import Advanced, Copied, Event, Named, Noted, Report
from imgsync.stores.containerd.anchors import Anchors, is_anchor
from imgsync.stores.containerd.carrying import SMALL_BYTES, Carrying, lost_error
from imgsync.stores.containerd.images import PINNED
from imgsync.stores.containerd.import_plan import ImportPlan
from imgsync.stores.containerd.import_request import (
    Carrier,
    Imported,
    ImportOptions,
    ImportResult,
)
from imgsync.stores.containerd.loopback import Serve, serving
from imgsync.stores.containerd.namespace import is_cri_record
from imgsync.stores.containerd.room import check_room
from imgsync.stores.containerd.sources import label_sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.model.bundle import AbsentReason, Root
    from imgsync.model.digest import Digest
    from imgsync.stores import Source
    from imgsync.stores.containerd.namespace import Containerd
    from imgsync.stores.containerd.stream import Send
    from imgsync.stores.containerd.wanted import Wanted
    from imgsync.walk import Graph

_NAMES_AT_ONCE: Final = 100
"""To a node they go in one argument of ssh, which may have 128 KiB."""


def import_images(
    containerd: Containerd,
    roots: Sequence[Root],
    graph: Graph,
    source: Source,
    options: ImportOptions,
    report: Report,
    *,
    absent: Mapping[Digest, AbsentReason] | None = None,
    serve: Serve | None = None,
    send: Send | None = None,
) -> ImportResult:
    """Load the roots that have names under these names, and prove that they are there.

    ``graph`` is the walk of the roots in the source, and ``absent`` what the source declares to
    be left out. One failing image stops no other. An image of which other volumes have a part gets
    no name; what came of it stays until they come. ``serve`` says how a ``ctr`` that is elsewhere
    reaches us; without it, everything is sent there as a stream. ``send`` is another way for that
    stream, by which bytes come that we do not see.

    Raises:
        LockHeld: another run works on the namespace.
        Conflict: a name stands with another digest, and that is to be an error; before any write.
        NoSpace: not all of it can be kept; before any write, where that can be known.
        ContainerdError: containerd cannot be asked.
    """
    with containerd.locked(report):
        plan = ImportPlan(containerd, roots, graph, source, options, absent or {})
        return _Import(containerd, plan, source, options, report, serve, send).run()


class _Import:
    def __init__(
        self,
        containerd: Containerd,
        plan: ImportPlan,
        source: Source,
        options: ImportOptions,
        report: Report,
        serve: Serve | None,
        send: Send | None,
    ) -> None:
        self._serve = serve
        self._send = send
        self._containerd = containerd
        self._plan = plan
        self._source = source
        self._options = options
        self._report_unlocked = report
        self._report_lock = threading.Lock()
        self._moved: dict[Digest, int] = {}
        self._pinned: set[str] = set()
        self._named: set[Digest] = set()
        self._anchors = Anchors(containerd, plan.records)

    def run(self) -> ImportResult:
        plan = self._plan
        plan.tell(self._report)
        moving = plan.moving
        unchanged = {wanted for wanted in moving if plan.is_there(wanted)}
        with ExitStack() as stack:
            carrying = self._carrying(stack)
            to_load = [wanted for wanted in moving if wanted not in unchanged]
            check_room(self._containerd, plan.coming, plan.present, self._report)
            # What has come outlives a run that is killed, where it would cost to bring it again.
            if plan.is_volume or sum(item.carried_bytes for item in to_load) >= SMALL_BYTES:
                self._anchors.hold([wanted for wanted in to_load if wanted.has_blobs])
            carrying.load(to_load)
            self._prove(moving)
            again = [wanted for wanted in moving if isinstance(wanted.error, ContainerdError)]
            if again:
                unchanged.difference_update(again)
                plan.look_again(again, self._report)
                # What one carrier cannot do, the other may.
                carrying.load([item for item in again if item.error is None], by_stream=True)
                self._prove(moving)
        self._forget_half()
        for wanted in moving:
            if wanted.error is None:
                self._tell_copied(wanted)
                if not wanted.waits:
                    self._finish(wanted, is_new=wanted not in unchanged)
        self._forget_helping(moving)
        if self._options.sources:
            self._label_sources(moving)
        return ImportResult(
            tuple(self._result(wanted, is_new=wanted not in unchanged) for wanted in plan.wanted),
            len(self._moved),
            sum(self._moved.values()),
            plan.present,
            self._named,
        )

    def _carrying(self, stack: ExitStack) -> Carrying:
        loopback = None
        serve = self._serve or (None if self._containerd.ctr.is_elsewhere else serving)
        if self._options.carrier is not Carrier.STREAM and serve is not None:
            catalog = self._plan.catalog()
            loopback = stack.enter_context(
                serve(self._containerd, self._source, catalog, self._report)
            )
        self._plan.narrow(self._plan.wanted, by_stream=loopback is None)
        return Carrying(
            self._containerd,
            self._source,
            loopback,
            self._report,
            jobs=self._options.jobs,
            # What is fetched has its labels at once, not only in the end.
            always_fetch=self._options.carrier is Carrier.LOOPBACK or self._options.sources,
            adopt_bytes=self._options.adopt_bytes,
            send=self._send,
        )

    def _prove(self, moving: Sequence[Wanted]) -> None:
        """Walk, collect garbage, walk again; and every name means what it must."""
        self._walk(moving)
        self._anchors.release(moving)
        self._containerd.content.collect_garbage()
        self._walk(moving)
        records = self._containerd.images.all()
        self._named = {
            record.digest
            for name, record in records.items()
            if not is_anchor(name) and not is_cri_record(name)
        }
        self._pinned = {
            name for name, record in records.items() if PINNED.items() <= record.labels.items()
        }
        for wanted in moving:
            for name in self._plan.kept_names(wanted) if not wanted.waits else ():
                is_right = name in records and records[name].digest == wanted.root.digest
                if wanted.error is None and not is_right:
                    msg = f"{self._containerd.side}: {name} does not mean {wanted.root.digest}"
                    wanted.error = IncompleteImport(msg)

    def _walk(self, moving: Sequence[Wanted]) -> None:
        present = self._plan.present = self._containerd.content.digests()
        for wanted in moving:
            wanted.error = wanted.error or lost_error(wanted, present, self._containerd.side)

    def _forget_half(self) -> None:
        """Remove records that a failed import left (1.x does): they look like images."""
        failed = [wanted for wanted in self._plan.wanted if wanted.error is not None]
        if not failed:
            return
        records = self._containerd.images.all()
        half = [
            name
            for wanted in failed
            if lost_error(wanted, self._plan.present, self._containerd.side) is not None
            for name in (*wanted.names, *wanted.twins)
            if name in records
            and records[name].digest == wanted.root.digest
            and name not in self._plan.records
        ]
        if half:
            self._containerd.images.remove(*half)
            self._containerd.content.collect_garbage()
            self._plan.present = self._containerd.content.digests()

    def _finish(self, wanted: Wanted, *, is_new: bool) -> None:
        """What an image gets beside content and names. It is there, whatever fails here."""
        images = self._containerd.images
        try:
            for name in self._plan.kept_names(wanted) if self._options.pin else ():
                if name not in self._pinned:
                    images.label(name, PINNED)
            if self._options.unpack:
                self._containerd.unpack(wanted.root.digest)
        except ContainerdError as error:
            self._report(Noted(f"{wanted.label} is there, but: {error.message}", "warning"))
        before = self._plan.others(wanted)
        for name in wanted.names if is_new else ():
            self._report(Named(name, wanted.root, str(before.get(name, ""))))

    def _forget_helping(self, moving: Sequence[Wanted]) -> None:
        """Remove the records that were there only to load images, many with one command."""
        named = [wanted for wanted in moving if wanted.error is None and not wanted.waits]
        helping = [name for wanted in named for name in self._plan.helping_names(wanted)]
        try:
            for start in range(0, len(helping), _NAMES_AT_ONCE):
                self._containerd.images.remove(*helping[start : start + _NAMES_AT_ONCE])
        except ContainerdError as error:
            self._report(Noted(f"all is there, but: {error.message}", "warning"))

    def _label_sources(self, moving: Sequence[Wanted]) -> None:
        named = [wanted for wanted in moving if wanted.error is None and not wanted.waits]
        try:
            label_sources(
                self._containerd,
                [
                    (self._plan.kept_names(wanted), [item.digest for item in wanted.closure])
                    for wanted in named
                ],
            )
        except ContainerdError as error:
            self._report(Noted(f"not all is labelled with its source: {error.message}", "warning"))

    def _tell_copied(self, wanted: Wanted) -> None:
        for item in wanted.carried:
            how = "sent" if item.digest in self._moved else "adopted"
            self._report(Copied(item, self._containerd.side, how))

    def _result(self, wanted: Wanted, *, is_new: bool) -> Imported:
        state = completeness(
            self._plan.graph,
            wanted.root,
            lambda item: item.digest in self._plan.present,
            platforms=self._plan.platforms,
        )
        own = state.for_host(self._options.node)
        status = "imported" if is_new else "unchanged"
        if wanted.waits:
            status = "waiting"
        return Imported(
            self._plan.kept_names(wanted),
            wanted.root,
            "failed" if wanted.error is not None else status,
            self._plan.others(wanted),
            state,
            own is not None and own.is_whole and not wanted.waits,
            wanted.error,
            wanted.waiting_for,
        )

    def _report(self, event: Event) -> None:
        with self._report_lock:
            if isinstance(event, Advanced):
                digest = event.descriptor.digest
                self._moved[digest] = self._moved.get(digest, 0) + event.n_bytes
            self._report_unlocked(event)
