"""From what a store holds to what a command works on: chosen roots, their walk, what is absent.

For commands that read everything from one store and are not themselves a plan: import and serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.documents import reader_of
from imgsync.errors import AllFailed, ImgsyncError, NotFound
from imgsync.model.bundle import AbsentReason
from imgsync.platforms import absent_of, platforms_of
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.stores import Holding


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was chosen, under its new names.

    Attributes:
        roots: images, and content about them.
        originals: the same with the names that they have in the store.
        graph: the walk of all roots; its problems are those of documents that are not there.
        absent: what the store declares to be left out, or the choice of platforms leaves out.
        unfit: what has not the platforms that were chosen, with the reasons.
    """

    roots: tuple[Root, ...]
    originals: tuple[Root, ...]
    graph: Graph
    absent: dict[Digest, AbsentReason]
    unfit: tuple[tuple[Root, ImgsyncError], ...] = ()

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """What is unfit, by what messages call it.

        Raises:
            AllFailed: no image is left.
        """
        failures = [(root.label, error) for root, error in self.unfit]
        if failures and not any(root.name is not None for root in self.roots):
            msg = "no image has the platforms that were chosen"
            raise AllFailed(msg, failures)
        return failures


def gather(holding: Holding, mapping: Mapping, selection: Selection, *, jobs: int = 4) -> Gathered:
    """Choose, walk and rename.

    Raises:
        NotFound: the store holds nothing, or nothing of what was chosen.
        Conflict: two images would get one name.
    """
    bundle = holding.bundle()
    if not bundle.roots:
        msg = f"{holding.side} holds no image"
        raise NotFound(msg)
    read = reader_of(holding, jobs=jobs)
    graph = walk([root.descriptor for root in bundle.roots], read, absent=bundle.absent)

    def documents_of(digest: Digest) -> Collection[Digest]:
        closure = graph.closure([graph.descriptors[digest]])
        return [item.digest for item in closure if item.is_document]

    chosen = selection.chosen(bundle.roots, documents_of, side=holding.side)
    absent = dict(bundle.absent)
    unfit: list[tuple[Root, ImgsyncError]] = []
    if not selection.choice.is_all:
        platforms = platforms_of(graph, [root.descriptor for root in chosen], read)
        kept: list[Root] = []
        left_out: set[Digest] = set()
        needed: set[Digest] = set()
        for root in chosen:
            try:
                out = absent_of(graph, root.descriptor, selection.choice, platforms)
            except ImgsyncError as error:
                if len(chosen) == 1:
                    raise NotFound(f"{root.label} {error.message}", hint=error.hint) from None
                unfit.append((root, error))
                continue
            kept.append(root)
            left_out |= out
            needed.update(
                item.digest for item in graph.closure([root.descriptor]) if item.digest not in out
            )
        # Content that another image needs stays, whatever this one's platforms are.
        absent.update(dict.fromkeys(left_out - needed, AbsentReason.PLATFORM))
        chosen = tuple(kept)
    return Gathered(mapping.relocate(chosen), chosen, graph, absent, tuple(unfit))
