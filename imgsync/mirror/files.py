"""The small files of a mirror: where they are, and how they are written so that they are whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import StoreError
from imgsync.stores.disk import turn_os_errors, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_STATE_BYTES: Final = 256 * 1024 * 1024


def state_path(label: str, environment: Mapping[str, str]) -> Path:
    """Where the state of a config is, unless ``--state`` says it.

    Under ``$XDG_STATE_HOME``; a cron job without HOME has it under ``/var/lib``. The name has a
    hash of the config's full path, so that two configs never share one.
    """
    home = environment.get("HOME", "")
    base = environment.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        folder = Path(base)
    elif home.startswith("/"):
        folder = Path(home, ".local", "state")
    else:
        folder = Path("/var/lib")
    full = os.path.realpath(label)
    key = hashlib.sha256(os.fsencode(full)).hexdigest()[:12]
    name = "".join(
        letter if letter.isalnum() or letter in "._-" else "-" for letter in Path(full).stem
    )
    return folder / "imgsync" / f"mirror-{name}-{key}.json"


def beside(path: Path, what: str) -> Path:
    """A file that belongs to a state: its receipts, its lock."""
    return path.with_name(f"{path.name.removesuffix('.json')}.{what}")


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file whole, in a folder that is made if it is not there.

    Raises:
        StoreError, NoSpace: it cannot be written; what was there stays.
    """
    with turn_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, data, mode=mode)


def read_if_there(path: Path) -> bytes | None:
    """The file's bytes, or None if there is none.

    Raises:
        StoreError: it is there and cannot be read, or has a size that it never has.
    """
    if not path.exists():
        return None
    with turn_os_errors(path):
        if path.stat().st_size > MAX_STATE_BYTES:
            raise StoreError(f"{path} is larger than {MAX_STATE_BYTES} bytes")
        return path.read_bytes()
