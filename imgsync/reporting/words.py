"""How a report says why content is not there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.model.bundle import AbsentReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.reporting.facts import Absence

REASONS: Final = {
    AbsentReason.PLATFORM: "left out: the platform was not chosen",
    AbsentReason.RECEIVER: "relied on: the receiver has it",
    AbsentReason.VOLUME: "in another volume",
    None: "missing, and nothing declares why",
}


def absence_words(absence: Absence, human_size: Callable[[int], str]) -> str:
    """Why, how much."""
    amount = f"{counted(absence.n_objects, 'object')}, {human_size(absence.n_bytes)}"
    return f"{REASONS[absence.reason]} ({amount})"


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
