"""RequestAuth: the authentication of one request, through all of its tries.

A request is asked again at most once for each reason, so that nothing goes round in circles:

- no Authorization was sent: with what the challenge asks for;
- the token did not do: once with the scope of the challenge (``insufficient_scope``), once with
  a fresh token, unless it was one;
- Harbor answers a token that is too old or too weak with a *Basic* challenge: the Bearer
  challenge is remembered, a fresh token is tried first, then Basic once;
- a 401 without any challenge (old gcr.io): the challenge of ``/v2/``. Harbor says so of a project
  that does not exist, and then that is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.stores.registry.scope import Scopes, covers, merged, parse_scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.stores.registry.auth import Authenticator
    from imgsync.stores.registry.challenge import Challenge
    from imgsync.stores.registry.credential import Credential


class RequestAuth:
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
        self._began = auth.clock()
        self._is_fresh = False
        self._is_bad_token = False
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
        token = auth.token(self._scopes, self.credential)
        self._is_fresh = token.received >= self._began
        return token.header

    def again(self, challenges: Sequence[Challenge]) -> bool:
        """Whether, after a 401 with these challenges, it is worth asking once more."""
        self._is_bad_token = False
        if self._sent and self._auth.is_futile(self.credential, self._wanted):
            return False
        if self._is_worth_it(challenges):
            return True
        if self._sent and not self._is_bad_token:
            self._auth.refused_for_good(self.credential, self._wanted)
        return False

    def _is_worth_it(self, challenges: Sequence[Challenge]) -> bool:
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.get("realm"):
                return self._again_with_token(challenge)
        if any(challenge.scheme == "basic" for challenge in challenges):
            return self._again_after_basic()
        if not self._sent and self._first_time("ping"):
            return self._is_worth_it(self._ping())
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
        self._is_bad_token = challenge.get("error") == "invalid_token"
        if self._is_bad_token:
            self._auth.drop(self._sent)
        return self._with_fresh_token()

    def _again_after_basic(self) -> bool:
        auth = self._auth
        is_token = auth.bearer is not None and self._sent.startswith("Bearer ")
        if is_token and self._with_fresh_token():
            return True
        credential = auth.credential_of(self._repository)
        if credential is None or not credential.basic or self._sent == credential.basic:
            return False
        if auth.bearer is None:
            auth.wants_basic = True
        self._basic_now = True
        return self._first_time("basic")

    def _with_fresh_token(self) -> bool:
        """Whether another token than the one that was sent may do."""
        if self._is_fresh:
            return False
        self._auth.drop(self._sent)
        return self._first_time("fresh")

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
