"""Bearer tokens: asked for by GET or POST, read with care, kept until shortly before their end.

distribution, docs/spec/auth/token.md and oauth.md. A token that was granted proves nothing: a
server grants the part of the scope that it likes, with status 200.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from imgsync.errors import AccessDenied, NetworkError, RegistryUnavailable
from imgsync.stores.registry.envelope import ENVELOPE_BYTES, parse_envelope
from imgsync.stores.registry.scope import Scopes

if TYPE_CHECKING:
    from typing import Protocol

    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.credential import Credential

    class Ask(Protocol):
        """Sends a request to the token server: method, further query, headers, form."""

        def __call__(
            self, method: str, query: str, headers: dict[str, str], body: bytes | None
        ) -> Answer:
            """Its answer, whatever the status."""
            ...


TOKEN_BYTES: Final = 1024 * 1024
"""More is no token (containers/image has the same limit)."""

SHORTEST_LIFE_S: Final = 60.0
"""What to assume where nothing, or less, is said (docs/spec/auth/token.md)."""

_CLIENT_ID: Final = "imgsync"
_POST_FALLBACK: Final = frozenset({400, 401, 404, 405})
"""How servers without the POST flow refuse it: ACR, Artifactory, GCR, Harbor."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, what it was asked for, and when to replace it (by this machine's clock)."""

    text: str = field(repr=False)
    scopes: Scopes
    received: float
    renew_at: float

    def is_fresh(self, now: float) -> bool:
        """Whether a request may still start with it."""
        return now < self.renew_at

    @property
    def header(self) -> str:
        """The Authorization header."""
        return f"Bearer {self.text}"


def renew_at(received: float, life_s: float) -> float:
    """When to ask for a new token: with a minute left, of short ones with a fifth left.

    Counted from when the answer came, not from the server's ``issued_at``: clocks differ.
    """
    life = max(life_s, SHORTEST_LIFE_S)
    return received + life - min(60.0, life / 5)


def fetch_token(
    ask: Ask, service: str, scopes: Scopes, credential: Credential | None, server: str
) -> Token:
    """Get a token for all of these scopes; anonymous without a credential.

    Raises:
        AccessDenied: the server does not know the credential.
        NetworkError: it does not answer as a token server does.
    """
    answer = None
    if credential is not None and credential.identity_token:
        answer = ask("POST", "", {"Content-Type": _FORM}, _form(service, scopes, credential))
        if answer.status in _POST_FALLBACK and credential.username:
            answer.close()
            answer = None
    if answer is None:
        headers = {"Authorization": credential.basic} if credential and credential.basic else {}
        answer = ask("GET", _query(service, scopes, credential), headers, None)
    if answer.status == 200:
        return _read(answer, scopes, server)
    envelope = parse_envelope(answer.excerpt(ENVELOPE_BYTES), answer.media_type)
    says = f"{answer.status} {envelope.words}".strip()
    if answer.status in {400, 401, 403}:
        who = str(credential) if credential is not None else "anyone without credentials"
        msg = f"the token server {server} refuses {who}: {says}"
        doubt = credential.doubt if credential is not None else ""
        raise AccessDenied(msg, hint=doubt or "is the password right, and the account active?")
    msg = f"the token server {server} answers {says}"
    raise RegistryUnavailable(msg)


_FORM: Final = "application/x-www-form-urlencoded"


def _query(service: str, scopes: Scopes, credential: Credential | None) -> str:
    pairs = [("service", service)] if service else []
    pairs += [("scope", str(scope)) for scope in scopes]
    if credential is not None and credential.username:
        pairs.append(("account", credential.username))
    return urlencode(pairs)


def _form(service: str, scopes: Scopes, credential: Credential) -> bytes:
    pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", credential.identity_token),
        ("service", service),
        ("client_id", _CLIENT_ID),
    ]
    if scopes:
        pairs.append(("scope", " ".join(map(str, scopes))))
    return urlencode(pairs).encode()


def _read(answer: Answer, scopes: Scopes, server: str) -> Token:
    received = time.monotonic()
    try:
        value = json.loads(answer.content(TOKEN_BYTES))
    except (ValueError, RecursionError):
        value = None
    fields = value if isinstance(value, dict) else {}
    text = fields.get("token") or fields.get("access_token")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        msg = f"the token server {server} answered without a token"
        raise NetworkError(msg)
    life = fields.get("expires_in")
    life_s = float(life) if isinstance(life, int | float) and not isinstance(life, bool) else 0.0
    return Token(text, scopes, received, renew_at(received, life_s))
