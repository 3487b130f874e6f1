"""The plan of a bundle, for ``--dry-run``: what would move, and what is shared."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from imgsync.cli.output import human_size, table
from imgsync.model.tar_layout import tar_layout

if TYPE_CHECKING:
    from imgsync.bundling.preparing import Chosen, Prepared
    from imgsync.model.digest import Digest


def plan_text(prepared: Prepared) -> str:
    """A table of the images, and the sums."""
    value = plan_json(prepared)
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
        "read, which is what a registry counts"
    )
    if value["absent_objects"]:
        lines.append(
            f"left out: {value['absent_objects']} objects of platforms that were not chosen; "
            "pushing to a registry needs --rewrite-index"
        )
    lines.extend(f"cannot be had: {name}" for name in value["failed"])
    return "\n".join(lines)


def plan_json(prepared: Prepared) -> dict[str, Any]:
    """The same for programs; sizes in bytes."""
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
        "failed": [label for label, _ in prepared.failures],
    }


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
