"""What is not loaded, and what is loaded in part: said before the first write. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import ContentError, ImgsyncError, MissingContent, SizeMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.platform import Platform
    from imgsync.stores.containerd.wanted import Wanted
    from imgsync.walk import Graph


def refusal(
    wanted: Wanted, graph: Graph, needed: Platform | None, side: str
) -> ImgsyncError | None:
    """Why an image must not be loaded, if so; ``needed`` is the platform that must be whole.

    Damage is refused, what was left out is not, as long as the node can run the image.
    """
    for item in wanted.closure:
        problem = graph.problems.get(item.digest) if item.digest in wanted.lacking else None
        if isinstance(problem, ContentError) and not isinstance(problem, MissingContent):
            return problem
        if item.digest in wanted.damaged:
            return SizeMismatch(item, wanted.damaged[item.digest], side=side)
    if wanted.relied_on:
        msg = f"{wanted.label}: {side} relies on {_list(wanted.relied_on)}, which is not there"
        hint = "bundle it again with a fresh inventory, or without --have"
        return MissingContent(msg, hint=hint)
    if not wanted.lacking:
        return None
    whole = ", ".join(state.label for state in wanted.state.whole) or "none"
    if (wanted.root.digest in wanted.lacking and not wanted.waits) or wanted.state.absent_indexes:
        msg = f"{side} does not have its {wanted.root.short}"
        return MissingContent(msg, hint="make the archive again")
    own = wanted.state.for_host(needed) if needed is not None else None
    if own is not None and own.is_whole:
        return None
    what = "is not in it" if own is None else f"lacks {_list(own.absent)}"
    msg = f"{needed} {what}; whole platforms: {whole}"
    return MissingContent(
        msg, hint="make the archive again with this platform, or with all: imgsync bundle"
    )


def note(wanted: Wanted) -> str:
    """One line about what stays away, for an image that is loaded in part; else empty."""
    if not wanted.lacking or wanted.waits:
        return ""
    whole = ", ".join(state.label for state in wanted.state.whole)
    absent = wanted.state.incomplete
    named = [state.label for state in absent if state.platform and not state.platform.is_unknown]
    if len(absent) > len(named):
        named.append(f"{len(absent) - len(named)} attestations")
    return f"{wanted.label}: loaded for {whole}; absent: {', '.join(named)}"


def _list(items: Sequence[Descriptor]) -> str:
    more = f" and {len(items) - 2} more" if len(items) > 2 else ""
    return ", ".join(item.short for item in items[:2]) + more
