"""Checked access to the fields of JSON that imgsync wrote itself and must find as it wrote it.

Such documents (the lock) are read strictly: a key too many is as wrong as one too few, because
what a reader skips is what two readers can disagree about. Documents of others are read leniently
by `imgsync.model.manifest`, as the image-spec asks.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from imgsync.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.errors import ImgsyncError


class Fields:
    """Gives each value as the type that it must have, or raises ``error``, which names ``where``.

    ``what`` of each method says which field it is, for the message.
    """

    def __init__(self, where: str, error: type[ImgsyncError]) -> None:
        self.where = where
        self.error = error

    def keys(
        self,
        fields: dict[str, Any],
        wanted: Collection[str],
        what: str,
        *,
        optional: Collection[str] = (),
    ) -> None:
        """Refuse an object without one of the wanted keys, or with any other."""
        for key in wanted:
            if key not in fields:
                self.refuse(f"{what} has no {key}")
        for key in fields:
            if key not in wanted and key not in optional:
                self.refuse(f"{what} has the unknown key {key!r}")

    def mapping(self, value: object, what: str) -> dict[str, Any]:
        """The value, which must be an object."""
        if not isinstance(value, dict):
            self.refuse(f"{what} is not an object")
        return value

    def list(self, value: object, what: str) -> list[Any]:
        """The value, which must be a list."""
        if not isinstance(value, list):
            self.refuse(f"{what} is not a list")
        return value

    def text(self, value: object, what: str) -> str:
        """The value, which must be a text."""
        if not isinstance(value, str):
            self.refuse(f"{what} is not a text")
        return value

    def size(self, value: object, what: str) -> int:
        """The value, which must be a number of bytes."""
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            self.refuse(f"{what} is {value!r}, a whole number of bytes expected")
        return value

    def time(self, value: object, what: str) -> datetime:
        """The value as a time, which must say its zone (RFC 3339)."""
        text = self.text(value, what)
        try:
            when = datetime.fromisoformat(text)
        except ValueError:
            self.refuse(f"{what} is {text!r}, no time")
        if when.tzinfo is None:
            self.refuse(f"{what} is {text!r}, without its zone")
        return when

    def digest(self, value: object, what: str) -> Digest:
        """The value as a digest."""
        return Digest.parse(self.text(value, what))

    def refuse(self, problem: str) -> NoReturn:
        """Raise the error that this reader raises, with the place in front."""
        msg = f"{self.where}: {problem}"
        raise self.error(msg)
