"""Request: one question to a registry, before it is known how often and where it must be asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.stores.registry.origin import Origin
    from imgsync.stores.registry.scope import Scopes


class Login(Enum):
    """How a request shows who asks.

    Attributes:
        AS_ASKED: as the registry's challenges want it.
        NOBODY: not at all; a challenge is learned from, and is the answer.
        BASIC: with user name and password at once, where it is known that this is right.
    """

    AS_ASKED = "as asked"
    NOBODY = "nobody"
    BASIC = "basic"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        target: path and query.
        scopes: what a token must allow; the credential is the one for ``repository``.
        what: the object, as messages call it.
        body: kept in memory, so that it can be sent again.
        origin: where a Location leads that is not the registry itself.
        read_timeout_s: how long the server may be silent, where that is not as usual.
    """

    method: str
    target: str
    scopes: Scopes = ()
    repository: str = ""
    what: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    origin: Origin | None = None
    read_timeout_s: float | None = None
    login: Login = Login.AS_ASKED
