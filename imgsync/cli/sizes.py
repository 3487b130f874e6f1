"""Sizes and rates as options take them: ``4G``, ``700M``, ``20MB``. Units are those of split(1)."""

from __future__ import annotations

import re
from typing import Any, Final

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class SizeType(click.ParamType[int]):
    """A number of bytes. ``M`` and ``MiB`` are 1024 * 1024, ``MB`` is 1000 * 1000."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text; a number is taken as it is."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a size; for example 4G, 700M or 20MB", param, ctx)
        number, unit, suffix = match.groups()
        base = 1000 if (suffix or "").lower() == "b" else 1024
        n_bytes = int(float(number) * base ** _POWERS[unit.lower()])
        if n_bytes < 1:
            self.fail(f"{value!r} is nothing", param, ctx)
        return n_bytes


class RateType(SizeType):
    """A number of bytes a second: ``20MB/s``, or the same without ``/s``."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the text."""
        text = value.removesuffix("/s") if isinstance(value, str) else value
        return super().convert(text, param, ctx)


SIZE: Final = SizeType()
RATE: Final = RateType()
