"""What a push, an import or a seed says of its images, as a receipt has it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.receipts.record import Amount, Arrival, NodeReached, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.errors import ImgsyncError
    from imgsync.model.bundle import Root
    from imgsync.model.mapping import Mapping
    from imgsync.pushing.outcome import Pushed, PushResult
    from imgsync.seeding.request import NodeResult
    from imgsync.stores.containerd.import_request import Imported, ImportResult
    from imgsync.walk import Graph


def of_push(result: PushResult, graph: Graph) -> list[Arrival]:
    """One record for each image that was to be pushed; ``graph`` is the walk of all of them."""
    return [
        Arrival(
            pushed.status,
            source_of(pushed.item.root),
            str(pushed.item.target),
            pushed.root.descriptor.digest,
            before=str(pushed.before.digest) if pushed.before is not None else "",
            platforms=_rewritten_platforms(pushed, graph),
            error=pushed.error.message if pushed.error is not None else "",
        )
        for pushed in result.pushed
    ]


def _rewritten_platforms(pushed: Pushed, graph: Graph) -> tuple[str, ...] | None:
    """Of an index that was rewritten, what it has; a registry takes no index that is not whole."""
    if pushed.root.descriptor.digest == pushed.item.root.descriptor.digest:
        return None
    platforms = [item.platform for item, _ in graph.manifests(pushed.root.descriptor)]
    named = {str(item) for item in platforms if item is not None and not item.is_unknown}
    return tuple(sorted(named))


def of_import(result: ImportResult, roots: Iterable[Root], mapping: Mapping) -> list[Arrival]:
    """One record for each name of ``roots``, which are those of the bundle.

    What has no name is in none: containerd has no place for it.
    """
    by_name = {name: image for image in result.imported for name in image.names}
    names = [(root, str(mapping.move(root).name)) for root in roots if root.name is not None]
    return [
        _imported(by_name[name], source_of(root), name) for root, name in names if name in by_name
    ]


def of_unfit(unfit: Iterable[tuple[Root, ImgsyncError]], mapping: Mapping) -> list[Arrival]:
    """One record for each image that has not the platforms that were chosen."""
    return [
        Arrival(
            "failed",
            source_of(root),
            str(mapping.move(root).name),
            root.descriptor.digest,
            error=error.message,
        )
        for root, error in unfit
        if root.name is not None
    ]


def of_seed(
    results: Iterable[NodeResult], mapping: Mapping, *, own_platform: bool
) -> list[Arrival]:
    """One record for each name on each node, as far as the node came; see `of_import`.

    With ``own_platform`` each node was to get what it runs, else what was selected.
    """
    return [arrival for result in results for arrival in _on_node(result, mapping, own_platform)]


def nodes_of_seed(results: Iterable[NodeResult]) -> list[NodeReached]:
    """Every node that was asked for, those that were not reached too."""
    return [
        NodeReached(
            result.host.label,
            result.status,
            Amount(result.had, result.had_bytes),
            Amount(result.lacked, result.lacked_bytes),
            Amount(result.sent + result.relayed, result.sent_bytes + result.relayed_bytes),
            result.error.message if result.error is not None else "",
            result.peer,
        )
        for result in results
    ]


def _on_node(result: NodeResult, mapping: Mapping, own_platform: bool) -> list[Arrival]:
    if result.result is None:
        return []
    label = result.host.label
    runs = {image.root.digest: image.runs_here for image in result.result.imported}
    arrivals = [
        replace(arrival, node=label, runs_here=runs[arrival.digest] if own_platform else None)
        for arrival in of_import(result.result, result.originals, mapping)
    ]
    # What has nothing for this node's platform was not even begun.
    return arrivals + [replace(arrival, node=label) for arrival in of_unfit(result.unfit, mapping)]


def _imported(image: Imported, source: str, name: str) -> Arrival:
    before = image.before.get(name)
    platforms = None
    if not image.state.is_whole:
        platforms = tuple(sorted({state.label for state in image.state.whole}))
    return Arrival(
        image.status,
        source,
        name,
        image.root.digest,
        before=str(before) if before is not None else "",
        platforms=platforms,
        error=image.error.message if image.error is not None else "",
    )
