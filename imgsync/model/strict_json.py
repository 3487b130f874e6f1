"""JSON that every reader understands in the same way, or not at all.

Python's parser keeps the last of two equal keys, others keep the first: an image could then show
one content to imgsync and another to containerd. Such documents are refused (CVE-2021-41190 is
of this family), as are NaN, invalid UTF-8 and nesting deep enough to exhaust a parser.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from imgsync.errors import InvalidManifest

MAX_DEPTH: Final = 64
"""Far above any document of the image-spec, far below what a recursive parser bears."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse_object(raw: bytes, where: str) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        InvalidManifest: not UTF-8, not JSON, duplicate keys, too deep, or not an object.
    """
    value = parse(raw, where)
    if not isinstance(value, dict):
        msg = f"{where} is not a JSON object"
        raise InvalidManifest(msg)
    return value


def parse(raw: bytes, where: str) -> Any:
    """Read any JSON value; see `parse_object`."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{where} is not UTF-8 (byte {error.start})"
        raise InvalidManifest(msg) from None
    _check_depth(text, where)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            msg = f"{where} has a JSON key twice; tools would read it in different ways"
            raise InvalidManifest(msg)
        return value

    def no_constant(name: str) -> NoReturn:
        msg = f"{where} holds {name}, which is not JSON"
        raise InvalidManifest(msg)

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except ValueError as error:
        msg = f"{where} is not JSON: {error}"
        raise InvalidManifest(msg) from None


def canonical(value: object) -> bytes:
    """The bytes that imgsync writes for this value: sorted keys, no blanks, UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _check_depth(text: str, where: str) -> None:
    # An upper bound is enough for almost every document.
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "{[" else -1
        if depth > MAX_DEPTH:
            msg = f"{where} is nested more than {MAX_DEPTH} levels deep"
            raise InvalidManifest(msg)
