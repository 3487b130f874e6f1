"""Authenticator: how one registry wants to be asked, and the tokens it is asked with.

It learns from challenges and remembers: nothing is sent that was not asked for, and of several
workers the first goes alone until it is known what the registry wants. One request is asked again
at most once for each reason, so that nothing goes round in circles:

- no Authorization was sent: with what the challenge asks for;
- the token did not do: once with the scope of the challenge (``insufficient_scope``), once with
  a fresh token;
- Harbor answers a token that is too old or too weak with a *Basic* challenge: the Bearer
  challenge is remembered, a fresh token is tried first, then Basic once;
- a 401 without any challenge (old gcr.io): the challenge of ``/v2/``. Harbor says so of a project
  that does not exist, and then that is the answer.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from imgsync.errors import AccessDenied
from imgsync.stores.registry.scope import Scopes, covers, merged, parse_scopes, projects
from imgsync.stores.registry.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.stores.registry.challenge import Challenge
    from imgsync.stores.registry.credential import Credential

HARBOR_SERVICE: Final = "harbor-registry"
"""The service that Harbor's challenges name (harbor, src/core/service/token/creator.go)."""

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
        self._clock = clock
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

    def learn(self, scopes: Scopes, more: Scopes) -> None:
        """The registry wants these scopes for what we ask with those."""
        with self._lock:
            self._learned[scopes] = more

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
                kept[:] = [item for item in kept if item.is_fresh(self._clock())]
                kept.append(token)
            return token

    def drop(self, header: str) -> None:
        """The registry does not take this token any more."""
        with self._lock:
            for kept in self._tokens.values():
                kept[:] = [token for token in kept if token.header != header]

    def _find(self, scopes: Scopes, credential: Credential | None) -> Token | None:
        now = self._clock()
        for token in reversed(self._tokens.get(credential, ())):
            if token.is_fresh(now) and self._serves(token, scopes):
                return token
        return None

    def _serves(self, token: Token, scopes: Scopes) -> bool:
        if self.is_harbor and all(scope.kind == "repository" for scope in scopes):
            # Harbor's tokens hold for all that the user may do in the project.
            return projects(scopes) <= projects(token.scopes)
        return covers(token.scopes, scopes)


class Login:
    """The authentication of one request, through all of its tries."""

    def __init__(
        self,
        auth: Authenticator,
        scopes: Scopes,
        repository: str,
        ping: Callable[[], Sequence[Challenge]],
    ) -> None:
        self._auth = auth
        self._wanted = scopes
        self._scopes = scopes
        self._ping = ping
        self._repository = repository
        self._tried: set[str] = set()
        self._basic_now = False
        self._sent = ""
        self.credential: Credential | None = None

    @property
    def who(self) -> str:
        """For messages: what was sent, and from where it is."""
        return str(self.credential) if self._sent and self.credential is not None else ""

    def basic(self) -> str:
        """The Authorization header of user name and password, whatever was asked for."""
        self.credential = self._auth.credential_of(self._repository)
        self._sent = self.credential.basic if self.credential is not None else ""
        return self._sent

    def header(self) -> str:
        """The Authorization header for the next try; empty to send none.

        Raises:
            AccessDenied, NetworkError: there is no token to be had.
        """
        self._sent = self._header()
        return self._sent

    def _header(self) -> str:
        auth = self._auth
        if auth.bearer is None and not auth.wants_basic:
            return ""
        self.credential = auth.credential_of(self._repository)
        if self._basic_now or auth.bearer is None:
            return self.credential.basic if self.credential is not None else ""
        if self.credential is not None and self.credential.registry_token:
            return f"Bearer {self.credential.registry_token}"
        return auth.token(self._scopes, self.credential).header

    def again(self, challenges: Sequence[Challenge]) -> bool:
        """Whether, after a 401 with these challenges, it is worth asking once more."""
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.get("realm"):
                return self._again_with_token(challenge)
        if any(challenge.scheme == "basic" for challenge in challenges):
            return self._again_after_basic()
        if not self._sent and self._first_time("ping"):
            return self.again(self._ping())
        return False

    def _again_with_token(self, challenge: Challenge) -> bool:
        auth = self._auth
        auth.bearer = challenge
        theirs = parse_scopes(challenge.get("scope"))
        if not self._sent.startswith("Bearer "):
            self._widen(theirs)
            return self._first_time("bearer")
        if challenge.get("error") == "insufficient_scope":
            # Nothing more to ask for: then the user has no right to it.
            return self._widen(theirs) and self._first_time("scope")
        auth.drop(self._sent)
        return self._first_time("fresh")

    def _again_after_basic(self) -> bool:
        auth = self._auth
        if auth.bearer is not None and self._sent.startswith("Bearer "):
            auth.drop(self._sent)
            if self._first_time("fresh"):
                return True
        credential = auth.credential_of(self._repository)
        if credential is None or not credential.basic or self._sent == credential.basic:
            return False
        if auth.bearer is None:
            auth.wants_basic = True
        self._basic_now = True
        return self._first_time("basic")

    def _widen(self, theirs: Scopes) -> bool:
        """Ask for what we need and what the registry names, its own names of things first.

        Says whether that is more than before.
        """
        before = self._scopes
        ours = {(scope.kind, scope.name) for scope in self._scopes}
        known = all((scope.kind, scope.name) in ours for scope in theirs)
        both = (*self._scopes, *theirs) if known else (*theirs, *self._scopes)
        self._scopes = merged(both)
        if self._scopes != self._wanted:
            self._auth.learn(self._wanted, self._scopes)
        return not covers(before, self._scopes)

    def _first_time(self, reason: str) -> bool:
        if reason in self._tried:
            return False
        self._tried.add(reason)
        return True
