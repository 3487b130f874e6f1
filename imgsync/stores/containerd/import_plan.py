"""What an import is asked for, and what is there: decided before anything moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.documents import DocumentReader, KeptDocuments
from imgsync.errors import Conflict
from imgsync.events import InPart, Noted, Planned, Report, Retried
from imgsync.model.bundle import AbsentReason
from imgsync.platforms import platforms_of
from imgsync.serve.catalog import Catalog
from imgsync.stores import Listing
from imgsync.stores.containerd.import_request import ImportOptions, OnExistingName
from imgsync.stores.containerd.refusing import note, refusal
from imgsync.stores.containerd.wanted import Wanted, make_wanted
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgsync.errors import ImgsyncError
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores import Source
    from imgsync.stores.containerd.namespace import Containerd


class ImportPlan:
    """The images of an import, seen against the namespace that they go into.

    Attributes:
        wanted: every image, with why it is refused where it is.
        records: the names of the namespace before anything was done.
        present: the content of the namespace, as it was last asked for.
        graph: the walk of all roots, with documents that only the namespace has.
        platforms: of manifests whose index does not say it.
    """

    def __init__(
        self,
        containerd: Containerd,
        roots: Sequence[Root],
        graph: Graph,
        source: Source,
        options: ImportOptions,
        absent: Mapping[Digest, AbsentReason],
    ) -> None:
        """Ask the namespace what it has, and decide; nothing is written."""
        self._containerd = containerd
        self._roots = [root for root in roots if root.name is not None]
        self._source = source
        self._options = options
        self._absent = absent
        self.records = containerd.images.all()
        self.present = containerd.content.digests()
        self.graph = self._completed(graph)
        descriptors = [root.descriptor for root in self._roots]
        configs = DocumentReader(lambda _item: (source, containerd), jobs=options.jobs)
        self.platforms = platforms_of(self.graph, descriptors, configs)
        self._required = options.required or options.node
        self.wanted = self._look()
        for wanted in self.wanted:
            wanted.replaces = bool(self.others(wanted))

    @property
    def moving(self) -> list[Wanted]:
        """The images that nothing stands in the way of, so far."""
        return [wanted for wanted in self.wanted if wanted.error is None]

    @property
    def is_volume(self) -> bool:
        """Whether the source is a volume, to which others belong."""
        return AbsentReason.VOLUME in self._absent.values()

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """The images that something stands in the way of."""
        return [(item.label, item.error) for item in self.wanted if item.error is not None]

    def catalog(self) -> Catalog:
        """What a registry of the source may offer."""
        return Catalog(self._roots, self.graph, self._absent)

    @property
    def coming(self) -> set[Descriptor]:
        """What will be carried."""
        return {item for wanted in self.moving for item in wanted.carried}

    def tell(self, report: Report) -> None:
        """Say what will be done, and what will not.

        Raises:
            Conflict: a name stands with another digest, and that is to be an error.
        """
        others = [
            f"{name}: {digest} -> {wanted.root.digest}"
            for wanted in self.wanted
            for name, digest in self.others(wanted).items()
        ]
        if others and self._options.on_existing_name is OnExistingName.ERROR:
            lines = "\n".join(f"  {line}" for line in others)
            msg = f"{self._containerd.side} has these names with other content:\n{lines}"
            raise Conflict(msg, hint="--on-existing-name replace lets them mean the new content")
        for line in others:
            report(Noted(f"replacing {line}", "warning"))
        for wanted in self.moving:
            if line := note(wanted):
                report(InPart(line, "warning"))
        carried = self.coming
        kept = {
            item
            for wanted in self.moving
            for item in wanted.closure
            if item.digest not in wanted.missing
        }
        sizes = [sum(item.size for item in part) for part in (carried, kept)]
        report(Planned(len(carried), sizes[0], len(kept), sizes[1]))

    def narrow(self, images: Sequence[Wanted], *, by_stream: bool) -> None:
        """Carry no more than can be held; see `Wanted.narrow`."""
        for wanted in images:
            wanted.narrow(self.graph, self._required, by_stream=by_stream)

    def look_again(self, images: Sequence[Wanted], report: Report) -> None:
        """Forget what went wrong, and what was there at first and went with the garbage."""
        now = {wanted.root.digest: wanted for wanted in self._look()}
        for wanted in images:
            report(Retried(wanted.label, str(wanted.error)))
            wanted.update(now[wanted.root.digest])
        self.narrow(images, by_stream=True)

    # Names.

    def others(self, wanted: Wanted) -> dict[str, Digest]:
        """The names of an image that meant something else before, with what they meant."""
        return {
            name: self.records[name].digest
            for name in wanted.names
            if name in self.records and self.records[name].digest != wanted.root.digest
        }

    def is_there(self, wanted: Wanted) -> bool:
        """Whether nothing has to be done for this image."""
        return not wanted.carried and all(
            name in self.records and self.records[name].digest == wanted.root.digest
            for name in self.kept_names(wanted)
        )

    def status(self, wanted: Wanted) -> str:
        """What would become of an image: imported, unchanged, waiting or failed."""
        if wanted.error is not None:
            return "failed"
        if wanted.waits:
            return "waiting"
        return "unchanged" if self.is_there(wanted) else "imported"

    def kept_names(self, wanted: Wanted) -> tuple[str, ...]:
        """The records that an image has in the end."""
        helping = self.helping_names(wanted)
        return tuple(name for name in (*wanted.names, *wanted.twins) if name not in helping)

    def helping_names(self, wanted: Wanted) -> tuple[str, ...]:
        """The records that are only there so that the image can be loaded."""
        if self._options.twins or not wanted.names:
            return ()
        return tuple(name for name in wanted.twins if name not in self.records)

    def elsewhere(self, digests: Collection[Digest]) -> set[Digest]:
        """Which of these another namespace of the same containerd has: they need not be sent."""
        found: set[Digest] = set()
        for namespace in self._containerd.namespaces() if digests else ():
            if namespace != self._containerd.namespace:
                found |= self._containerd.other(namespace).content.digests() & set(digests)
        return found

    def _completed(self, graph: Graph) -> Graph:
        """The walk, with documents that the namespace has where the source has none.

        A delta bundle relies on what its receiver has, and that may be a manifest.
        """
        unread = {
            item.digest
            for item in graph.descriptors.values()
            if item.is_document and item.digest not in graph.documents
        }
        if not unread & self.present:
            return graph
        known = KeptDocuments({digest: item.raw for digest, item in graph.documents.items()})
        sources = (known, self._containerd)
        descriptors = [root.descriptor for root in self._roots]
        return walk(descriptors, DocumentReader(lambda _item: sources, jobs=self._options.jobs))

    def _look(self) -> list[Wanted]:
        source = self._source
        found = make_wanted(
            self._roots,
            self.graph,
            present=self.present,
            available=source.sizes() if isinstance(source, Listing) else None,
            absent=self._absent,
            platforms=self.platforms,
        )
        for wanted in found:
            wanted.error = refusal(wanted, self.graph, self._required, source.side)
        return found
