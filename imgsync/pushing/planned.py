"""What a push has decided before anything moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.pushing.outcome import Pushed, failures_of, n_asked_of

if TYPE_CHECKING:
    from imgsync.errors import ImgsyncError
    from imgsync.plan import Plan
    from imgsync.pushing.gate import Gate
    from imgsync.pushing.targets import PushTarget
    from imgsync.stores import Source
    from imgsync.walk import Graph


@dataclass(slots=True)
class PushPlan:
    """A push that is decided and not yet begun; what ``--dry-run`` shows.

    Attributes:
        pushed: all images that were asked for.
        moving: those that the plan moves, in its order.
        gate: what makes, just before anything moves, what the plan takes to be there.
        not_found_out: what could not be found out about images, each with its error.
    """

    pushed: list[Pushed]
    moving: list[Pushed]
    plan: Plan
    sources: list[Source]
    destinations: list[PushTarget]
    graph: Graph
    gate: Gate | None = None
    not_found_out: list[tuple[str, ImgsyncError]] = field(default_factory=list)

    @property
    def n_asked(self) -> int:
        """How many things could have failed before anything moved."""
        return n_asked_of(self.pushed)

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """Each image that failed before anything moved."""
        return failures_of(self.pushed)
