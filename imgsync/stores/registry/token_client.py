"""The way to a registry's token server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import AccessDenied
from imgsync.stores.registry.persistence import Persistence
from imgsync.stores.registry.realm import may_have_credentials, realm_url
from imgsync.stores.registry.tokens import Token, fetch_token

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.events import Report
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.challenge import Challenge
    from imgsync.stores.registry.credential import Credential
    from imgsync.stores.registry.origin import Origin
    from imgsync.stores.registry.scope import Scopes
    from imgsync.stores.registry.transport import Transport


class TokenClient:
    """Asks for tokens on behalf of one registry."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        trusted: Collection[str],
        retries: int,
        report: Report,
    ) -> None:
        """``name`` is the registry's, ``trusted`` are further hosts that may get credentials."""
        self._name = name
        self._transport = transport
        self._trusted = trusted
        self._persistence = Persistence(f"the token server of {name}", retries, report)

    def fetch(
        self,
        registry: Origin,
        challenge: Challenge,
        scopes: Scopes,
        credential: Credential | None,
    ) -> Token:
        """A token for these scopes, from the server that the challenge names.

        Raises:
            AccessDenied: the server may not have the credential, or does not know it.
            NetworkError: it does not answer.
        """
        origin, target = realm_url(challenge.get("realm"), f"{registry}/v2/", registry)
        if credential is not None and not may_have_credentials(origin, registry, self._trusted):
            msg = (
                f"{self._name}: its token server {origin} belongs to somebody else, "
                f"so it does not get {credential}"
            )
            raise AccessDenied(msg, hint=f"if that is right: --trusted-host {origin.authority}")

        def ask(method: str, query: str, headers: dict[str, str], body: bytes | None) -> Answer:
            mark = "&" if "?" in target else "?"
            full = f"{target}{mark}{query}" if query else target
            return self._persistence.answer(
                lambda: self._transport.exchange(method, origin, full, headers, body)
            )

        return fetch_token(ask, challenge.get("service"), scopes, credential, origin.authority)

    def close(self) -> None:
        """Wake up who waits."""
        self._persistence.pace.close()
