"""Text for people and for programs: sizes, tables, JSON, and nothing that a terminal would obey.

Names, error bodies and annotations come from files and registries of others. Whatever is printed
passes `printable` first, so that none of them can move the cursor or rename a window.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024


def printable(text: str) -> str:
    """The text with everything but newlines that is no printable character written as an escape.

    Format characters count too: those that turn the direction of text can make one name look
    like another.
    """
    if text.isprintable():
        return text
    return "".join(
        letter
        if letter == "\n" or letter.isprintable()
        else letter.encode("unicode_escape", "surrogatepass").decode()
        for letter in text
    )


def human_size(n_bytes: int) -> str:
    """A number of bytes for people: ``512 B``, ``3.4 MiB``."""
    if n_bytes < _STEP:
        return f"{n_bytes} B"
    amount = float(n_bytes)
    for unit in _UNITS:
        amount /= _STEP
        # 1023.96 would be printed as 1024.0
        if round(amount, 1) < _STEP or unit == _UNITS[-1]:
            break
    return f"{amount:.1f} {unit}"


def human_time(seconds: float) -> str:
    """A duration for people: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def seconds_at(n_bytes: int, rate: int | None) -> float | None:
    """How long ``n_bytes`` take at ``rate`` bytes a second, if a rate is given."""
    return round(n_bytes / rate, 1) if rate else None


def at_rate(n_bytes: int, rate: int | None) -> str:
    """The same for people, as an addition to a line."""
    seconds = seconds_at(n_bytes, rate)
    if seconds is None or rate is None:
        return ""
    return f"; {human_time(seconds)} at {human_size(rate)}/s"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, right: str = "") -> str:
    """Columns under headers; ``right`` names those that hold numbers, comma separated."""
    cells = [[printable(cell).replace("\n", " ") for cell in row] for row in (headers, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    flush_right = {name.strip() for name in right.split(",")}
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if header in flush_right else cell.ljust(width)
            for header, cell, width in zip(headers, row, widths, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def say(text: str) -> None:
    """Print a result."""
    with to_stdout():
        click.echo(printable(text))


def say_json(value: Any) -> None:
    """Print a result for programs; the escapes of JSON leave no control characters."""
    with to_stdout():
        click.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True))


def tell(text: str) -> None:
    """Print what is no result: progress, notes, errors.

    A log on a full disk must not end what runs; a reader that has gone does, as everywhere.
    """
    try:
        click.echo(printable(text), err=True)
    except BrokenPipeError:
        raise
    except OSError:
        pass


@contextmanager
def to_stdout() -> Iterator[None]:
    """Around what is printed as a result.

    Raises:
        NoSpace, StoreError: it goes into a file that takes no more; a reader that has gone stays
            a ``BrokenPipeError``.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        from imgsync.stores.disk import of_os_error  # noqa: PLC0415 - not for --help

        raise of_os_error(error, "standard output") from error
