"""Chosen: an image that a bundle is to have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.bundling.request import Request
    from imgsync.model.bundle import AbsentReason, Root
    from imgsync.model.digest import Digest


@dataclass(frozen=True, slots=True)
class Chosen:
    """A request whose root is known and whose documents are all read."""

    request: Request
    root: Root
    absent: Mapping[Digest, AbsentReason]
