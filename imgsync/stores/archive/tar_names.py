"""Names of tar members: normalised, or refused. Pure.

``./a//b`` and ``a/b`` are one name. A name that could mean a place outside of the archive, to any
tool on any system, is refused: whoever extracts such a tar by hand would be hurt by it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidArchive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAX_NAME_LENGTH: Final = 4096
MAX_DEPTH: Final = 255
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def member_name(text: str) -> str:
    """The normalised name; empty for the archive's own folder (``./``).

    Raises:
        InvalidArchive: absolute, with ``..``, a backslash, a drive letter, a control character,
            or longer or deeper than any file system takes.
    """
    shown = ascii(text[:100])[1:-1]
    if _CONTROL.search(text) or "\\" in text or _DRIVE.match(text):
        msg = f"the member name '{shown}' has a character that means something else elsewhere"
        raise InvalidArchive(msg)
    if text.startswith("/"):
        msg = f"the member name '{shown}' is absolute"
        raise InvalidArchive(msg)
    if not text:
        msg = "a member has an empty name"
        raise InvalidArchive(msg)
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts:
        msg = f"the member name '{shown}' leads out of the archive"
        raise InvalidArchive(msg)
    if len(text) > MAX_NAME_LENGTH or len(parts) > MAX_DEPTH:
        msg = f"the member name '{shown}…' is too long"
        raise InvalidArchive(msg)
    return "/".join(parts)


def link_target(name: str, text: str, *, is_symlink: bool) -> str:
    """The name of the member that a link means.

    A symbolic link is relative to its folder, a hard link to the archive (POSIX); old
    ``docker save`` writes ``../<layer>/layer.tar`` for layers that several images share.

    Raises:
        InvalidArchive: it leads out of the archive, or the link is the archive's own folder.
    """
    shown = ascii(text[:100])[1:-1]
    if not name:
        msg = f"the archive's own folder is a link to '{shown}'"
        raise InvalidArchive(msg)
    if not is_symlink:
        target = member_name(text)
    else:
        if text.startswith("/") or not text or _CONTROL.search(text) or "\\" in text:
            msg = f"member {name!r} is a link to '{shown}', out of the archive"
            raise InvalidArchive(msg)
        parts = name.split("/")[:-1]
        for part in text.split("/"):
            if part == "..":
                if not parts:
                    msg = f"member {name!r} is a link to '{shown}', out of the archive"
                    raise InvalidArchive(msg)
                parts.pop()
            elif part not in {"", "."}:
                parts.append(part)
        target = member_name("/".join(parts) or ".")
    if not target:
        msg = f"member {name!r} is a link to the archive's own folder"
        raise InvalidArchive(msg)
    return target


def is_inside(names: Iterable[str], odd: Collection[str]) -> tuple[str, str] | None:
    """The first name that stands below one of ``odd``, with that one; None if there is none."""
    checked: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        while parent and parent not in checked:
            if parent in odd:
                return name, parent
            checked.add(parent)
            parent = parent.rpartition("/")[0]
    return None
