"""Who may read: everybody, or who knows one of the passwords."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import TYPE_CHECKING, Final, Protocol

from imgsync.serve.routes import RequestRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="imgsync", charset="UTF-8"'}


class Access(Protocol):
    """Decides about one request by its Authorization header."""

    @property
    def challenge(self) -> Mapping[str, str]:
        """The headers of a refusal."""
        ...

    def __call__(self, authorization: str | None) -> None:
        """Let the request pass.

        Raises:
            RequestRefused: 401; who asks must say who they are.
        """
        ...


class _OpenToAll:
    challenge: Mapping[str, str] = {}

    def __call__(self, authorization: str | None) -> None:
        pass


open_to_all: Final = _OpenToAll()


class OneCredential:
    """One user with a random password, for a client that we start ourselves."""

    challenge: Mapping[str, str] = CHALLENGE

    def __init__(self) -> None:
        """Make up the password."""
        self._password = secrets.token_urlsafe(32)

    @property
    def header(self) -> str:
        """The value of the Authorization header that is let in."""
        return basic_header("imgsync", self._password)

    def __call__(self, authorization: str | None) -> None:
        """See `Access`."""
        if not hmac.compare_digest((authorization or "").encode(), self.header.encode()):
            refuse()


def basic_header(user: str, password: str) -> str:
    """RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def parse_basic(authorization: str | None) -> tuple[str, str] | None:
    """User and password of a Basic header; None for anything else."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def refuse() -> None:
    """Ask for credentials, without saying what was wrong with those that came.

    Raises:
        RequestRefused: always.
    """
    raise RequestRefused(401, "UNAUTHORIZED", "authentication required")
