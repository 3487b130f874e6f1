"""Which tags a project's rules make immutable, decided as Harbor decides it. Pure.

Harbor, src/pkg/immutable/match/rule/match.go: a tag is immutable if one rule that is not disabled
covers its repository (without the project) and the tag; of a rule's selectors only the first
counts. Patterns are those of bmatcuk/doublestar 1.x: matched part by part between slashes, ``**``
is only special as a whole part, and an empty pattern is everything.

Nothing here lets a push through that Harbor would refuse: a pattern that cannot be read is one
that does not match, as there, and then the registry has the last word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Selector:
    """One pattern; ``excludes`` turns it round."""

    pattern: str
    excludes: bool = False

    def covers(self, text: str) -> bool:
        """Whether a repository or a tag is selected."""
        found = matches(self.pattern, text)
        return found is not None and found != self.excludes

    @property
    def text(self) -> str:
        """For people."""
        return f"all but {self.pattern}" if self.excludes else self.pattern or "**"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule about tags of some repositories of a project."""

    repositories: Selector
    tags: Selector
    is_enabled: bool = True

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a rule of ``/immutabletagrules`` or of a retention policy.

        One without selectors covers nothing.
        """
        scopes = value.get("scope_selectors")
        repositories = _first(scopes.get("repository") if isinstance(scopes, dict) else None)
        tags = _first(value.get("tag_selectors"))
        is_enabled = value.get("disabled") is not True
        nothing = Selector("**", excludes=True)
        return cls(repositories or nothing, tags or nothing, is_enabled)

    def covers(self, repository: str, tag: str) -> bool:
        """Whether this tag may not be written again; the repository is without its project."""
        return self.is_enabled and self.repositories.covers(repository) and self.tags.covers(tag)

    def __str__(self) -> str:
        """For people."""
        off = "" if self.is_enabled else " (off)"
        return f"{self.repositories.text}:{self.tags.text}{off}"


def covering(rules: Iterable[Rule], repository: str, tag: str) -> Rule | None:
    """The rule that makes a tag immutable, if there is one."""
    return next((rule for rule in rules if rule.covers(repository, tag)), None)


def matches(pattern: str, text: str) -> bool | None:
    """Whether a pattern matches all of a text; None if it is no valid pattern."""
    if not pattern:
        return True
    try:
        parts = [_part(part) for part in _split(pattern, "/")]
    except _BadPattern:
        return None
    return _match(parts, text.split("/"))


def _match(patterns: Sequence[re.Pattern[str] | None], parts: Sequence[str]) -> bool:
    """Part by part; None among the patterns is ``**``."""
    for number, pattern in enumerate(patterns):
        if pattern is None:
            rest = patterns[number + 1 :]
            # It stands for any number of parts before others, at the end for one or more.
            return any(
                not rest or _match(rest, parts[begin:]) for begin in range(number, len(parts))
            )
        if number >= len(parts) or pattern.fullmatch(parts[number]) is None:
            return False
    return len(parts) == len(patterns)


class _BadPattern(Exception):
    """Harbor calls it that too, and selects nothing."""


@lru_cache(maxsize=512)
def _part(pattern: str) -> re.Pattern[str] | None:
    return None if pattern == "**" else re.compile(_regex(pattern), re.DOTALL)


def _regex(pattern: str) -> str:
    regex, position = "", 0
    while position < len(pattern):
        letter = pattern[position]
        position += 1
        match letter:
            case "*":
                regex += ".*"
            case "?":
                regex += "."
            case "\\":
                if position == len(pattern):
                    raise _BadPattern
                regex += re.escape(pattern[position])
                position += 1
            case "[":
                end = _end(pattern, position, "]")
                regex += _class(pattern[position:end])
                position = end + 1
            case "{":
                end = _end(pattern, position, "}")
                options = (_regex(option) for option in _split(pattern[position:end], ","))
                regex += f"(?:{'|'.join(options)})"
                position = end + 1
            case _:
                regex += re.escape(letter)
    return regex


def _class(text: str) -> str:
    """A character class: single letters and ranges, turned round by a leading ``^``."""
    inside = text.removeprefix("^")
    if re.fullmatch(r"(?:(?:\\.|[^\\-])(?:-(?:\\.|[^\\-]))?)+", inside, re.DOTALL) is None:
        raise _BadPattern
    ranges = re.findall(r"\\?(.)(?:-\\?(.))?", inside, re.DOTALL)
    body = "".join(
        f"{re.escape(first)}-{re.escape(last)}" if last else re.escape(first)
        for first, last in ranges
        if not last or first <= last  # there, a range that goes backwards holds nothing
    )
    if not body:
        return "." if text != inside else "(?!)"
    return f"[^{body}]" if text != inside else f"[{body}]"


def _end(pattern: str, position: int, closing: str) -> int:
    while position < len(pattern):
        if pattern[position] == closing:
            return position
        position += 2 if pattern[position] == "\\" else 1
    raise _BadPattern


def _split(text: str, separator: str) -> list[str]:
    """Between separators that are not escaped; as there, also within braces."""
    parts, begin, position = [], 0, 0
    while position < len(text):
        if text[position] == separator:
            parts.append(text[begin:position])
            begin = position + 1
        position += 2 if text[position] == "\\" else 1
    return [*parts, text[begin:]]


def _first(value: object) -> Selector | None:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return None
    pattern, decoration = value[0].get("pattern"), value[0].get("decoration")
    if not isinstance(pattern, str) or not isinstance(decoration, str):
        return None
    return Selector(pattern, decoration.lower().endswith("excludes"))
