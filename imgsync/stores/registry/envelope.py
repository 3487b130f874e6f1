"""The error body of registries, ``{"errors": [{"code", "message", "detail"}]}``, read with care.

It may be missing, cut, HTML of a proxy, or hostile: its text ends up on a terminal. Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

ENVELOPE_BYTES: Final = 64 * 1024
"""The most that is read of an error's body."""

_SHOWN_CHARS: Final = 300
_MARKUP = re.compile(r"<[^>]*>")
_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})")


@dataclass(frozen=True, slots=True)
class Envelope:
    """The registry's own words.

    Attributes:
        codes: upper-case identifiers such as ``MANIFEST_UNKNOWN``.
        text: one line for people, without control characters.
        digests: those that the body names.
    """

    codes: tuple[str, ...] = ()
    text: str = ""
    digests: tuple[str, ...] = ()

    def has(self, *codes: str) -> bool:
        """Whether one of these codes was given."""
        return any(code in self.codes for code in codes)

    @property
    def words(self) -> str:
        """Code and text, for the end of a message."""
        return " ".join(part for part in (self.codes[0] if self.codes else "", self.text) if part)


def parse_envelope(body: bytes, media_type: str = "") -> Envelope:
    """Whatever can be understood of an error's body."""
    text = body.decode("utf-8", "replace")
    digests = tuple(dict.fromkeys(_DIGEST.findall(text)))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # Plain text, as of Go's http.NotFound, or a page of a proxy: then its title is enough.
        plain = _MARKUP.sub(" ", text) if "<" in text or "html" in media_type else text
        return Envelope((), _line(plain), digests)
    errors = value.get("errors") if isinstance(value, dict) else None
    entries = (
        [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    )
    if not entries and isinstance(value, dict):
        entries = [value]
    codes = tuple(
        _line(str(entry["code"])).upper() for entry in entries if isinstance(entry.get("code"), str)
    )
    messages = [_message(entry) for entry in entries]
    return Envelope(codes, _line("; ".join(dict.fromkeys(filter(None, messages)))), digests)


def printable(text: str) -> str:
    """Foreign text on one line, without anything that a terminal would obey."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _message(entry: dict[str, Any]) -> str:
    for key in ("message", "details", "error_description", "error", "Message"):
        text = entry.get(key)
        if isinstance(text, str) and text:
            return _once(text)
    return ""


def _once(text: str) -> str:
    """Harbor says its messages twice, ``X: X``."""
    half = (len(text) - 2) // 2
    return text[:half] if text[:half] + ": " + text[:half] == text else text


def _line(text: str) -> str:
    line = printable(text)
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}..."
