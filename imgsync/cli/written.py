"""Small files that a command writes: whole under their final name, or not at all."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Final

from imgsync.stores.disk import turn_os_errors, write_whole

STDOUT: Final = "-"


def write_output(path: str, data: bytes) -> None:
    """Write a file, or standard output for ``-``; a name that ends with ``.gz`` is compressed.

    Raises:
        NoSpace, NotFound, AccessDenied, StoreError: it cannot be written; what was there stays.
    """
    if path == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if path.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    final = Path(path)
    if final.exists() and not final.is_file():
        # A device or a pipe: nothing could be renamed over it.
        with turn_os_errors(path):
            final.write_bytes(data)
        return
    write_whole(final, data)
