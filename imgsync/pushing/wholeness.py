"""What of an image its source brings, relies on, or lacks: decided before the first write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError, MissingContent, SizeMismatch
from imgsync.model.bundle import AbsentReason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.pushing.request import PushItem
    from imgsync.walk import Graph


@dataclass(frozen=True, slots=True)
class Wholeness:
    """An image's content, by where it is.

    Attributes:
        lacking: not at the source, and nobody says that the destination has it.
        expected: not at the source; the destination must have it (a delta, a volume).
        error: the image is damaged or cannot be read.
    """

    lacking: dict[Digest, Descriptor] = field(default_factory=dict)
    expected: dict[Digest, AbsentReason] = field(default_factory=dict)
    error: ImgsyncError | None = None


def wholeness(item: PushItem, graph: Graph, held: Mapping[Digest, int] | None) -> Wholeness:
    """Compare what an image needs with what its source has and declares.

    ``held`` is all that the source has, by size; None where it must be asked for each object.
    """
    lacking: dict[Digest, Descriptor] = {}
    expected: dict[Digest, AbsentReason] = {}
    for descriptor in graph.closure([item.root.descriptor]):
        digest = descriptor.digest
        why = item.absent.get(digest)
        is_here = digest in held if held is not None else why is None
        if why is not None and (not is_here or why is AbsentReason.PLATFORM):
            if why is AbsentReason.PLATFORM:
                lacking[digest] = descriptor
            else:
                expected[digest] = why
        elif not is_here:
            lacking[digest] = descriptor
        elif held is not None and held[digest] != descriptor.size:
            error = SizeMismatch(descriptor, held[digest], side=item.source.side)
            return Wholeness(error=error)
        elif digest in graph.problems:
            return Wholeness(error=graph.problems[digest])
    return Wholeness(lacking, expected)


def undeclared(item: PushItem, whole: Wholeness) -> MissingContent | None:
    """The error of content that is neither here nor declared to be left out, if there is any."""
    lost = [item_ for digest, item_ in whole.lacking.items() if digest not in item.absent]
    if not lost:
        return None
    more = f" and {len(lost) - 1} more objects" if len(lost) > 1 else ""
    return MissingContent(
        f"{item.source.side} lacks {lost[0].short}{more} of {item.label}",
        hint="it was made without all platforms; --rewrite-index pushes those that are whole",
    )
