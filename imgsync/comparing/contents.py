"""Contents: what anything that holds images has, in one form to compare. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest


@dataclass(frozen=True, slots=True)
class PlatformContents:
    """One platform of an image."""

    manifest: Descriptor
    config: Descriptor | None
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class ImageContents:
    """One name, or one root without a name.

    Attributes:
        platforms: those that are whole, by their names, in the order of the index.
        objects: everything that it is made of and that is there.
    """

    root: Descriptor
    platforms: Mapping[str, PlatformContents]
    objects: frozenset[Digest]


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that is compared.

    Attributes:
        label: how messages call it.
        images: by name; what has none by its label with its digest.
        sizes: bytes of every object that is there.
    """

    label: str
    images: Mapping[str, ImageContents] = field(default_factory=dict)
    sizes: Mapping[Digest, int] = field(default_factory=dict)


def together(label: str, parts: Iterable[Contents]) -> Contents:
    """Several as one, as a list of images is; of two equal names the last one counts."""
    images: dict[str, ImageContents] = {}
    sizes: dict[Digest, int] = {}
    for part in parts:
        images.update(part.images)
        sizes.update(part.sizes)
    return Contents(label, images, sizes)
