"""Authenticator: how one registry wants to be asked, and the tokens it is asked with.

It learns from challenges and remembers: nothing is sent that was not asked for, and of several
workers the first goes alone until it is known what the registry wants. What one request tries, one
after the other, is in `request_auth`.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from imgsync.errors import AccessDenied
from imgsync.stores.registry.scope import Scopes, covers, projects
from imgsync.stores.registry.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.stores.registry.challenge import Challenge
    from imgsync.stores.registry.credential import Credential

HARBOR_SERVICE: Final = "harbor-registry"
"""The service that Harbor's challenges name (harbor, src/core/service/token/creator.go)."""

FUTILE_S: Final = 30.0
"""So long a refusal is not argued with: a wrong password that is tried often locks an account."""

_FIRST_LOGIN_LIMIT_S: Final = 120.0


class Authenticator:
    """What is known about one registry; shared by all workers."""

    def __init__(
        self,
        credential_of: Callable[[str], Credential | None],
        fetch: Callable[[Challenge, Scopes, Credential | None], Token],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``credential_of`` is asked with a repository; ``fetch`` asks the token server."""
        self.credential_of = credential_of
        self.bearer: Challenge | None = None
        self.wants_basic = False
        self._fetch = fetch
        self.clock = clock
        self._futile: dict[tuple[Credential | None, Scopes], float] = {}
        self._known = threading.Event()
        self._first = threading.Lock()
        self._lock = threading.Lock()
        self._tokens: dict[Credential | None, list[Token]] = {}
        self._fetching: dict[tuple[Credential | None, Scopes], threading.Lock] = {}
        self._learned: dict[Scopes, Scopes] = {}
        self._refused: dict[Credential | None, AccessDenied] = {}

    @property
    def is_harbor(self) -> bool:
        """Whether the registry has told that it is Harbor."""
        return self.bearer is not None and self.bearer.get("service") == HARBOR_SERVICE

    def begin(self) -> bool:
        """Wait while another worker finds out what the registry wants.

        True for that one worker, which must call `end` when it knows.
        """
        if self._known.is_set():
            return False
        if not self._first.acquire(timeout=_FIRST_LOGIN_LIMIT_S):
            return False
        if self._known.is_set():
            self._first.release()
            return False
        return True

    def end(self, *, known: bool) -> None:
        """Let the others go on; ``known`` if there was an answer at all."""
        if known:
            self._known.set()
        self._first.release()

    def forget_tokens(self) -> None:
        """Ask for new ones: Harbor refuses tokens that are older than a project."""
        with self._lock:
            self._tokens.clear()
            self._futile.clear()

    def learn(self, scopes: Scopes, more: Scopes) -> None:
        """The registry wants these scopes for what we ask with those."""
        with self._lock:
            self._learned[scopes] = more

    def refused_for_good(self, credential: Credential | None, scopes: Scopes) -> None:
        """After all tries the registry still says 401."""
        with self._lock:
            self._futile[credential, scopes] = self.clock()

    def is_futile(self, credential: Credential | None, scopes: Scopes) -> bool:
        """Whether that was so a short while ago."""
        when = self._futile.get((credential, scopes))
        return when is not None and self.clock() - when < FUTILE_S

    def token(self, scopes: Scopes, credential: Credential | None) -> Token:
        """A token that still lives long enough to start a request with.

        Raises:
            AccessDenied, NetworkError: the token server does not give one.
        """
        challenge = self.bearer
        if challenge is None:
            msg = "no token server is known"
            raise AccessDenied(msg)
        scopes = self._learned.get(scopes, scopes)
        with self._lock:
            token = self._find(scopes, credential)
            if token is not None:
                return token
            gate = self._fetching.setdefault((credential, scopes), threading.Lock())
        with gate:
            with self._lock:
                token = self._find(scopes, credential)
                refused = self._refused.get(credential)
            if token is not None:
                return token
            if refused is not None:
                # The password is wrong; asking on would lock the account.
                raise AccessDenied(refused.message, hint=refused.hint)
            try:
                token = self._fetch(challenge, scopes, credential)
            except AccessDenied as error:
                with self._lock:
                    if not self._tokens.get(credential):
                        self._refused[credential] = error
                raise
            with self._lock:
                kept = self._tokens.setdefault(credential, [])
                kept[:] = [item for item in kept if item.is_fresh(self.clock())]
                kept.append(token)
            return token

    def drop(self, header: str) -> None:
        """The registry does not take this token any more."""
        with self._lock:
            for kept in self._tokens.values():
                kept[:] = [token for token in kept if token.header != header]

    def _find(self, scopes: Scopes, credential: Credential | None) -> Token | None:
        now = self.clock()
        for token in reversed(self._tokens.get(credential, ())):
            if token.is_fresh(now) and self._serves(token, scopes):
                return token
        return None

    def _serves(self, token: Token, scopes: Scopes) -> bool:
        if self.is_harbor and all(scope.kind == "repository" for scope in scopes):
            # Harbor's tokens hold for all that the user may do in the project.
            return projects(scopes) <= projects(token.scopes)
        return covers(token.scopes, scopes)
