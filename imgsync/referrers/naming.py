"""Names for what came without one. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.bundle import Root


def with_own_name(root: Root, roots: Sequence[Root]) -> Root:
    """A root without any name, such as a referrer in a layout, in the repository beside it."""
    named = next((other.name for other in roots if other.name is not None), None)
    if root.name is not None or root.extra or named is None:
        return root
    return replace(root, extra=str(named.at(root.descriptor.digest)))
