"""Digest: the name that content has because of its bytes (image-spec, descriptor.md)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from imgsync.errors import InvalidDigest

if TYPE_CHECKING:
    from hashlib import _Hash

HEX_LENGTH: Final = {"sha256": 64, "sha512": 128}
"""The registered algorithms that can be proved here, and the length of their hex part."""

_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """An algorithm and lower-case hex. It cannot exist unchecked: paths and URLs are made of it."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        """Check both parts.

        Raises:
            InvalidDigest: unknown algorithm, wrong length, or not lower-case hex.
        """
        length = HEX_LENGTH.get(self.algorithm)
        if length is None:
            known = ", ".join(HEX_LENGTH)
            msg = f"digest algorithm {self.algorithm!r} is not one of {known}"
            raise InvalidDigest(msg)
        if len(self.hex) != length or not _HEX.fullmatch(self.hex):
            msg = f"digest {self.algorithm}:{self.hex!r} is not {length} lower-case hex digits"
            raise InvalidDigest(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:hex``.

        Raises:
            InvalidDigest: the text is anything else.
        """
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            msg = f"{text[:200]!r} is not a digest: algorithm:hex expected"
            raise InvalidDigest(msg)
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Self:
        """The digest of these bytes."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def hasher(self) -> _Hash:
        """A fresh hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    @property
    def short(self) -> str:
        """Twelve hex digits with the algorithm, for messages."""
        return f"{self.algorithm}:{self.hex[:12]}"

    def __str__(self) -> str:
        """The standard form, ``algorithm:hex``."""
        return f"{self.algorithm}:{self.hex}"
