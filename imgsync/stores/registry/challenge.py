"""WWW-Authenticate, read by its grammar (RFC 9110, section 11.6.1). Pure.

A header may hold several challenges, a challenge several parameters, both separated by commas,
and quoted values hold commas of their own (``scope="repository:a:pull,push"``); so nothing less
than a tokenizer will do. A challenge may also be empty: Harbor's for a project that is missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(rf"({_WORD})\s*=\s*({_QUOTED}|{_WORD})", re.DOTALL)
_SCHEME = re.compile(rf"({_WORD})(?:\s+|(?=,)|$)")
_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*(?=\s*(?:,|$))")
_SEPARATOR = re.compile(r"[\s,]+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_JUNK = re.compile(r'"(?:[^"\\]|\\.)*"?|[^\s,"]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers; scheme and the names of parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """A parameter's value, or an empty text."""
        return self.parameters.get(name, "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """All challenges of all headers, in order; what breaks the grammar is passed over."""
    return tuple(challenge for header in headers for challenge in _challenges(header))


def _challenges(header: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(header):
        separator = _SEPARATOR.match(header, position)
        if separator:
            position = separator.end()
            continue
        parameter = _PARAMETER.match(header, position)
        if parameter and found:
            name, value = parameter.groups()
            # The first of two equal parameters: the second may have been smuggled in.
            found[-1][1].setdefault(name.lower(), _unquoted(value))
            position = parameter.end()
            continue
        scheme = _SCHEME.match(header, position)
        if scheme and not parameter:
            found.append((scheme[1].lower(), {}))
            position = scheme.end()
            credentials = _TOKEN68.match(header, position)
            if credentials and not _PARAMETER.match(header, position):
                position = credentials.end()
            continue
        junk = _JUNK.match(header, position)
        position = junk.end() if junk else position + 1
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _unquoted(value: str) -> str:
    return _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value
