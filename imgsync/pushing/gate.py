"""Gate: what some registries tell before a push, beyond what the distribution-spec lets one ask.

Harbor is the one that there is (`imgsync.harbor.gate`). A push asks in this order: which
repositories take nothing, before anything else is asked of them; which images have content that
is not taken, when they were read; which tags must stay, when it is known what they mean; whether
there is room, when it is known what is missing; and, when nothing more can be refused, makes what
is to be made. Each of the first four marks images as failed, so that all conflicts are told at
once and the other images go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgsync.errors import ImgsyncError
    from imgsync.model.reference import Reference
    from imgsync.pushing.outcome import Pushed
    from imgsync.pushing.targets import Targets
    from imgsync.walk import Graph


class Gate(Protocol):
    """Refuses beforehand what a registry would refuse later."""

    def refused(self, targets: Collection[Reference]) -> Mapping[str, ImgsyncError]:
        """The repositories, by their names, that will not take anything, and why."""
        ...

    def check_digests(self, images: Sequence[Pushed], graph: Graph) -> None:
        """Fail the images that have content which it cannot name."""
        ...

    def check_tags(self, images: Sequence[Pushed]) -> None:
        """Fail the images whose tags stand with other content and must stay as they are."""
        ...

    def check_space(self, images: Sequence[Pushed], graph: Graph, targets: Targets) -> None:
        """Fail the images for which there is no room."""
        ...

    def begin(self, targets: Collection[Reference]) -> None:
        """Make what is missing for these; the first thing that is written."""
        ...
