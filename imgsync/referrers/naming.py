"""Names for what came without one. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.model.bundle import Root


def with_own_name(root: Root, roots: Sequence[Root]) -> Root:
    """What has no repository, such as a referrer in a layout, in that of the image beside it.

    An image that has only a tag stays as it is: its repository is for the user to say.
    """
    if root.full_name is not None or (root.extra and root.subject is None):
        return root
    named = [other for other in roots if other.name is not None]
    about = (other for other in named if other.descriptor.digest == root.subject)
    name = next((other.name for other in (*about, *named)), None)
    if name is None:
        return root
    own = name.with_tag(root.tag) if root.tag else name.at(root.descriptor.digest)
    return replace(root, extra=str(own))
