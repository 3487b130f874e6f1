"""The differences for people: a table, and layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.cli.output import human_size, table
from imgsync.comparing.differences import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.comparing.contents import ImageContents
    from imgsync.comparing.differences import Amount, Differences, ImageDiff, PlatformDiff

_MARKS: Final = {Change.ADDED: "+", Change.REMOVED: "-", Change.SAME: " "}


def differences_text(found: Differences, *, verbose: bool = False) -> str:
    """What differs; ``verbose`` adds the layers."""
    if found.is_same:
        return f"the same: {_counted(len(found.images), 'image')}, {_amount(found.shared)}"
    parts = []
    if found.changed:
        parts.append(
            table(
                ("CHANGE", "IMAGE", "BEFORE", "AFTER", "PLATFORMS", "NEW"),
                [_row(image) for image in found.changed],
                right="NEW",
            )
        )
    if verbose:
        parts += ["\n".join(_details(image)) for image in found.changed]
    parts.append("\n".join(_sums(found)))
    return "\n\n".join(parts)


def _row(image: ImageDiff) -> tuple[str, ...]:
    name = f"{image.old_name} -> {image.name}" if image.old_name else image.name
    platforms = "all"
    if image.before is not None and image.after is not None:
        names = [(_MARKS.get(item.change, ""), item.name) for item in image.platforms]
        platforms = " ".join(f"{mark}{name}" for mark, name in names if mark.strip())
    new = human_size(image.new.n_bytes) if image.new.n_objects else "-"
    return (str(image.change), name, _short(image.before), _short(image.after), platforms, new)


def _details(image: ImageDiff) -> Iterator[str]:
    yield f"{image.name} {image.change}"
    for platform in image.platforms:
        yield f"  {platform.name}: {_manifests(platform)}"
        for item in platform.layers:
            mark = _MARKS[item.change]
            new = "  new" if item.is_new else ""
            yield f"    {mark} {item.layer.digest.short}  {human_size(item.layer.size):>10}{new}"
        if platform.is_config_only:
            yield "      the layers are the same, the configuration is another"


def _manifests(platform: PlatformDiff) -> str:
    before, after = platform.before, platform.after
    if before is None or after is None or platform.change is Change.SAME:
        known = after or before
        digest = known.manifest.digest.short if known is not None else ""
        return f"{platform.change} {digest}"
    return f"{before.manifest.digest.short} -> {after.manifest.digest.short}"


def _sums(found: Differences) -> Iterator[str]:
    counts = [f"{found.count(change)} {change}" for change in Change if found.count(change) > 0]
    yield f"images: {', '.join(counts)}"
    yield f"new: {_amount(found.new)}"
    yield f"shared: {_amount(found.shared)}"
    yield f"gone: {_amount(found.gone)}"


def _short(image: ImageContents | None) -> str:
    return image.root.digest.short if image is not None else "-"


def _amount(amount: Amount) -> str:
    return f"{_counted(amount.n_objects, 'object')}, {human_size(amount.n_bytes)}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
