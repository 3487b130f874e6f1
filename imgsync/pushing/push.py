"""The whole of a push: preflight, missing-check, plan, run. What ``imgsync push`` runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.documents import KeptDocuments
from imgsync.plan import Wanted, make_plan
from imgsync.pushing.extras import leave_out_orphans
from imgsync.pushing.fallback import keep_findable
from imgsync.pushing.outcome import Pushed, PushResult
from imgsync.pushing.planned import PushPlan
from imgsync.pushing.preflight import Preflight
from imgsync.pushing.targets import OpenTarget, Targets, WhoHas
from imgsync.stores import Source
from imgsync.transfer import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imgsync.events import Report
    from imgsync.model.digest import Digest
    from imgsync.pushing.gate import Gate
    from imgsync.pushing.request import PushItem, PushOptions


def nobody(_digest: Digest) -> Iterable[str]:
    """The repositories that are said to have a digest, where nothing is said."""
    return ()


def plan_push(
    items: Sequence[PushItem],
    open_target: OpenTarget,
    options: PushOptions,
    report: Report,
    *,
    who_has: WhoHas = nobody,
    gate: Gate | None = None,
) -> PushPlan:
    """Read all images, and ask the destinations what they lack. Nothing is written.

    ``gate`` refuses beforehand what a registry would refuse later; all that it refuses is in the
    errors of the images.

    Raises:
        PartialRefused: an image declares platforms absent, and ``rewrite_index`` was not asked
            for.
        Conflict: a tag stands with another digest, and that is to be an error.
    """
    preflight = Preflight(items, options, report)
    pushed = preflight.check()
    if gate is not None:
        _refuse(gate, pushed)
        gate.check_digests([image for image in pushed if image.error is None], preflight.graph)
    targets = Targets(open_target, options.jobs)
    moving = [image for image in pushed if image.error is None]
    for image in moving:
        targets.place_of(image.item.target)
    check_moves = gate.check_tags if gate is not None else None
    targets.check_tags(moving, options.on_existing_tag, report, check_moves)
    leave_out_orphans(pushed, preflight.graph, report)
    moving = [image for image in moving if image.status == "pushed" and image.error is None]
    targets.check_content(moving, preflight.graph, who_has)
    moving = [image for image in moving if image.error is None]
    if gate is not None:
        gate.check_space(moving, preflight.graph, targets)
        moving = [image for image in moving if image.error is None]
    planned = _plan(pushed, moving, targets, preflight)
    planned.gate = gate
    _note_unchanged(planned)
    return planned


def push(planned: PushPlan, options: PushOptions, report: Report) -> PushResult:
    """Move what is planned and set the tags; one failing image stops no other."""
    if planned.gate is not None and planned.moving:
        planned.gate.begin([image.item.target for image in planned.moving])
    outcome = run(
        planned.plan,
        planned.sources,
        planned.destinations,
        report,
        jobs=options.jobs,
        retries=options.retries,
    )
    for number, error in outcome.failures.items():
        planned.moving[number].fail(error)
    keep_findable(planned, options.jobs)
    return PushResult(planned.pushed, outcome, planned.not_found_out)


def _refuse(gate: Gate, pushed: Sequence[Pushed]) -> None:
    images = [image for image in pushed if image.error is None]
    refused = gate.refused([image.item.target for image in images])
    for image in images:
        if image.item.target.name in refused:
            image.fail(refused[image.item.target.name])


def _plan(
    pushed: list[Pushed], moving: list[Pushed], targets: Targets, preflight: Preflight
) -> PushPlan:
    documents = preflight.documents
    sources: list[Source] = [KeptDocuments(documents)]
    numbers: dict[int, int] = {}
    wanted = []
    absent: set[Digest] = set()
    for image in moving:
        source = image.item.source
        number = numbers.setdefault(id(source), len(sources))
        if number == len(sources):
            sources.append(source)
        place = targets.place_of(image.item.target)
        name = image.item.target if image.item.target.tag else None
        root = replace(image.root, name=name)
        waits = bool(image.waiting_for)
        wanted.append(Wanted(root, place, (number,), blobs_only=waits))
        absent |= image.expected.keys()
        raw = documents[image.root.descriptor.digest]
        targets.all[place].remember(image.root.descriptor, raw)
    plan = make_plan(
        wanted,
        preflight.graph,
        targets.missing,
        absent=absent,
        mounts_with=[target.mounts_with for target in targets.all],
        also_in=[(0, documents.keys())],
        mountable=targets.mountable,
    )
    return PushPlan(
        pushed,
        moving,
        plan,
        sources,
        targets.all,
        preflight.graph,
        not_found_out=preflight.not_found_out,
    )


def _note_unchanged(planned: PushPlan) -> None:
    """Mark the images of which nothing moves and whose tag is right already."""
    graph, plan = planned.graph, planned.plan
    going = {(step.destination, step.descriptor.digest) for step in plan.steps}
    for wanted, image in zip(plan.wanted, planned.moving, strict=True):
        root = image.root.descriptor
        before = image.before.digest if image.before is not None else None
        is_there = before == root.digest or not image.item.target.tag
        if is_there and not any(
            (wanted.destination, item.digest) in going for item in graph.closure([root])
        ):
            image.status = "unchanged"
