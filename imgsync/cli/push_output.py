"""What is told of a push: its plan, its outcome, and what still waits for other volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsync.cli.output import at_rate, human_size, say, seconds_at, table
from imgsync.errors import AllFailed, SomeFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.errors import ImgsyncError
    from imgsync.pushing.outcome import Pushed, PushResult
    from imgsync.pushing.planned import PushPlan


def tell(result: PushResult) -> None:
    """A line for each image, then the sums."""
    for pushed in result.pushed:
        if pushed.error is None:
            say(f"{pushed.item.target} {pushed.root.descriptor.digest} {pushed.status}")
            for line in waiting_lines(pushed):
                say(f"  {line}")
    outcome = result.outcome
    waiting = sum(1 for pushed in result.pushed if pushed.status == "waiting")
    rest = f"; {waiting} images wait for other volumes" if waiting else ""
    say(
        f"sent {outcome.n_sent} objects, {human_size(outcome.n_sent_bytes)}; "
        f"mounted {outcome.n_mounted}{rest}"
    )


def waiting_lines(pushed: Pushed) -> list[str]:
    """What an image still waits for, by volume."""
    by_volume: dict[int, list[int]] = {}
    for descriptor in pushed.waiting_for:
        number = pushed.item.volumes.get(descriptor.digest, 0)
        by_volume.setdefault(number, []).append(descriptor.size)
    return [
        f"volume {number or 'unknown'} has {len(sizes)} objects of it, {human_size(sum(sizes))}"
        for number, sizes in sorted(by_volume.items())
    ]


def result_json(result: PushResult) -> dict[str, Any]:
    """The same for programs."""
    return {
        "images": [image_json(pushed) for pushed in result.pushed],
        "sent_objects": result.outcome.n_sent,
        "sent_bytes": result.outcome.n_sent_bytes,
        "mounted_objects": result.outcome.n_mounted,
    }


def image_json(pushed: Pushed) -> dict[str, Any]:
    """One image of a plan or an outcome."""
    value: dict[str, Any] = {
        "image": pushed.item.label,
        "target": str(pushed.item.target),
        "digest": str(pushed.root.descriptor.digest),
        "source_digest": str(pushed.item.root.descriptor.digest),
        "before": str(pushed.before.digest) if pushed.before is not None else None,
        "status": pushed.status,
    }
    if pushed.waiting_for:
        value["waiting_for"] = [
            {"digest": str(item.digest), "volume": pushed.item.volumes.get(item.digest)}
            for item in pushed.waiting_for
        ]
    if pushed.error is not None:
        value["error"] = pushed.error.message
        value["hint"] = pushed.error.hint
    return value


def plan_text(planned: PushPlan, rate: int | None = None) -> str:
    """A table of the images, and the sums."""
    rows = [
        (
            str(pushed.item.target),
            pushed.root.descriptor.digest.short,
            pushed.status if pushed.status != "pushed" else "to push",
            pushed.before.digest.short if pushed.before is not None else "",
        )
        for pushed in planned.pushed
    ]
    plan = planned.plan
    images = table(("TARGET", "DIGEST", "STATUS", "TAG NOW"), rows)
    sums = (
        f"to send: {len(plan.steps)} objects, at most {human_size(plan.n_bytes)}; "
        f"{plan.n_present} objects are there already{at_rate(plan.n_bytes, rate)}"
    )
    return f"{images}\n{sums}"


def plan_json(planned: PushPlan, rate: int | None = None) -> dict[str, Any]:
    """The same for programs; sizes in bytes, times in seconds."""
    mounts = sum(1 for step in planned.plan.steps if step.mount_from is not None)
    return {
        "images": [image_json(pushed) for pushed in planned.pushed],
        "objects": len(planned.plan.steps),
        "bytes": planned.plan.n_bytes,
        "present_objects": planned.plan.n_present,
        "present_bytes": planned.plan.n_present_bytes,
        "mounts": mounts,
        # a blob is one POST and one PUT, a mount one POST, a manifest one PUT, a tag PUT and HEAD
        "requests": sum(
            1 if step.descriptor.is_document or step.mount_from is not None else 2
            for step in planned.plan.steps
        )
        + 2 * len(planned.plan.names),
        "seconds": seconds_at(planned.plan.n_bytes, rate),
    }


def raise_failures(
    failures: Sequence[tuple[str, ImgsyncError]], n_images: int, *, planned: bool = False
) -> None:
    """End the command where images failed, or, of a plan, would fail.

    Raises:
        AllFailed: nothing was pushed.
        SomeFailed: some images were.
    """
    if not failures:
        return
    if len(failures) == n_images:
        msg = "no image was pushed" if n_images > 1 else "the image was not pushed"
        if planned:
            msg = "no image can be pushed" if n_images > 1 else "the image cannot be pushed"
        raise AllFailed(msg, failures)
    if planned:
        msg = f"{len(failures)} of {n_images} images cannot be pushed, the others can"
        raise SomeFailed(msg, failures)
    msg = f"{len(failures)} of {n_images} images were not pushed, the others were"
    raise SomeFailed(msg, failures, hint="the same command again sends only what is missing")
