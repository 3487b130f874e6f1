"""Small files and texts that options name, read and taken apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from imgsync.errors import InvalidInput

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
