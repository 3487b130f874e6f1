"""Text for people: sizes, times, tables; and exit codes that the classes and the README share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync import errors
from imgsync.cli.failures import EXIT_CODES
from imgsync.cli.output import human_size, human_time, printable, table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (3 * 1024**6, "3072.0 PiB"),
    ],
)
def test_sizes_are_told_in_binary_units(n_bytes: int, text: str) -> None:
    assert human_size(n_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (8.4, "8 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7200, "2 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_times_are_told_in_two_units(seconds: float, text: str) -> None:
    assert human_time(seconds) == text


def test_tables_align_numbers_to_the_right() -> None:
    assert table(("NAME", "SIZE"), [("a\x1b", "1 B"), ("long name\nx", "10 B")], right="SIZE") == (
        "NAME         SIZE\na\\x1b         1 B\nlong name x  10 B"
    )
    assert table(("NAME",), []) == "NAME"


@given(st.text())
def test_nothing_printable_changes_and_nothing_else_stays(text: str) -> None:
    safe = printable(text)
    assert all(letter == "\n" or letter.isprintable() for letter in safe)
    safe.encode()
    if text.isprintable():
        assert safe == text


def test_the_exit_codes_are_those_of_the_classes() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ImgsyncError)
    ]
    assert {kind.exit_code for kind in kinds} | {0, 130} == set(EXIT_CODES)


def test_the_readme_has_the_same_exit_codes() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*?) \|$", text, re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES
