"""What is asked to be pushed where. Frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.model.bundle import AbsentReason, Root
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.referrers.collecting import Collector
    from imgsync.stores import Source

DIGEST_TAG: Final = "imgsync-{digest12}"
"""The tag of an image that has none: registries drop content without a tag."""


class OnExistingTag(StrEnum):
    """What to do where a tag stands at the destination with another digest."""

    OVERWRITE = "overwrite"
    SKIP = "skip"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class PushItem:
    """One image and where it goes.

    Attributes:
        label: how messages call it.
        target: registry, repository and tag; without a tag it is pushed by digest alone.
        absent: what the source declares to be left out.
        volumes: of a volume, which one of the set has each blob.
    """

    label: str
    root: Root
    target: Reference
    source: Source
    absent: Mapping[Digest, AbsentReason] = field(default_factory=dict)
    volumes: Mapping[Digest, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """The options of a push that are not about one image.

    Attributes:
        collector: looks for what is about the images, and chooses of what comes with them; None
            takes what comes and looks for nothing.
    """

    jobs: int = 4
    retries: int = 3
    rewrite_index: bool = False
    on_existing_tag: OnExistingTag = OnExistingTag.OVERWRITE
    collector: Collector | None = None


def digest_tag(template: str, digest: Digest) -> str:
    """The tag for an image that has none; an empty text for the template ``none``.

    ``{digest12}``, ``{digest}`` and ``{algorithm}`` stand for parts of its digest.
    """
    if template == "none":
        return ""
    return (
        template.replace("{digest12}", digest.hex[:12])
        .replace("{digest}", digest.hex)
        .replace("{algorithm}", digest.algorithm)
    )
