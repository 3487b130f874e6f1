"""What repositories of one registry share across the batches of a run.

A plan lets each blob of a registry be sent once and mounted into its other repositories, as far
as they are in the same plan. A mirror moves in batches, so that it can stop between them; this
remembers which repository got a blob in an earlier one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.plan import Step
    from imgsync.pushing.planned import PushPlan
    from imgsync.pushing.targets import PushTarget


class Mounts:
    """For each registry and blob, a repository that has it."""

    def __init__(self) -> None:
        self._holders: dict[tuple[str, Digest], PushTarget] = {}

    def use(self, planned: PushPlan) -> None:
        """Let the plan mount what an earlier batch has brought."""
        places = {id(target): place for place, target in enumerate(planned.destinations)}

        def mounting(step: Step) -> Step:
            target = planned.destinations[step.destination]
            holder = self._holders.get((target.mounts_with, step.descriptor.digest))
            if step.mount_from is not None or holder is None or holder is target:
                return step
            place = places.setdefault(id(holder), len(planned.destinations))
            if place == len(planned.destinations):
                planned.destinations.append(holder)
            return replace(step, mount_from=place)

        steps = tuple(mounting(step) for step in planned.plan.steps)
        planned.plan = replace(planned.plan, steps=steps)

    def learn(self, planned: PushPlan) -> None:
        """Remember what the images of a plan that succeeded are made of."""
        for wanted, image in zip(planned.plan.wanted, planned.moving, strict=True):
            target = planned.destinations[wanted.destination]
            if image.error is not None or not target.mounts_with:
                continue
            for item in planned.graph.closure([wanted.root.descriptor]):
                if not item.is_document:
                    self._holders.setdefault((target.mounts_with, item.digest), target)
