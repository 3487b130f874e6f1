"""Host: one registry as its repositories see it. Retries, redirects and authentication.

One `ask` is one question; behind it may be several requests: with a token after a 401, again
after a failure, at another place after a redirect. What an answer means is left to the caller,
`Host.error` puts it into words.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from imgsync.errors import NetworkError, RateLimited, RegistryUnavailable
from imgsync.events import Noted, Report, Retried
from imgsync.stores.registry.answer import Answer
from imgsync.stores.registry.auth import Authenticator, Login
from imgsync.stores.registry.challenge import Challenge, parse_challenges
from imgsync.stores.registry.envelope import ENVELOPE_BYTES, Envelope, parse_envelope, printable
from imgsync.stores.registry.origin import Origin, redacted, split_url
from imgsync.stores.registry.quota import Quota, parse_quota
from imgsync.stores.registry.realm import may_have_credentials, realm_url
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.retry import (
    LONGEST_WAIT_S,
    RETRY_STATUSES,
    Pace,
    is_worth_repeating,
    retry_after_s,
)
from imgsync.stores.registry.tokens import Token, fetch_token
from imgsync.stores.registry.transport import READ_TIMEOUT_S, Transport
from imgsync.stores.registry.upload_ways import UploadWays

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.stores.registry.credential import Credential
    from imgsync.stores.registry.scope import Scopes

MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Host:
    """One registry. Made by `registries`; used by many threads at once.

    Attributes:
        name: as in image names, ``docker.io``.
        origin: where its API is; ``api`` is the path below which the endpoints are.
        quota: what the registry last said about its pull limit, or None.
    """

    def __init__(
        self,
        name: str,
        origin: Origin,
        *,
        transport: Transport,
        credential_of: Callable[[str], Credential | None],
        report: Report,
        retries: int,
        api: str = "/v2",
        headers: Mapping[str, str] | None = None,
        trusted: Collection[str] = (),
        plain_http: Callable[[str], bool] = lambda _host: False,
    ) -> None:
        self.name = name
        self.origin = origin
        self.api = api
        self.auth = Authenticator(credential_of, self._fetch_token)
        self.quota: Quota | None = None
        self.upload_ways = UploadWays()
        self._transport = transport
        self._report = report
        self.retries = retries
        self._headers = dict(headers or {})
        self._trusted = trusted
        self._is_plain_http = plain_http
        self._pace = Pace()
        self._warned: set[str] = set()
        self._was_reached = False

    def ask(
        self,
        method: str,
        target: str,
        scopes: Scopes,
        *,
        repository: str = "",
        what: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        origin: Origin | None = None,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> Answer:
        """The answer to a request, whatever its status; asked again where that may help.

        ``target`` is path and query, ``what`` the object as messages call it; ``origin`` is only
        given where a Location leads elsewhere.

        Raises:
            RateLimited: 429, and waiting will not help within the run.
            NetworkError: no answer, or only failures, after all attempts.
            AccessDenied: the token server refuses.
        """
        n_failed = 0
        while True:
            started = self._pace.wait()
            try:
                answer = self._answer(
                    method,
                    origin or self.origin,
                    target,
                    scopes,
                    repository,
                    headers or {},
                    body,
                    read_timeout_s,
                )
            except NetworkError as error:
                n_failed += 1
                if not self._may_repeat(error, n_failed):
                    raise self._spent(error, what, n_failed) from error
                self._hold_up(started, what, error.message)
                continue
            if answer.status not in RETRY_STATUSES:
                self._pace.succeeded()
                return answer
            n_failed += 1
            refusal = self.refusal(answer, what)
            self._stop_if_limited(refusal, answer)
            if n_failed > self.retries:
                raise refusal.error()
            self._hold_up(started, what, refusal.error().message, refusal.retry_after_s)

    def send(
        self,
        method: str,
        target: str,
        scopes: Scopes,
        body: bytes | Readable,
        *,
        repository: str,
        headers: Mapping[str, str],
        origin: Origin | None = None,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> Answer:
        """Send a body that can be read only once: one try, whose answer is returned.

        The token is renewed before the first byte. After a 401 the next `send` has another one.

        Raises:
            NetworkError: no answer. What reading the body raises passes through.
        """
        started = self._pace.wait()
        where = origin or self.origin
        login = self._login(scopes, repository)
        sent = self._with_login(headers, login) if where == self.origin else dict(headers)
        try:
            answer = self._transport.exchange(
                method, where, target, sent, body, read_timeout_s=read_timeout_s
            )
        except NetworkError:
            self._pace.failed(started)
            raise
        answer.who = login.who
        if answer.status == 401:
            login.again(_challenges(answer))
        elif answer.status in RETRY_STATUSES:
            after = retry_after_s(answer.headers.get("Retry-After", ""))
            self._pace.failed(started, after)
        else:
            self._pace.succeeded()
        return answer

    def resolved(self, location: str, base: str) -> tuple[Origin, str]:
        """Where a Location or Link leads that this registry gave; ``base`` is what was asked.

        Raises:
            NetworkError: it leads from https to plain http elsewhere, or nowhere.
        """
        origin, target = split_url(location.strip(), base)
        if origin.host == self.origin.host and self.origin.scheme == "https" == base[:5]:
            # Behind a proxy that does not set X-Forwarded-Proto registries name themselves http.
            origin = self.origin if origin.scheme == "http" else origin
        self._check_redirect(self.origin, origin, redacted(location))
        return origin, target

    def refusal(self, answer: Answer, what: str, side: str = "") -> Refusal:
        """An answer that is no success, read to its end and understood."""
        envelope = Envelope()
        if answer.method != "HEAD":
            envelope = parse_envelope(answer.excerpt(ENVELOPE_BYTES), answer.media_type)
        return Refusal(
            side or self.name,
            what or redacted(answer.target),
            answer.method,
            answer.status,
            envelope,
            answer.who,
            retry_after_s(answer.headers.get("Retry-After", "")),
        )

    def close(self) -> None:
        """Wake up who waits, and close the connections that nobody uses."""
        self._pace.close()
        self._transport.close()

    # What one try is made of.

    def _answer(
        self,
        method: str,
        origin: Origin,
        target: str,
        scopes: Scopes,
        repository: str,
        headers: Mapping[str, str],
        body: bytes | None,
        read_timeout_s: float,
    ) -> Answer:
        login = self._login(scopes, repository)
        is_first = self.auth.begin()
        known = False
        try:
            while True:
                answer = self._followed(
                    method, origin, target, headers, login, body, read_timeout_s
                )
                if answer.status != 401 or answer.origin != self.origin:
                    break
                challenges = _challenges(answer)
                if not login.again(challenges):
                    break
                answer.close()
            known = True
        finally:
            if is_first:
                self.auth.end(known=known)
        self._was_reached = True
        self._note(answer, login)
        return answer

    def _followed(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Mapping[str, str],
        login: Login,
        body: bytes | None,
        read_timeout_s: float,
    ) -> Answer:
        """The answer of where the redirects end; only the registry itself sees credentials."""
        shown = ""
        for _ in range(MAX_REDIRECTS + 1):
            sent = dict(headers)
            if origin == self.origin:
                sent = self._with_login(headers, login)
            answer = self._transport.exchange(
                method, origin, target, sent, body, read_timeout_s=read_timeout_s
            )
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            if body is not None and answer.status not in {307, 308}:
                return answer
            url = answer.url
            answer.close()
            to, target = split_url(location.strip(), url)
            shown = redacted(location)
            self._check_redirect(origin, to, shown)
            origin = to
        msg = f"{self.name}: more than {MAX_REDIRECTS} redirects, the last to {shown}"
        raise NetworkError(msg)

    def _check_redirect(self, origin: Origin, to: Origin, shown: str) -> None:
        if (
            origin.scheme == "https"
            and to.scheme == "http"
            and not self._is_plain_http(to.authority)
        ):
            msg = f"{self.name}: it redirects from https to plain http: {shown}"
            raise NetworkError(msg, hint=f"if that is right: --plain-http-host {to.authority}")

    def _with_login(self, headers: Mapping[str, str], login: Login) -> dict[str, str]:
        authorization = login.header()
        if not authorization:
            return {**self._headers, **headers}
        return {**self._headers, **headers, "Authorization": authorization}

    def _login(self, scopes: Scopes, repository: str) -> Login:
        return Login(self.auth, scopes, repository, self._ping)

    def _ping(self) -> Sequence[Challenge]:
        """The challenges of ``/v2/``, for registries that send none with the answer itself."""
        answer = self._transport.exchange("GET", self.origin, f"{self.api}/", self._headers)
        challenges = _challenges(answer) if answer.status == 401 else ()
        answer.close()
        return challenges

    def _fetch_token(
        self, challenge: Challenge, scopes: Scopes, credential: Credential | None
    ) -> Token:
        origin, target = realm_url(challenge.get("realm"), f"{self.origin}{self.api}/", self.origin)
        if credential is not None and not may_have_credentials(origin, self.origin, self._trusted):
            msg = (
                f"{self.name}: its token server {origin} belongs to somebody else, "
                f"so it does not get {credential}"
            )
            raise NetworkError(msg, hint=f"if that is right: --trust-host {origin.authority}")

        def ask(method: str, query: str, headers: dict[str, str], body: bytes | None) -> Answer:
            mark = "&" if "?" in target else "?"
            full = f"{target}{mark}{query}" if query else target
            return self._persistently(
                lambda: self._transport.exchange(method, origin, full, headers, body),
                f"token server {origin.authority}",
            )

        return fetch_token(ask, challenge.get("service"), scopes, credential, origin.authority)

    def _persistently(self, exchange: Callable[[], Answer], what: str) -> Answer:
        """As `ask`, for requests without authentication and redirects."""
        n_failed = 0
        while True:
            started = time.monotonic()
            try:
                answer = exchange()
            except NetworkError as error:
                n_failed += 1
                if not self._may_repeat(error, n_failed):
                    raise
                self._hold_up(started, what, error.message)
            else:
                if answer.status not in RETRY_STATUSES or n_failed >= self.retries:
                    return answer
                n_failed += 1
                after = retry_after_s(answer.headers.get("Retry-After", ""))
                answer.close()
                self._hold_up(started, what, f"status {answer.status}", after)
            self._pace.wait()

    # After a try.

    def _may_repeat(self, error: NetworkError, n_failed: int) -> bool:
        if isinstance(error, RateLimited | RegistryUnavailable) or not is_worth_repeating(error):
            return False
        # A host that never answered is more likely misspelt than restarting.
        return n_failed <= (self.retries if self._was_reached else min(1, self.retries))

    def _spent(self, error: NetworkError, what: str, n_failed: int) -> NetworkError:
        if n_failed == 1 or isinstance(error, RateLimited | RegistryUnavailable):
            return error
        about = f" ({what})" if what else ""
        return type(error)(f"{error.message}, {n_failed} times{about}", hint=error.hint)

    def _hold_up(self, started: float, what: str, why: str, after_s: float | None = None) -> None:
        wait_s = self._pace.failed(started, after_s)
        self._report(Retried(f"{self.name}: {what}" if what else self.name, why, wait_s))

    def _stop_if_limited(self, refusal: Refusal, answer: Answer) -> None:
        """Do not ask on where a pull quota is used up, or where the wait is longer than a run."""
        if refusal.status != 429:
            return
        quota = parse_quota(answer.headers)
        after = refusal.retry_after_s
        is_spent = quota is not None and quota.remaining == 0
        if (
            is_spent
            or "pull rate limit" in refusal.envelope.text.lower()
            or (after is not None and after > LONGEST_WAIT_S)
        ):
            reset_s = after if after is not None else (quota.window_s if quota else None)
            hint = "run the same command again later, or log in for a larger quota"
            raise RateLimited(refusal.error().message, hint=hint, reset_s=reset_s)

    def _note(self, answer: Answer, login: Login) -> None:
        answer.who = login.who
        quota = parse_quota(answer.headers)
        if quota is not None:
            self.quota = quota
        for line in answer.header_lines("Warning"):
            code, _, rest = line.partition(" ")
            text = printable(rest.partition('"')[2].rpartition('"')[0])[:300]
            if code == "299" and text and text not in self._warned:
                self._warned.add(text)
                self._report(Noted(f"{self.name} warns: {text}", "warning"))


def _challenges(answer: Answer) -> Sequence[Challenge]:
    return parse_challenges(answer.header_lines("WWW-Authenticate"))
