"""Credential: who we are to a registry, and where that stands. Pure."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

TOKEN_USER = "<token>"  # noqa: S105 - the user name that says: the password is an identity token
"""docker's convention (docker/cli, cli/config/credentials)."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One of: user name and password, an identity token, or a ready bearer token.

    Secrets are in no ``repr``. ``origin`` is how messages call the place it came from.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    origin: str = field(default="", compare=False)

    @property
    def basic(self) -> str:
        """The Authorization header of user name and password; empty without them."""
        if not self.username:
            return ""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {b64encode(pair).decode()}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known; the entry only says that a helper may know."""
        return not (self.username or self.identity_token or self.registry_token)

    @property
    def doubt(self) -> str:
        """What may be wrong with it, as a hint; usually an empty text."""
        if self.username == "robot" or self.username.startswith("robot+"):
            return "Harbor's robots are called robot$NAME: did a shell eat the $? Quote it with '"
        return ""

    def __str__(self) -> str:
        """For messages: the user and the place, never a secret."""
        who = f"user {self.username}" if self.username else "a token"
        return f"{who} from {self.origin}" if self.origin else who


def from_pair(username: str, password: str, origin: str) -> Credential:
    """A credential as helpers and auth files have it, where a user name may announce a token."""
    if username == TOKEN_USER:
        return Credential(identity_token=password, origin=origin)
    return Credential(username, password, origin=origin)
