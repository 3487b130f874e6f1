"""Where the user's own files are. In an empty root (a container, a chroot) there may be nobody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def home_of(environ: Mapping[str, str]) -> Path:
    """The home directory; the root directory where neither HOME nor a user database says it."""
    try:
        return Path(environ.get("HOME") or "~").expanduser()
    except RuntimeError:
        return Path("/")
