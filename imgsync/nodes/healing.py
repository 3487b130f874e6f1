"""Healing the images of a node: what is broken comes again, in a way that lasts.

What ``ctr content ingest`` brings back goes with the next garbage collection, because the index
that a default import left names one platform only. So everything comes by an import, which makes
containerd label it anew. Content that rotted on the disk is never replaced as long as one
namespace has it: it is removed from all of them first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from imgsync.documents import DocumentReader
from imgsync.errors import ContentError, ImgsyncError, MissingContent, NotFound
from imgsync.events import Noted, Report, ignore
from imgsync.model.bundle import AbsentReason, Root
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.nodes.checking import ImageCheck, check_images
from imgsync.nodes.looking import look
from imgsync.nodes.pool import Pool
from imgsync.platforms import absent_of, platforms_of
from imgsync.stores.containerd.anchors import Anchors
from imgsync.stores.containerd.import_request import ImportOptions, ImportResult
from imgsync.stores.containerd.importing import import_images
from imgsync.stores.containerd.namespace import reference_of
from imgsync.stores.containerd.room import check_room
from imgsync.verifying.hashing import Prover
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.nodes.facts import NamespaceFacts
    from imgsync.stores import Source
    from imgsync.stores.containerd.namespace import Containerd


@dataclass(frozen=True, slots=True)
class Broken:
    """One image that is to be healed.

    Attributes:
        root: with the name under which it is loaded again.
        lacking: what will come.
        error: why it cannot be healed.
    """

    check: ImageCheck
    root: Root
    lacking: tuple[Descriptor, ...] = ()
    error: ImgsyncError | None = None

    @property
    def label(self) -> str:
        """How messages call it."""
        return (*self.check.names, str(self.check.root.digest))[0]


@dataclass(frozen=True, slots=True)
class HealPlan:
    """What a node lacks, and what will be done about it.

    Attributes:
        rotten: content that is removed from every namespace first.
        absent: content of platforms that nobody asked for.
    """

    broken: tuple[Broken, ...]
    graph: Graph
    rotten: tuple[Descriptor, ...]
    absent: dict[Digest, AbsentReason]


def plan_heal(
    containerd: Containerd,
    facts: NamespaceFacts,
    source: Pool,
    choice: PlatformChoice,
    *,
    wanted_back: Collection[Digest] = (),
    jobs: int = 4,
) -> HealPlan:
    """Find out what is broken, and whether the source has it. Nothing is changed.

    Of platforms that were not chosen, only what is damaged comes, and what is ``wanted_back``.
    """
    # What is there was read when the node was looked at.
    kept = {digest: document.raw for digest, document in facts.graph.documents.items()}
    graph = Graph()
    suspects = []
    for check in check_images(facts):
        places = source.sources(check.names)
        suspect = _suspect(check, source, places)
        root = suspect.root.descriptor
        if root.size:
            read = DocumentReader(partial(_both, (containerd, *places)), jobs=jobs, kept=kept)
            walk([root], read, graph=graph)
            source.remember(graph.closure([root]), places)
        suspects.append(suspect)
    roots = [item.root.descriptor for item in suspects if item.root.descriptor.size]
    read = DocumentReader(partial(_both, (containerd, source)), jobs=jobs, kept=kept)
    platforms = platforms_of(graph, roots, read)
    facts = _with_hidden(containerd, facts, graph, jobs)
    absent: set[Digest] = set()
    forced = {*facts.damaged, *wanted_back}
    needed = set(forced)
    broken = []
    for item in suspects:
        root = item.root.descriptor
        if not root.size:
            broken.append(item)
            continue
        try:
            out = absent_of(graph, root, choice, platforms)
        except NotFound:
            # Of an image for other platforms, all that was brought is kept as it is.
            out = {entry.digest for entry in graph.closure([root])}
        absent |= out
        closure = list(graph.closure([root]))
        needed.update(entry.digest for entry in closure if entry.digest not in out)
        lacking = tuple(
            entry
            for entry in closure
            if not facts.has(entry) and (entry.digest not in out or entry.digest in forced)
        )
        if lacking:
            error = _refusal(item, lacking, source, graph)
            broken.append(Broken(item.check, item.root, lacking, error))
    rotten = {
        entry.digest: entry
        for item in broken
        for entry in item.lacking
        if item.error is None and entry.digest in facts.present
    }
    return HealPlan(
        tuple(broken),
        graph,
        tuple(rotten.values()),
        dict.fromkeys(absent - needed, AbsentReason.PLATFORM),
    )


def heal(
    containerd: Containerd,
    plan: HealPlan,
    source: Pool,
    options: ImportOptions,
    report: Report,
) -> ImportResult:
    """Remove what is rotten, bring what is missing, and prove it; one image stops no other.

    Nobody comes in between: what is removed is what comes again.

    Raises:
        LockHeld: another run works on the namespace; nothing was removed.
        NoSpace: what is missing has no room; likewise, where that can be known.
        ContainerdError: containerd cannot be asked.
        ContentError: what came reads back as something else: the disk is failing.
    """
    healable = [item for item in plan.broken if item.error is None]
    if not healable:
        return ImportResult(())
    with containerd.locked(report):
        present = containerd.content.digests()
        # What is rotten makes room for itself.
        coming = {
            entry for item in healable for entry in item.lacking if entry.digest not in present
        }
        check_room(containerd, coming, present, report)
        return _heal(containerd, plan, healable, source, options, report)


def _heal(
    containerd: Containerd,
    plan: HealPlan,
    healable: Sequence[Broken],
    source: Pool,
    options: ImportOptions,
    report: Report,
) -> ImportResult:
    elsewhere = _remove(containerd, plan, report)
    before = containerd.images.all()
    result = import_images(
        containerd,
        [item.root for item in healable],
        plan.graph,
        source,
        options,
        report,
        absent=plan.absent,
    )
    extra = [
        name
        for image in result.imported
        if image.error is None
        for name in image.names
        if name not in before
    ]
    if extra:
        # Only there to load it; its own names mean it still.
        containerd.images.remove(*extra)
        containerd.content.collect_garbage()
    for namespace, digests in elsewhere.items():
        _give_back(containerd, containerd.other(namespace), digests, options, report)
    prover = Prover(containerd, report, options.jobs)
    failed = {image.root.digest for image in result.imported if image.error is not None}
    prover.prove(
        entry
        for item in healable
        if item.root.descriptor.digest not in failed
        for entry in item.lacking
        if entry.size
    )
    for error in prover.errors.values():
        raise error
    return result


def _with_hidden(
    containerd: Containerd, facts: NamespaceFacts, graph: Graph, jobs: int
) -> NamespaceFacts:
    """Also what is below a manifest that is damaged: nobody could know of it before."""
    hidden = [
        item
        for item in graph.descriptors.values()
        if item.digest not in facts.graph.descriptors and item.digest in facts.present
    ]
    if not hidden or not facts.is_hashed:
        return facts
    prover = Prover(containerd, ignore, jobs)
    prover.prove(hidden)
    found = {digest: error.message for digest, error in prover.errors.items()}
    return replace(facts, damaged={**facts.damaged, **found})


def _name_of(check: ImageCheck) -> Reference:
    """A name that the record has already, else one by digest that is removed afterwards."""
    for name in check.names:
        reference = reference_of(name)
        if reference is not None and str(reference) == name and reference.digest is None:
            return reference
    for name in check.names:
        reference = reference_of(name)
        if reference is not None:
            return reference.at(check.root.digest)
    return Reference("imgsync.local", "healing", digest=check.root.digest)


def _suspect(check: ImageCheck, source: Pool, places: Sequence[Source]) -> Broken:
    """An image that may lack something; its root is described by a source where the node lost it.

    The size of the root is 0 where nobody has it.
    """
    error: ImgsyncError | None = None
    found: Descriptor | None = check.root if check.root.size else None
    if found is None:
        try:
            found = source.root(check.root.media_type, check.root.digest, places)
        except ImgsyncError as refused:
            error = refused
    if found is None and error is None:
        msg = f"{source.side} does not have {check.root.digest.short}, and the node lost it"
        error = MissingContent(msg)
    return Broken(check, Root(_name_of(check), found or check.root), error=error)


def _both(places: Sequence[Source], _item: Descriptor) -> Sequence[Source]:
    return places


def _refusal(
    item: Broken, lacking: Sequence[Descriptor], source: Pool, graph: Graph
) -> ImgsyncError | None:
    for entry in lacking:
        problem = graph.problems.get(entry.digest)
        if isinstance(problem, ContentError):
            return problem
    try:
        lost = source.missing(lacking, source.sources(item.check.names))
    except ImgsyncError as error:
        return error
    if not lost:
        return None
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return MissingContent(f"{source.side} does not have {lost[0].short}{more} of {item.label}")


def _remove(containerd: Containerd, plan: HealPlan, report: Report) -> dict[str, set[Digest]]:
    """Take bad content out of every namespace; which of the others had it.

    Whatever is below a bad manifest stays meanwhile.
    """
    had: dict[str, set[Digest]] = {}
    rotten = {item.digest for item in plan.rotten}
    if not rotten:
        return had
    closure = list(plan.graph.closure(item.root.descriptor for item in plan.broken))
    with containerd.locked(report):
        for namespace in {containerd.namespace, *containerd.namespaces()}:
            other = containerd.other(namespace)
            bad = rotten & other.content.digests()
            if not bad:
                continue
            Anchors(other, ()).keep(closure)
            other.content.remove(*sorted(bad, key=str))
            if namespace != containerd.namespace:
                had[namespace] = bad
        containerd.content.collect_garbage()
    for item in plan.rotten:
        report(Noted(f"removed {item.short}, which is damaged"))
    return had


def _give_back(
    healed: Containerd,
    other: Containerd,
    digests: Collection[Digest],
    options: ImportOptions,
    report: Report,
) -> None:
    """Another namespace has again what it had; most of it without a byte."""
    facts = look(other, options.node, jobs=options.jobs)
    choice = PlatformChoice.parse([str(options.node)])
    source = Pool([healed])
    plan = plan_heal(other, facts, source, choice, wanted_back=digests, jobs=options.jobs)
    result = heal(other, plan, source, options, ignore)
    failures = [
        *((item.label, item.error) for item in plan.broken if item.error is not None),
        *result.failures,
    ]
    for label, error in failures:
        text = f"{other.side}: {label} lacks what was damaged: {error.message}"
        report(Noted(text, "warning"))
