"""Bundle: names, roots, what they are made of, and what was left out with its reason.

A platform subset, a delta and a volume are one concept: a bundle with something absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from imgsync.errors import InvalidReference
from imgsync.model.reference import Reference, is_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest


class AbsentReason(StrEnum):
    """Why content is declared absent."""

    PLATFORM = "platform-not-chosen"
    RECEIVER = "relied-on-at-receiver"
    VOLUME = "in-other-volume"


@dataclass(frozen=True, slots=True)
class Root:
    """One name for one root descriptor.

    Attributes:
        name: what the image is called, as it stands in ``index.json``; None for an extra root
            (a referrer or other content that no runtime runs).
        descriptor: the index or manifest that the name means.
        origin: where it was read from, with the digest that was read; kept for ever.
        platforms: the choice it was made with, as typed; an empty text is all.
        extra: for an extra root, its own name or tag (``io.imgsync.*`` annotations).
        subject: for a referrer, the digest that it is about.
    """

    name: Reference | None
    descriptor: Descriptor
    origin: str = ""
    platforms: str = ""
    extra: str = ""
    subject: Digest | None = None

    @property
    def label(self) -> str:
        """How messages call this root."""
        return (
            str(self.name) if self.name is not None else self.extra or str(self.descriptor.digest)
        )

    @property
    def full_name(self) -> Reference | None:
        """Its name, or that of an extra root; None where it has a mere label, such as ``1.0``."""
        if self.name is not None:
            return self.name
        try:
            name = Reference.parse(self.extra)
        except InvalidReference:
            return None
        return name if str(name) == self.extra else None  # else "1.0" was completed to a name

    @property
    def tag(self) -> str:
        """Its tag; oras, regctl and skopeo write just that into a layout, without a repository."""
        name = self.full_name
        if name is not None:
            return name.tag
        return self.extra if is_tag(self.extra) else ""

    def named(self, name: Reference) -> Self:
        """The same root under another name."""
        return replace(self, name=name)


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a store holds as a whole.

    Attributes:
        roots: in the order in which they stand in ``index.json``.
        absent: digests that are declared to be left out.
    """

    roots: tuple[Root, ...]
    absent: Mapping[Digest, AbsentReason] = field(default_factory=dict)
