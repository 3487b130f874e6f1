"""What is told of an import: its plan, its outcome, and what still waits for other volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsync.cli.output import at_rate, human_size, say, seconds_at, table
from imgsync.errors import AllFailed, SomeFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgsync.completeness import PlatformState
    from imgsync.errors import ImgsyncError
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.volume_progress import SetProgress
    from imgsync.stores.containerd.import_plan import ImportPlan
    from imgsync.stores.containerd.import_request import Imported, ImportResult
    from imgsync.stores.containerd.wanted import Wanted

    Unfit = Sequence[tuple[Root, ImgsyncError]]


def tell(result: ImportResult, volumes: Mapping[Digest, int], progress: SetProgress | None) -> None:
    """A line for each name, then the sums."""
    for image in result.imported:
        if image.error is None:
            # Those by digest say nothing that is not on the line anyway.
            for name in [name for name in image.names if "@" not in name] or image.names:
                verdict = "waiting" if image.waiting_for else f"{image.status}, {_verdict(image)}"
                say(f"{name} {image.root.digest} {verdict}")
            for line in waiting_lines(image.waiting_for, volumes):
                say(f"  {line}")
    say(f"sent {result.n_moved} objects, {human_size(result.n_moved_bytes)}")
    if progress is not None:
        say(progress_line(progress))


def waiting_lines(waiting_for: Iterable[Descriptor], volumes: Mapping[Digest, int]) -> list[str]:
    """What an image still waits for, by volume."""
    by_volume: dict[int, list[int]] = {}
    for item in waiting_for:
        by_volume.setdefault(volumes.get(item.digest, 0), []).append(item.size)
    return [
        f"volume {number or 'unknown'} has {len(sizes)} objects of it, {human_size(sum(sizes))}"
        for number, sizes in sorted(by_volume.items())
    ]


def progress_line(progress: SetProgress) -> str:
    """How much of the set is there, and what is needed for the rest."""
    line = f"of the set of {progress.n_volumes} volumes"
    if progress.is_whole:
        return f"{line}, all {progress.n_images} images are here, whole"
    line = f"{line}, {progress.n_whole} of {progress.n_images} images are here, whole"
    if progress.needed:
        line += f"; still needed: volume {', '.join(map(str, progress.needed))}"
    if progress.unnamed:
        line += f"; here without a name: {', '.join(progress.unnamed)}"
    return line


def result_json(
    result: ImportResult,
    volumes: Mapping[Digest, int],
    progress: SetProgress | None,
    *,
    unfit: Unfit = (),
) -> dict[str, Any]:
    """The same for programs."""
    value: dict[str, Any] = {
        "images": [
            *(_imported_json(image, volumes) for image in result.imported),
            *(_unfit_json(root, error) for root, error in unfit),
        ],
        "sent_objects": result.n_moved,
        "sent_bytes": result.n_moved_bytes,
    }
    if progress is not None:
        value["set"] = {
            "volumes": progress.n_volumes,
            "images": progress.n_images,
            "whole": progress.n_whole,
            "needed": list(progress.needed),
        }
    return value


def plan_text(
    plan: ImportPlan, volumes: Mapping[Digest, int], side: str, rate: int | None = None
) -> str:
    """A table of the images, what they wait for, and the sums."""
    rows: list[tuple[str, ...]] = []
    lines: list[str] = []
    for wanted in plan.wanted:
        status = plan.status(wanted).replace("imported", "to import")
        before = plan.others(wanted)
        amount = ("", "")
        if wanted.error is None:
            amount = (str(len(wanted.carried)), human_size(wanted.carried_bytes))
            waiting = waiting_lines(wanted.waiting_for, volumes)
            lines += [f"{wanted.label}: {line}" for line in waiting]
        rows += [
            (
                name,
                wanted.root.digest.short,
                status,
                before[name].short if name in before else "",
                *amount,
            )
            for name in wanted.names or wanted.twins
        ]
    headers = ("NAME", "DIGEST", "STATUS", "NAME NOW", "OBJECTS", "BYTES")
    sums = _Sums(plan)
    total = (
        f"to send: {sums.n_objects} objects, {human_size(sums.n_bytes)}; "
        f"{sums.n_present} objects are in {side} already, {sums.n_adopted} "
        f"({human_size(sums.adopted_bytes)}) in another namespace{at_rate(sums.n_bytes, rate)}"
    )
    return "\n".join([table(headers, rows, right="OBJECTS,BYTES"), *lines, total])


def plan_json(
    plan: ImportPlan,
    volumes: Mapping[Digest, int],
    rate: int | None = None,
    *,
    unfit: Unfit = (),
) -> dict[str, Any]:
    """The same for programs (``docs/plan.md``); sizes in bytes, times in seconds."""
    sums = _Sums(plan)
    return {
        "images": [
            *(_wanted_json(plan, wanted, volumes) for wanted in plan.wanted),
            *(_unfit_json(root, error) for root, error in unfit),
        ],
        "objects": sums.n_objects,
        "bytes": sums.n_bytes,
        "adopted_objects": sums.n_adopted,
        "adopted_bytes": sums.adopted_bytes,
        "present_objects": sums.n_present,
        "present_bytes": sums.present_bytes,
        "seconds": seconds_at(sums.n_bytes, rate),
    }


def raise_failures(
    failures: Sequence[tuple[str, ImgsyncError]], n_images: int, *, planned: bool = False
) -> None:
    """End the command where images failed, or, of a plan, would fail.

    Raises:
        AllFailed: nothing was imported.
        SomeFailed: some images were.
    """
    if not failures:
        return
    are_not = "cannot be" if planned else "were not"
    if len(failures) == n_images:
        msg = "no image was imported" if n_images > 1 else "the image was not imported"
        if planned:
            msg = "no image can be imported" if n_images > 1 else "the image cannot be imported"
        raise AllFailed(msg, failures)
    rest = "the others can" if planned else "the others were"
    msg = f"{len(failures)} of {n_images} images {are_not} imported, {rest}"
    hint = "" if planned else "the same command again sends only what is missing"
    raise SomeFailed(msg, failures, hint=hint)


class _Sums:
    """Of a plan, each object once."""

    def __init__(self, plan: ImportPlan) -> None:
        carried = {item.digest: item for wanted in plan.moving for item in wanted.carried}
        kept = {
            item.digest: item
            for wanted in plan.moving
            for item in wanted.closure
            if item.digest not in wanted.missing
        }
        adopted = plan.elsewhere(carried)
        self.n_adopted = len(adopted)
        self.adopted_bytes = sum(carried[digest].size for digest in adopted)
        self.n_objects = len(carried) - len(adopted)
        self.n_bytes = sum(item.size for item in carried.values()) - self.adopted_bytes
        self.n_present = len(kept)
        self.present_bytes = sum(item.size for item in kept.values())


def _verdict(image: Imported) -> str:
    if image.state.is_whole:
        return "whole" if image.runs_here or not image.state.whole else "whole, not for this node"
    whole = ", ".join(state.label for state in image.state.whole)
    return f"partial: {whole}"


def _imported_json(image: Imported, volumes: Mapping[Digest, int]) -> dict[str, Any]:
    return {
        **_image_json(image.names, image.root, image.status, image.before, image.state.states),
        "whole": image.state.is_whole,
        "runs_here": image.runs_here,
        **_rest_json(image.waiting_for, volumes, image.error),
    }


def _wanted_json(plan: ImportPlan, wanted: Wanted, volumes: Mapping[Digest, int]) -> dict[str, Any]:
    return {
        **_image_json(
            plan.kept_names(wanted),
            wanted.root,
            plan.status(wanted),
            plan.others(wanted),
            wanted.state.states,
        ),
        "objects": len(wanted.carried) if wanted.error is None else 0,
        "bytes": wanted.carried_bytes if wanted.error is None else 0,
        **_rest_json(wanted.waiting_for, volumes, wanted.error),
    }


def _unfit_json(root: Root, error: ImgsyncError) -> dict[str, Any]:
    return {
        **_image_json((root.label,), root.descriptor, "failed", {}, ()),
        **_rest_json((), {}, error),
    }


def _image_json(
    names: Sequence[str],
    root: Descriptor,
    status: str,
    before: Mapping[str, Digest],
    states: Iterable[PlatformState],
) -> dict[str, Any]:
    return {
        "names": list(names),
        "digest": str(root.digest),
        "status": status,
        "before": {name: str(digest) for name, digest in before.items()},
        "platforms": [{"platform": item.label, "whole": item.is_whole} for item in states],
    }


def _rest_json(
    waiting_for: Sequence[Descriptor], volumes: Mapping[Digest, int], error: ImgsyncError | None
) -> dict[str, Any]:
    value: dict[str, Any] = {}
    if error is not None:
        value["error"] = error.message
        value["hint"] = error.hint
    elif waiting_for:
        value["waiting_for"] = [
            {"digest": str(item.digest), "size": item.size, "volume": volumes.get(item.digest)}
            for item in waiting_for
        ]
    return value
