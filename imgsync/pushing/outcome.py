"""What comes of a push, image by image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imgsync.transfer import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.errors import ImgsyncError
    from imgsync.model.bundle import AbsentReason, Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.pushing.request import PushItem


LEFT_OUT: Final = "left-out"


@dataclass(slots=True)
class Pushed:
    """One image that was asked for, and what came of it.

    Attributes:
        root: what stands at the target now; another digest than the item's if rewritten.
        expected: content that is not at the source, and that the destination must have.
        before: what the tag meant before, if it stood there.
        status: pushed, unchanged, skipped, waiting (for other volumes), left-out (it is about
            content that is not pushed) or failed.
        waiting_for: what is still to come, of an image that waits.
    """

    item: PushItem
    root: Root
    expected: dict[Digest, AbsentReason] = field(default_factory=dict)
    before: Descriptor | None = None
    status: str = "pushed"
    waiting_for: tuple[Descriptor, ...] = ()
    error: ImgsyncError | None = None

    def fail(self, error: ImgsyncError) -> None:
        """It is not pushed, for this reason."""
        self.status, self.error = "failed", error


@dataclass(slots=True)
class PushResult:
    """All images, in the order in which they were asked for, and the engine's figures.

    ``not_found_out`` is what could not be found out about images, each with its error.
    """

    pushed: list[Pushed]
    outcome: Outcome = field(default_factory=Outcome)
    not_found_out: list[tuple[str, ImgsyncError]] = field(default_factory=list)

    @property
    def n_asked(self) -> int:
        """How many things could have failed."""
        return n_asked_of(self.pushed) + len(self.not_found_out)

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """Each failed image with its error."""
        return [*failures_of(self.pushed), *self.not_found_out]


def failures_of(images: Iterable[Pushed]) -> list[tuple[str, ImgsyncError]]:
    """Those of these images that failed, by what messages call them."""
    return [(image.item.label, image.error) for image in images if image.error is not None]


def n_asked_of(images: Iterable[Pushed]) -> int:
    """How many of these could have failed: what is left out neither fails nor is pushed."""
    return sum(image.status != LEFT_OUT for image in images)
