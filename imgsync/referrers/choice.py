"""Which of the things about an image come along: ``--referrers all|none|TYPE``. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Self

from imgsync.errors import Conflict, InvalidInput
from imgsync.model.manifest import Manifest
from imgsync.model.media_types import IMAGE_CONFIGS, OCI_EMPTY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from imgsync.model.manifest import Document

ALL: Final = "all"
NONE: Final = "none"


@dataclass(frozen=True, slots=True)
class ReferrerChoice:
    """Globs of types; ``all`` is one glob for everything, ``none`` is no glob at all."""

    globs: tuple[str, ...] = ("*",)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read the values of ``--referrers``; each may be a list with commas.

        Raises:
            InvalidInput: a part is empty.
            Conflict: ``all`` or ``none`` together with something else.
        """
        parts = [part.strip() for text in texts for part in text.split(",")]
        if not parts or parts == [ALL]:
            return cls()
        if parts == [NONE]:
            return cls(())
        if not all(parts):
            msg = "--referrers: a type is empty"
            raise InvalidInput(msg, hint="all, none, or types like application/spdx+json")
        if {ALL, NONE} & set(parts):
            msg = f"--referrers {','.join(parts)}: all and none stand alone"
            raise Conflict(msg, hint="all, none, or types like application/spdx+json")
        return cls(tuple(parts))

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return "*" in self.globs

    @property
    def is_none(self) -> bool:
        """Whether nothing comes along, so that nothing need be looked for."""
        return not self.globs

    def wants(self, kinds: Collection[str]) -> bool:
        """Whether something that is all of these types comes along."""
        return self.is_all or any(
            fnmatchcase(kind, glob) for kind in kinds if kind for glob in self.globs
        )

    def __str__(self) -> str:
        """As it could be typed."""
        return ALL if self.is_all else ",".join(self.globs) or NONE


def artifact_type_of(document: Document) -> str:
    """The type as the referrers API tells it: the document's own, else that of its config."""
    if document.artifact_type or not isinstance(document, Manifest):
        return document.artifact_type
    return document.config.media_type


def kinds_of(document: Document) -> tuple[str, ...]:
    """All types by which something about an image can be chosen.

    What cosign keeps under tags has the config of an image; there only the layers say what it is.
    """
    if not isinstance(document, Manifest):
        return (document.artifact_type,)
    config = document.config.media_type
    own = () if config in IMAGE_CONFIGS or config == OCI_EMPTY else (config,)
    return (document.artifact_type, *own, *(layer.media_type for layer in document.layers))
