"""The whole of an import: what ``imgsync import`` runs. Proved before, and proved afterwards.

Truth is read three times: before anything moves, when everything came, and once more after a
forced garbage collection. Content that nothing holds is there at first and gone minutes later (a
default ``ctr images import`` leaves such); whoever looks once is told that all is well.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from imgsync.completeness import completeness
from imgsync.documents import DocumentReader, KeptDocuments
from imgsync.errors import Conflict, ContainerdError, IncompleteImport
from imgsync.events import (
    Advanced,
    Copied,
    Event,
    Named,
    Noted,
    Planned,
    Report,
    Retried,
)
from imgsync.platforms import platforms_of
from imgsync.serve.catalog import Catalog
from imgsync.stores import Listing
from imgsync.stores.containerd.carrying import Carrying, lost_error
from imgsync.stores.containerd.images import PINNED
from imgsync.stores.containerd.import_request import (
    Carrier,
    Imported,
    ImportOptions,
    ImportResult,
    OnExistingName,
)
from imgsync.stores.containerd.lock import locked
from imgsync.stores.containerd.loopback import serving
from imgsync.stores.containerd.wanted import Wanted, make_wanted, note, refusal
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.stores import Source
    from imgsync.stores.containerd.namespace import Containerd


def import_images(
    containerd: Containerd,
    roots: Sequence[Root],
    graph: Graph,
    source: Source,
    options: ImportOptions,
    report: Report,
    *,
    absent: Collection[Digest] = (),
) -> ImportResult:
    """Load the roots that have names under these names, and prove that they are there.

    ``graph`` is the walk of the roots in the source, and ``absent`` what the source declares to
    be left out. One failing image stops no other.

    Raises:
        LockHeld: another run works on the namespace.
        Conflict: a name stands with another digest, and that is to be an error; before any write.
        ContainerdError: containerd cannot be asked.
    """
    with locked(containerd.ctr.address, containerd.namespace):
        return _Import(containerd, roots, graph, source, options, report, absent).run()


class _Import:
    def __init__(
        self,
        containerd: Containerd,
        roots: Sequence[Root],
        graph: Graph,
        source: Source,
        options: ImportOptions,
        report: Report,
        absent: Collection[Digest],
    ) -> None:
        self._containerd = containerd
        self._roots = [root for root in roots if root.name is not None]
        self._source = source
        self._options = options
        self._report_unlocked = report
        self._report_lock = threading.Lock()
        self._absent = absent
        self._moved: dict[Digest, int] = {}
        self._records = containerd.images.all()
        self._records_now = self._records
        self._present = containerd.content.digests()
        self._graph = self._completed(graph)
        descriptors = [root.descriptor for root in self._roots]
        configs = DocumentReader(lambda _item: (source, containerd), jobs=options.jobs)
        self._platforms = platforms_of(self._graph, descriptors, configs)
        self._required = options.required or options.node
        self._wanted = self._look(self._roots)

    def run(self) -> ImportResult:
        self._check_names()
        for wanted in self._wanted:
            if wanted.error is None and (line := note(wanted)):
                self._report(Noted(line, "warning"))
        moving = [wanted for wanted in self._wanted if wanted.error is None]
        unchanged = [wanted for wanted in moving if self._is_there(wanted)]
        self._tell_plan(moving)
        with ExitStack() as stack:
            carrying = self._carrying(stack)
            carrying.load([wanted for wanted in moving if wanted not in unchanged])
            self._prove(moving)
            again = [wanted for wanted in moving if isinstance(wanted.error, ContainerdError)]
            if again:
                unchanged = [wanted for wanted in unchanged if wanted not in again]
                self._look_again(again)
                # What one carrier cannot do, the other may.
                carrying.load([item for item in again if item.error is None], by_stream=True)
                self._prove(moving)
        self._forget_half()
        for wanted in moving:
            if wanted.error is None:
                self._finish(wanted, is_new=wanted not in unchanged)
        return self._result(unchanged)

    # Before.

    def _completed(self, graph: Graph) -> Graph:
        """The walk, with documents that the namespace has where the source has none.

        A delta bundle relies on what its receiver has, and that may be a manifest.
        """
        unread = {
            item.digest
            for item in graph.descriptors.values()
            if item.is_document and item.digest not in graph.documents
        }
        if not unread & self._present:
            return graph
        known = KeptDocuments({digest: item.raw for digest, item in graph.documents.items()})
        sources = (known, self._containerd)
        descriptors = [root.descriptor for root in self._roots]
        return walk(descriptors, DocumentReader(lambda _item: sources, jobs=self._options.jobs))

    def _look(self, roots: Sequence[Root]) -> list[Wanted]:
        """What has to be done for these roots, as the namespace is now; some are refused."""
        source = self._source
        found = make_wanted(
            roots,
            self._graph,
            present=self._present,
            available=source.sizes() if isinstance(source, Listing) else None,
            absent=self._absent,
            platforms=self._platforms,
        )
        for wanted in found:
            wanted.error = refusal(wanted, self._graph, self._required, source.side)
        return found

    def _look_again(self, images: Sequence[Wanted]) -> None:
        """Forget what went wrong, and what was there at first and went with the garbage."""
        now = {wanted.root.digest: wanted for wanted in self._look(self._roots)}
        for wanted in images:
            self._report(Retried(wanted.label, str(wanted.error)))
            wanted.update(now[wanted.root.digest])
        self._narrow(images, by_stream=True)

    def _check_names(self) -> None:
        others = [
            f"{name}: {digest} -> {wanted.root.digest}"
            for wanted in self._wanted
            for name, digest in self._others(wanted).items()
        ]
        if others and self._options.on_existing_name is OnExistingName.ERROR:
            lines = "\n".join(f"  {line}" for line in others)
            msg = f"{self._containerd.side} has these names with other content:\n{lines}"
            raise Conflict(msg, hint="--on-existing-name replace lets them mean the new content")
        for line in others:
            self._report(Noted(f"replacing {line}", "warning"))

    def _others(self, wanted: Wanted) -> dict[str, Digest]:
        """The names of an image that mean something else, with what they mean."""
        return {
            name: self._records[name].digest
            for name in wanted.names
            if name in self._records and self._records[name].digest != wanted.root.digest
        }

    def _is_there(self, wanted: Wanted) -> bool:
        return not wanted.carried and all(
            name in self._records and self._records[name].digest == wanted.root.digest
            for name in self._kept_names(wanted)
        )

    def _tell_plan(self, moving: Sequence[Wanted]) -> None:
        carried = {item for wanted in moving for item in wanted.carried}
        kept = {
            item
            for wanted in moving
            for item in wanted.closure
            if item.digest not in wanted.missing
        }
        sizes = [sum(item.size for item in part) for part in (carried, kept)]
        self._report(Planned(len(carried), sizes[0], len(kept), sizes[1]))

    def _carrying(self, stack: ExitStack) -> Carrying:
        loopback = None
        if self._options.carrier is not Carrier.STREAM and not self._containerd.ctr.is_elsewhere:
            catalog = Catalog(self._roots, self._graph, self._absent)
            loopback = stack.enter_context(
                serving(self._containerd, self._source, catalog, self._report)
            )
        self._narrow(self._wanted, by_stream=loopback is None)
        return Carrying(
            self._containerd,
            self._source,
            loopback,
            self._report,
            jobs=self._options.jobs,
            always_fetch=self._options.carrier is Carrier.LOOPBACK,
        )

    def _narrow(self, images: Sequence[Wanted], *, by_stream: bool) -> None:
        for wanted in images:
            wanted.narrow(self._graph, self._required, by_stream=by_stream)

    # After.

    def _prove(self, moving: Sequence[Wanted]) -> None:
        """Walk, collect garbage, walk again; and every name means what it must."""
        self._walk(moving)
        self._containerd.content.collect_garbage()
        self._walk(moving)
        records = self._records_now = self._containerd.images.all()
        for wanted in moving:
            for name in (*wanted.names, *wanted.twins):
                is_right = name in records and records[name].digest == wanted.root.digest
                if wanted.error is None and not is_right and not self._may_lack(wanted, name):
                    msg = f"{self._containerd.side}: {name} does not mean {wanted.root.digest}"
                    wanted.error = IncompleteImport(msg)

    def _walk(self, moving: Sequence[Wanted]) -> None:
        self._present = self._containerd.content.digests()
        for wanted in moving:
            wanted.error = wanted.error or lost_error(wanted, self._present, self._containerd.side)

    def _forget_half(self) -> None:
        """Remove records that a failed import left (1.x does): they look like images."""
        if all(wanted.error is None for wanted in self._wanted):
            return
        records = self._containerd.images.all()
        half = [
            name
            for wanted in self._wanted
            if wanted.error is not None
            and lost_error(wanted, self._present, self._containerd.side) is not None
            for name in (*wanted.names, *wanted.twins)
            if name in records
            and records[name].digest == wanted.root.digest
            and name not in self._records
        ]
        if half:
            self._containerd.images.remove(*half)
            self._containerd.content.collect_garbage()
            self._present = self._containerd.content.digests()

    def _finish(self, wanted: Wanted, *, is_new: bool) -> None:
        """What an image gets beside content and names; failing here is told, and no more."""
        images = self._containerd.images
        if self._options.pin:
            for name in self._kept_names(wanted):
                record = self._records_now.get(name)
                if record is None or not PINNED.items() <= record.labels.items():
                    images.label(name, PINNED)
        unwanted = [name for name in wanted.twins if self._may_lack(wanted, name)]
        if unwanted:
            images.remove(*unwanted)
        if self._options.unpack:
            try:
                self._containerd.unpack(wanted.root.digest)
            except ContainerdError as error:
                self._report(
                    Noted(f"{wanted.label} is there, but not unpacked: {error}", "warning")
                )
        for item in wanted.carried:
            how = "sent" if item.digest in self._moved else "adopted"
            self._report(Copied(item, self._containerd.side, how))
        before = self._others(wanted)
        for name in wanted.names if is_new else ():
            self._report(Named(name, wanted.root, str(before.get(name, ""))))

    def _result(self, unchanged: Sequence[Wanted]) -> ImportResult:
        imported = []
        for wanted in self._wanted:
            state = completeness(
                self._graph,
                wanted.root,
                lambda item: item.digest in self._present,
                platforms=self._platforms,
            )
            own = state.for_host(self._options.node)
            status = "unchanged" if wanted in unchanged else "imported"
            if wanted.error is not None:
                status = "failed"
            imported.append(
                Imported(
                    self._kept_names(wanted),
                    wanted.root,
                    status,
                    self._others(wanted),
                    state,
                    own is not None and own.is_whole,
                    wanted.error,
                )
            )
        return ImportResult(tuple(imported), len(self._moved), sum(self._moved.values()))

    def _kept_names(self, wanted: Wanted) -> tuple[str, ...]:
        return (*wanted.names, *(wanted.twins if self._keeps_twins(wanted) else ()))

    def _keeps_twins(self, wanted: Wanted) -> bool:
        return self._options.twins or not wanted.names

    def _may_lack(self, wanted: Wanted, name: str) -> bool:
        """Whether this record is only there so that the image could be loaded."""
        is_twin = name in wanted.twins and name not in self._records
        return is_twin and not self._keeps_twins(wanted)

    def _report(self, event: Event) -> None:
        with self._report_lock:
            if isinstance(event, Advanced):
                digest = event.descriptor.digest
                self._moved[digest] = self._moved.get(digest, 0) + event.n_bytes
            self._report_unlocked(event)
