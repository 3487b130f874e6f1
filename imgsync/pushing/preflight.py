"""Before the first byte: every image is read and proved to be whole, or told why it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.documents import DocumentReader
from imgsync.errors import PartialRefused
from imgsync.events import Noted, Report
from imgsync.presence import held_sizes
from imgsync.pushing import extras
from imgsync.pushing.outcome import Pushed
from imgsync.pushing.wholeness import Wholeness, undeclared, wholeness
from imgsync.rewriting import rewrite
from imgsync.walk import Graph, walk, walk_apart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.errors import ImgsyncError
    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.pushing.request import PushItem, PushOptions
    from imgsync.referrers.collecting import Extra
    from imgsync.stores import Source


class Preflight:
    """Reads the images of a push.

    Attributes:
        graph: everything below their roots, rewritten indexes included.
        documents: the bytes of every document.
        not_found_out: what could not be found out about images, each with its error.
    """

    def __init__(self, items: Sequence[PushItem], options: PushOptions, report: Report) -> None:
        """Look at these images, with nothing read yet."""
        self.graph = Graph()
        self.documents: dict[Digest, bytes] = {}
        self._items = items
        self._options = options
        self._report = report
        self.not_found_out: list[tuple[str, ImgsyncError]] = []
        self._sources: dict[Digest, list[Source]] = {}
        self._read = DocumentReader(
            lambda item: self._sources[self.graph.ancestor(item.digest)],
            jobs=options.jobs,
            kept=self.documents,
        )
        self._held: dict[int, Mapping[Digest, int] | None] = {}

    def check(self) -> list[Pushed]:
        """Each image, failed or fit to be pushed.

        Raises:
            PartialRefused: one declares content absent, and is not to be rewritten.
        """
        for item in self._items:
            self._add_source(item.root, item.source)
        walk([item.root.descriptor for item in self._items], self._read, graph=self.graph)
        pushed = [self._checked(item) for item in self._items]
        collector = self._options.collector
        if collector is not None:
            pushed = extras.chosen(pushed, self.graph, collector)
            extras.beside_their_images(pushed, self.graph)
            collected = extras.collect(pushed, self.graph, collector, self._walk_more)
            pushed += [self._checked(extras.item_of(extra)) for extra in collected.extras]
            self.not_found_out = collected.failures
        else:
            extras.beside_their_images(pushed, self.graph)
        return extras.after_their_subjects(extras.each_once(pushed, self._report), self.graph)

    def _add_source(self, root: Root, source: Source) -> None:
        sources = self._sources.setdefault(root.descriptor.digest, [])
        if source not in sources:
            sources.append(source)

    def _walk_more(self, found: Sequence[Extra]) -> Graph:
        for extra in found:
            self._add_source(extra.root, extra.source)
        walk_apart([extra.root.descriptor for extra in found], self._read, self.graph)
        return self.graph

    def _checked(self, item: PushItem) -> Pushed:
        pushed = Pushed(item, item.root)
        whole = wholeness(item, self.graph, self._held_by(item.source))
        if whole.error is not None:
            pushed.fail(whole.error)
        elif whole.lacking and item.root.subject is not None:
            # What is about an image fails alone, and has no platforms to be rewritten to.
            pushed.fail(undeclared(item, whole) or _partial(item))
        elif whole.lacking and not self._options.rewrite_index:
            error = undeclared(item, whole)
            if error is None:
                raise _partial(item)
            pushed.fail(error)
        elif whole.lacking:
            self._rewrite(pushed, whole)
        pushed.expected = whole.expected
        return pushed

    def _rewrite(self, pushed: Pushed, whole: Wholeness) -> None:
        root = pushed.root
        try:
            made = rewrite(self.graph, root.descriptor, whole.lacking)
        except PartialRefused as error:
            pushed.fail(error)
            return
        made.add_to(self.graph)
        self.documents.update(made.documents)
        pushed.root = replace(root, descriptor=made.root)
        self._report(
            Noted(
                f"{pushed.item.label}: the index was rewritten, {root.descriptor.digest} -> "
                f"{made.root.digest}; pins and signatures of the old digest do not hold for it"
            )
        )

    def _held_by(self, source: Source) -> Mapping[Digest, int] | None:
        if id(source) not in self._held:
            self._held[id(source)] = held_sizes(source)
        return self._held[id(source)]


def _partial(item: PushItem) -> PartialRefused:
    msg = (
        f"{item.label} is not whole: its bundle leaves out platforms, and a registry refuses an "
        "index whose children it does not have"
    )
    hint = "push the platforms that are whole, under a new digest: --rewrite-index"
    return PartialRefused(msg, hint=hint)
