"""Ranges of versions, as npm and Masterminds have them.

A range is comparisons, all of which must hold, with blanks or commas between; ``||`` stands
between alternatives: ``>=1.25 <2``, ``~1.4``, ``^2.1 || 3.x``, ``1.2 - 1.4``. Pre-releases are in
a range only if one of its comparisons names a pre-release, or if they were asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NoReturn, Self

from imgsync.errors import InvalidInput
from imgsync.mirror.semver import IDENTIFIERS, MAX_DIGITS, Version

_WILD: Final = frozenset("xX*")
_OPERATORS: Final = "=>|>=|=<|<=|!=|==|~>|=|>|<|~|\\^|"
_PARTIAL = rf"v?(?:\d+|[xX*])(?:\.(?:\d+|[xX*])){{0,2}}(?:-{IDENTIFIERS})?(?:\+{IDENTIFIERS})?"
_COMPARISON = re.compile(rf"({_OPERATORS})\s*({_PARTIAL})(?=[\s,]|$)", re.ASCII)
_HYPHEN = re.compile(rf"({_PARTIAL})\s+-\s+({_PARTIAL})", re.ASCII)
_BETWEEN = re.compile(r"[\s,]*")
_SAME: Final = {"=>": ">=", "=<": "<=", "==": "=", "": "=", "~>": "~"}


@dataclass(frozen=True, slots=True)
class _Bounds:
    """``low <= version < high``; outside of them if ``inverted``. None is no bound."""

    low: Version | None = None
    high: Version | None = None
    inverted: bool = False

    def holds(self, version: Version) -> bool:
        is_within = (self.low is None or self.low <= version) and (
            self.high is None or version < self.high
        )
        return is_within != self.inverted


@dataclass(frozen=True, slots=True)
class _Group:
    bounds: tuple[_Bounds, ...]
    names_prerelease: bool


@dataclass(frozen=True, slots=True)
class Range:
    """Which versions are wanted; see the module's docstring."""

    text: str
    _groups: tuple[_Group, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a range.

        Raises:
            InvalidInput: names the part that is none.
        """
        return cls(text.strip(), tuple(_group(part, text) for part in text.split("||")))

    def holds(self, version: Version, *, prereleases: bool = False) -> bool:
        """Whether the version is in the range."""
        return any(
            (prereleases or group.names_prerelease or not version.is_prerelease)
            and all(bounds.holds(version) for bounds in group.bounds)
            for group in self._groups
        )

    def __str__(self) -> str:
        """As it was written."""
        return self.text


def _group(text: str, whole: str) -> _Group:
    bounds: list[_Bounds] = []
    named: list[str] = []
    rest = text.strip()
    if not rest:
        _refuse(whole, "a part of it is empty")
    while rest:
        hyphen = _HYPHEN.match(rest)
        found = hyphen or _COMPARISON.match(rest)
        if found is None:
            _refuse(whole, f"{rest!r} is no comparison")
        if hyphen is not None:
            bounds += [_bounds(">=", hyphen[1]), _bounds("<=", hyphen[2])]
            named += [hyphen[1], hyphen[2]]
        else:
            bounds.append(_bounds(_SAME.get(found[1], found[1]), found[2]))
            named.append(found[2])
        end = _BETWEEN.match(rest, found.end())
        rest = rest[end.end() if end is not None else found.end() :]
    return _Group(tuple(bounds), any("-" in part.partition("+")[0] for part in named))


def _bounds(operator: str, text: str) -> _Bounds:
    version, n_parts = _partial(text)
    # What comes directly behind everything that `1.2` or `1.2.x` stands for.
    after = _bumped(version, n_parts) if n_parts < 3 else _next(version)
    match operator:
        case "=":
            return _Bounds(version if n_parts else None, after)
        case "!=":
            return _Bounds(version if n_parts else None, after, inverted=True)
        case ">=":
            return _Bounds(version if n_parts else None)
        case ">":
            return _Bounds(after or _NOTHING)
        case "<=":
            return _Bounds(None, after)
        case "<":
            if n_parts < 3 and not version.prerelease:
                # `<2` is meant to leave out 2.0.0-rc.1 too.
                return _Bounds(None, _first(version.numbers) if n_parts else _first((0, 0, 0)))
            return _Bounds(None, version)
        case "~":
            return _Bounds(version if n_parts else None, _bumped(version, min(n_parts, 2)))
        case _:
            return _Bounds(version if n_parts else None, _bumped(version, _caret(version, n_parts)))


_NOTHING: Final = Version((10**MAX_DIGITS, 0, 0))


def _partial(text: str) -> tuple[Version, int]:
    """The version with zeros for what is not said, and how many numbers are said."""
    core, dash, prerelease = text.partition("+")[0].removeprefix("v").partition("-")
    numbers: list[int] = []
    for part in core.split("."):
        if part in _WILD:
            break
        numbers.append(int(part[:MAX_DIGITS]))
    padded = (*numbers, 0, 0, 0)
    return Version(
        (padded[0], padded[1], padded[2]), tuple(prerelease.split(".")) if dash else ()
    ), len(numbers)


def _caret(version: Version, n_parts: int) -> int:
    """How many numbers of the version must stay: up to the first that is not zero."""
    for position, number in enumerate(version.numbers[:n_parts], 1):
        if number:
            return position
    return n_parts


def _bumped(version: Version, n_parts: int) -> Version | None:
    """The first of all versions behind those that begin with these numbers; None: there is none."""
    if n_parts == 0:
        return None
    numbers = [*version.numbers[:n_parts], 0, 0][:3]
    numbers[n_parts - 1] += 1
    return _first((numbers[0], numbers[1], numbers[2]))


def _first(numbers: tuple[int, int, int]) -> Version:
    """The lowest version with these numbers, below all of its pre-releases."""
    return Version(numbers, ("0",))


def _next(version: Version) -> Version:
    """The lowest version above this one."""
    if version.prerelease:
        return Version(version.numbers, (*version.prerelease, "0"))
    major, minor, patch = version.numbers
    return _first((major, minor, patch + 1))


def _refuse(text: str, why: str) -> NoReturn:
    msg = f"{text!r} is not a range of versions: {why}"
    raise InvalidInput(msg, hint='for example ">=1.25 <2"')
