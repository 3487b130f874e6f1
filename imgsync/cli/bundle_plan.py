"""The plan of a bundle, for ``--dry-run``: what would move, and what is shared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from imgsync.cli.output import at_rate, human_size, seconds_at, table
from imgsync.model.bundle import AbsentReason
from imgsync.model.tar_layout import tar_layout

if TYPE_CHECKING:
    from imgsync.bundling.chosen import Chosen
    from imgsync.bundling.preparing import Prepared
    from imgsync.model.digest import Digest


def plan_text(prepared: Prepared, rate: int | None = None) -> str:
    """A table of the images, and the sums."""
    value = plan_json(prepared, rate)
    rows = [
        (
            image["name"],
            image["digest"][:19],
            ",".join(image["platforms"]),
            human_size(image["bytes"]),
            human_size(image["shared_bytes"]),
        )
        for image in value["images"]
    ]
    lines = [table(("IMAGE", "DIGEST", "PLATFORMS", "SIZE", "SHARED"), rows, right="SIZE,SHARED")]
    lines.append(
        f"{len(rows)} images, {value['objects']} objects, {human_size(value['bytes'])} "
        f"in a file of {value['file_bytes']} bytes; {value['manifest_requests']} manifests were "
        f"read, which is what a registry counts{at_rate(value['bytes'], rate)}"
    )
    if value["absent_objects"]:
        size = human_size(value["absent_bytes"])
        lines.append(f"left out: {value['absent_objects']} objects, {size}: {_reasons(prepared)}")
    lines.extend(f"cannot be had: {name}" for name in value["failed"])
    return "\n".join(lines)


def plan_json(prepared: Prepared, rate: int | None = None) -> dict[str, Any]:
    """The same for programs; sizes in bytes, times in seconds."""
    lock = prepared.lock
    uses: Counter[Digest] = Counter()
    closures = [_present(prepared, item) for item in prepared.chosen]
    for closure in closures:
        uses.update(closure)
    images = [
        {
            "name": item.root.label,
            "digest": str(item.root.descriptor.digest),
            "platforms": _platforms(prepared, item),
            "bytes": sum(lock.objects[key].size for key in closure),
            "shared_bytes": sum(lock.objects[key].size for key in closure if uses[key] > 1),
        }
        for item, closure in zip(prepared.chosen, closures, strict=True)
    ]
    present = [lock.objects[key] for key in lock.objects if key not in lock.absent]
    return {
        "images": sorted(images, key=lambda image: str(image["name"])),
        "objects": len(present),
        "bytes": sum(item.size for item in present),
        "file_bytes": tar_layout(lock).size,
        "manifest_requests": len(prepared.graph.documents),
        "absent_objects": len(lock.absent),
        "absent_bytes": sum(lock.objects[key].size for key in lock.absent),
        "requests": len(lock.objects) - len(lock.absent) + len(prepared.chosen),
        "seconds": seconds_at(sum(item.size for item in present), rate),
        "failed": [label for label, _ in prepared.failures],
    }


def _reasons(prepared: Prepared) -> str:
    words = {
        AbsentReason.PLATFORM: "platforms that were not chosen (pushing needs --rewrite-index)",
        AbsentReason.RECEIVER: "the receiver has them",
        AbsentReason.VOLUME: "in other volumes",
    }
    return ", ".join(words[reason] for reason in sorted(set(prepared.lock.absent.values())))


def _present(prepared: Prepared, item: Chosen) -> set[Digest]:
    return {
        descriptor.digest
        for descriptor in prepared.graph.closure([item.root.descriptor])
        if descriptor.digest not in prepared.lock.absent
    }


def _platforms(prepared: Prepared, item: Chosen) -> list[str]:
    """The platforms that are in the bundle, attestations aside."""
    found = []
    for descriptor, manifest in prepared.graph.manifests(item.root.descriptor):
        platform = prepared.lock.objects[descriptor.digest].platform
        is_here = all(child.digest not in prepared.lock.absent for child in manifest.children)
        if platform is not None and not platform.is_unknown and is_here:
            found.append(str(platform))
    return sorted(set(found))
