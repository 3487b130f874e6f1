"""How many bytes a run would send, for a dry run that may read manifests. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.pushing.planned import PushPlan


@dataclass(slots=True)
class Measured:
    """What the batches so far would send.

    Attributes:
        n_bytes: of all objects that are missing; one that several repositories of a registry lack
            counts once, since it is mounted into the others.
    """

    n_bytes: int = 0
    _seen: set[tuple[str, Digest]] = field(default_factory=set)

    def add(self, planned: PushPlan) -> dict[int, int]:
        """Count a plan; for each image, by its id, the bytes that it is the first to need."""
        going: dict[tuple[int, Digest], int] = {}
        for step in planned.plan.steps:
            target = planned.destinations[step.destination]
            key = target.mounts_with or target.side, step.descriptor.digest
            # A document is sent to each repository, a blob once to each registry.
            if step.descriptor.is_document or (step.mount_from is None and key not in self._seen):
                going[step.destination, step.descriptor.digest] = step.descriptor.size
                self._seen.add(key)
        self.n_bytes += sum(going.values())
        return {
            id(image): sum(
                going.pop((wanted.destination, item.digest), 0)
                for item in planned.graph.closure([image.root.descriptor])
            )
            for wanted, image in zip(planned.plan.wanted, planned.moving, strict=True)
        }
