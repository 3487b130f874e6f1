"""What a user names to be looked at: a store, a lock, or a list of images in a text file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.cli.inputs import read_input
from imgsync.errors import InvalidImageList
from imgsync.model.image_list import Wish, parse_list
from imgsync.model.image_source import Transport
from imgsync.model.lock import Lock
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from collections.abc import Iterator

_SNIFFED_BYTES: Final = 1024
_COMPRESSED: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x5a\x2a\x4d\x18")


@dataclass(frozen=True, slots=True)
class Target:
    """One argument of a command.

    Attributes:
        label: as it was typed.
        lock: set where it is the lock of a bundle.
        wishes: else the images of a list, or the one store.
        is_list: whether a file listed them.
    """

    label: str
    lock: Lock | None = None
    wishes: tuple[Wish, ...] = ()
    is_list: bool = False

    @classmethod
    def read(cls, text: str) -> Target:
        """See what an argument is; a text file is a lock or a list, everything else a source.

        Raises:
            InvalidInput, InvalidReference: it is none of them.
        """
        path = Path(text)
        if not path.is_file() or not _is_text(path):
            return cls(text, wishes=(Wish(read_target(text)),))
        raw = read_input(text, what="the list")
        if raw.lstrip().startswith(b"{"):
            return cls(text, lock=Lock.parse(raw, text, error=InvalidImageList))
        return cls(text, wishes=parse_list(raw, text).wishes, is_list=True)

    @property
    def hosts(self) -> Iterator[str]:
        """The registries that reading it speaks to."""
        for wish in self.wishes:
            reference = wish.source.reference
            if wish.source.transport is Transport.REGISTRY and reference is not None:
                yield reference.registry


def _is_text(path: Path) -> bool:
    """No archive: those begin with a header that has zeros in it, or are compressed."""
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES)
    return b"\0" not in start and not start.startswith(_COMPRESSED)
