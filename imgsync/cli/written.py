"""Small files that a command writes: whole under their final name, or not at all."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Final

from imgsync.cli.output import to_stdout
from imgsync.stores.disk import write_whole

STDOUT: Final = "-"


def write_output(path: str, data: bytes) -> None:
    """Write a file, or standard output for ``-``; a name that ends with ``.gz`` is compressed.

    Raises:
        NoSpace, NotFound, AccessDenied, StoreError: it cannot be written; what was there stays.
    """
    if path == STDOUT:
        with to_stdout():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return
    if path.endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    write_whole(Path(path), data)
