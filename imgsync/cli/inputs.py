"""Small files and texts that options name, read and taken apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from imgsync.errors import InvalidInput
from imgsync.model.map_rule import is_host

STDIN: Final = "-"


def read_input(path: str, *, what: str) -> bytes:
    """A small file that a user named, or standard input for ``-``.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
    except OSError as error:
        msg = f"{what} {path}: {error.strerror or error}"
        raise InvalidInput(msg) from error


def split_host(text: str) -> tuple[str, str]:
    """``HOST=VALUE`` as both, ``VALUE`` with an empty host.

    What stands before the equals sign counts as a host only if docker would take it for one, so
    that a path or a user's name may have an equals sign.
    """
    host, equals, value = text.partition("=")
    return (host, value) if equals and "/" not in host and is_host(host) else ("", text)
