"""Amounts as people write them: ``20MiB``, ``1.5GB``, ``90s``, ``2h30m``, ``30d``."""

from __future__ import annotations

import re
from typing import Final

from imgsync.errors import InvalidInput

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGTP]?i?)B?", re.ASCII)
_POWERS: Final = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_TIME = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_UNITS_S: Final = (86400, 3600, 60, 1)


def parse_size(text: str) -> int:
    """A number of bytes: ``512``, ``20MiB`` (of 1024), ``20MB`` and ``20M`` (of 1000).

    Raises:
        InvalidInput: it is none.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = found[2] if found is not None else "?"
    power = _POWERS.get(unit.removesuffix("i"))
    if found is None or power is None or unit == "i":
        msg = f"{text!r} is not a number of bytes"
        raise InvalidInput(msg, hint="for example 20MiB or 50GB")
    step = 1024.0 if unit.endswith("i") else 1000.0
    return round(float(found[1]) * step**power)


def parse_duration(text: str) -> float:
    """Seconds: ``90s``, ``15m``, ``2h30m``, ``30d``; a number alone is seconds.

    Raises:
        InvalidInput: it is none.
    """
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit():
        return float(stripped)
    found = _TIME.fullmatch(stripped)
    if not stripped or found is None:
        msg = f"{text!r} is not a time"
        raise InvalidInput(msg, hint="for example 90s, 15m, 2h30m or 30d")
    parts = zip(found.groups(), _UNITS_S, strict=True)
    return float(sum(int(part) * unit for part, unit in parts if part is not None))
