"""What a token says that its holder may do. Pure, and believed by nobody but us.

Harbor's tokens are JWTs whose ``access`` lists, for each scope that was asked for, what is granted:
all that the account may do in the project, not only what was asked. A wrong password together with
a scope is answered with a token for nobody, whose ``sub`` is empty (harbor,
src/core/service/token). So the token that is needed anyway tells both, without a further request.
Its signature is not looked at: it only decides what a user is told beforehand.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grants:
    """For each project the actions that are granted, and to whom."""

    subject: str
    actions: dict[str, frozenset[str]]

    def of(self, project: str) -> frozenset[str]:
        """What may be done in a project."""
        return self.actions.get(project, frozenset())


def read_grants(token: str) -> Grants | None:
    """What is in a token; None if it is not one that can be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    if not isinstance(claims, dict) or not isinstance(claims.get("access"), list):
        return None
    actions: dict[str, frozenset[str]] = {}
    for entry in claims["access"]:
        if not isinstance(entry, dict) or entry.get("type") != "repository":
            continue
        name, granted = entry.get("name"), entry.get("actions") or []
        if isinstance(name, str) and isinstance(granted, list):
            project = name.partition("/")[0]
            actions[project] = actions.get(project, frozenset()) | frozenset(map(str, granted))
    return Grants(str(claims.get("sub") or ""), actions)
