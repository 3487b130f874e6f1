"""Versions, in the order of semver.org 2.0.0.

Tags are written by people, so `Version.of_tag` also takes ``v1.2.3``, the partial ``1.25`` and
``7``, leading zeros (``22.04``), and ``_`` for the ``+`` that a tag cannot have (Helm writes its
charts so). A lone number of six digits or more is a date, and no version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Final, Self

IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_STRICT = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    rf"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    rf"(?:\+({IDENTIFIERS}))?",
    re.ASCII,
)
_TAG = re.compile(
    rf"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-({IDENTIFIERS}))?(?:[+_]([0-9A-Za-z._-]+))?",
    re.ASCII | re.IGNORECASE,
)
_MAX_LONE_DIGITS: Final = 5
MAX_DIGITS: Final = 18
"""More are no version number, and a cost to compare."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """A version; equal and ordered by what semver.org calls precedence, without build metadata.

    Attributes:
        numbers: major, minor, patch; those that were not written are 0.
        prerelease: the identifiers behind the dash, without it; empty for a release.
        build: what stands behind the plus.
        n_parts: how many numbers were written, 1 to 3.
    """

    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...] = ()
    build: str = ""
    n_parts: int = 3

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a version exactly as semver.org defines it, or None."""
        found = _STRICT.fullmatch(text)
        return cls._of(found) if found is not None else None

    @classmethod
    def of_tag(cls, tag: str) -> Self | None:
        """Read a tag as a version, in the ways that people write them, or None."""
        found = _TAG.fullmatch(tag)
        if found is None or any(len(part or "") > MAX_DIGITS for part in found.groups()[:3]):
            return None
        is_date = found[2] is None and len(found[1]) > _MAX_LONE_DIGITS
        return None if is_date else cls._of(found)

    @classmethod
    def _of(cls, found: re.Match[str]) -> Self:
        major, minor, patch, prerelease, build = found.groups()
        written = [int(part) for part in (major, minor, patch) if part is not None]
        numbers = (*written, 0, 0)[:3]
        return cls(
            (numbers[0], numbers[1], numbers[2]),
            tuple(prerelease.split(".")) if prerelease else (),
            build or "",
            len(written),
        )

    @property
    def is_prerelease(self) -> bool:
        """Whether something stands behind a dash; ``7.2-alpine`` counts too."""
        return bool(self.prerelease)

    @property
    def _precedence(self) -> tuple[object, ...]:
        # A release comes after its pre-releases; numbers come before words.
        identifiers = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease
        )
        return (self.numbers, not self.prerelease, identifiers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._precedence == other._precedence

    def __hash__(self) -> int:
        return hash(self._precedence)

    def __lt__(self, other: Version) -> bool:
        return self._precedence < other._precedence

    def __str__(self) -> str:
        """``1.2.3-rc.1+build``; parts that were not written are zeros."""
        text = ".".join(map(str, self.numbers))
        text += f"-{'.'.join(self.prerelease)}" if self.prerelease else ""
        return text + (f"+{self.build}" if self.build else "")
