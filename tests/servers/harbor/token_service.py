"""`/service/token`: tokens for whoever asks, and what they grant.

Two oddities that clients fall over: a wrong password together with a scope is answered 200
with the token of nobody in particular, and the actions of a token are all that the user may
do in the project, whatever was asked for.
"""

import datetime as dt
import json
import time
from collections.abc import Sequence
from typing import Any

from tests.servers.harbor.identity import NOTHING, Identities, Identity, Token
from tests.servers.harbor.state import State
from tests.servers.tokens import Signer

SERVICE = "harbor-registry"
ISSUER = "harbor-token-issuer"


class TokenService:
    """Issues tokens, and makes them known to `identities`."""

    def __init__(self, state: State, identities: Identities, signer: Signer) -> None:
        self._state = state
        self._identities = identities
        self._signer = signer
        self.issued: list[Token] = []

    def issue(self, identity: Identity, scopes: Sequence[str], lifetime_s: float) -> bytes:
        """The body of the answer; the token is good for `lifetime_s` seconds."""
        now = time.time()
        access = [self._granted(identity, scope) for scope in scopes]
        text = self._signer.sign(
            {
                "iss": ISSUER,
                # Nobody in particular has no `sub` at all.
                **({"sub": identity.name} if identity.name else {}),
                "aud": SERVICE,
                "exp": int(now + lifetime_s),
                "nbf": int(now),
                "iat": int(now),
                "jti": f"{len(self.issued)}",
                "access": access,
            }
        )
        rights: dict[str, frozenset[str]] = {}
        for part in access:
            project = part["name"].split("/")[0]
            rights[project] = rights.get(project, NOTHING) | frozenset(part["actions"])
        token = Token(identity.name, rights, now, now + lifetime_s)
        self._identities.tokens[text] = token
        self.issued.append(token)
        return json.dumps(
            {
                "token": text,
                "access_token": "",
                "expires_in": int(lifetime_s),
                "issued_at": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(),
            }
        ).encode()

    def _granted(self, identity: Identity, scope: str) -> dict[str, Any]:
        kind, _, rest = scope.partition(":")
        name = rest.rpartition(":")[0]
        project = self._state.projects.get(name.split("/")[0]) if kind == "repository" else None
        actions = identity.actions(project) if project is not None else NOTHING
        if (kind, name) == ("registry", "catalog") and identity.sysadmin:
            actions = frozenset({"*"})
        return {"type": kind, "name": name, "actions": sorted(actions)}
