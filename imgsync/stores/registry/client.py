"""Host: one registry as its repositories see it. Retries, redirects and authentication.

One `ask` is one question; behind it may be several requests: with a token after a 401, again
after a failure, at another place after a redirect. What an answer means is left to the caller,
`imgsync.stores.registry.refusals` puts it into words.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from imgsync.errors import NetworkError
from imgsync.events import Noted, Report
from imgsync.stores.registry.auth import Authenticator
from imgsync.stores.registry.challenge import Challenge, parse_challenges
from imgsync.stores.registry.envelope import printable
from imgsync.stores.registry.origin import Origin, redacted, split_url
from imgsync.stores.registry.persistence import Persistence
from imgsync.stores.registry.quota import Quota, parse_quota
from imgsync.stores.registry.request import Login as How
from imgsync.stores.registry.request_auth import RequestAuth
from imgsync.stores.registry.retry import RETRY_STATUSES, retry_after_s
from imgsync.stores.registry.stops import Stops
from imgsync.stores.registry.token_client import TokenClient
from imgsync.stores.registry.upload_ways import UploadWays
from imgsync.stores.registry.wire_errors import Cut, NoConnection, SpeaksPlainHttp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.credential import Credential
    from imgsync.stores.registry.request import Request
    from imgsync.stores.registry.transport import Transport

T = TypeVar("T")
R = TypeVar("R")

MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Host:
    """One registry. Made by `registries`; used by many threads at once.

    Attributes:
        name: as in image names, ``docker.io``.
        origin: where its API is; ``api`` is the path below which the endpoints are.
        quota: what the registry last said about its pull limit, or None.
        has_referrers_api: whether it lists referrers; None until it was asked.
        referrers_probe: held while that is asked, so that it is asked once.
        upload_ways: which ways of sending a blob it was found to take.
        stops: what of it takes nothing more in this run.
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
        jobs: int = 8,
        api: str = "/v2",
        headers: Mapping[str, str] | None = None,
        trusted: Collection[str] = (),
        is_plain_http: Callable[[str], bool] = lambda _host: False,
        is_guess: bool = False,
    ) -> None:
        """Send nothing yet.

        ``headers`` go with every request to the registry itself; ``is_plain_http`` tells whether
        the user allows http for a host that https leads to; ``is_guess``, that nobody said that
        ``origin`` is without TLS.
        """
        self.name = name
        self.origin = origin
        self.api = api
        self.retries = retries
        self.quota: Quota | None = None
        self.has_referrers_api: bool | None = None
        self.referrers_probe = threading.Lock()
        self.upload_ways = UploadWays()
        self.stops = Stops(name, retries, report)
        self.auth = Authenticator(
            credential_of,
            lambda challenge, scopes, credential: self._tokens.fetch(
                self.origin, challenge, scopes, credential
            ),
        )
        # Threads are only made when there is work for them.
        self._workers = ThreadPoolExecutor(jobs, f"ask {name}")
        self._transport = transport
        self._tokens = TokenClient(name, transport, trusted, retries, report)
        self._persistence = Persistence(name, retries, report)
        self._report = report
        self._headers = dict(headers or {})
        self._is_plain_http = is_plain_http
        self._is_guess = is_guess
        self._warned: set[str] = set()

    def each(self, ask: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """What ``ask`` answers for each item, in order; as many at once as the host has jobs.

        All who ask this host share the workers, so that many repositories at once do not make
        many connections.

        Raises:
            Whatever ``ask`` raises first, when no more of these are under way.
        """
        if len(items) < 2:
            return [ask(item) for item in items]
        try:
            futures = [self._workers.submit(ask, item) for item in items]
        except RuntimeError:  # the workers take nothing any more
            msg = f"{self.name}: the run ends"
            raise NetworkError(msg) from None
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
            wait(futures)

    def ask(self, request: Request) -> Answer:
        """The answer to a request, whatever its status; asked again where that may help.

        Raises:
            NetworkError: no answer, or only failures, after all attempts; RateLimited if waiting
                will not help within the run.
            AccessDenied: there is no token to be had.
        """
        return self._persistence.answer(lambda: self._once(request), request.what)

    def send(self, request: Request, body: bytes | Readable) -> Answer:
        """Send a body that can be read only once: one try, whose answer is returned.

        The token is renewed before the first byte. After a 401 the next one is another.

        Raises:
            NetworkError: no answer. What reading the body raises passes through.
        """
        pace = self._persistence.pace
        started = pace.wait()
        origin = request.origin or self.origin
        login = RequestAuth(self.auth, request.scopes, request.repository, self._ping)
        headers = self._headers_to(origin, request, login)
        try:
            answer = self._transport.exchange(
                request.method,
                origin,
                request.target,
                headers,
                body,
                read_timeout_s=request.read_timeout_s,
            )
        except NetworkError:
            pace.failed(started)
            raise
        answer.who = login.who
        if answer.status == 401:
            login.again(_challenges(answer))
        elif answer.status in RETRY_STATUSES:
            pace.failed(started, retry_after_s(answer.headers.get("Retry-After", "")))
        else:
            pace.succeeded()
        return answer

    def resolved(self, location: str, base: str) -> tuple[Origin, str]:
        """Where a Location or Link leads that this registry gave; ``base`` is what was asked.

        Raises:
            NetworkError: it leads from https to plain http elsewhere, or nowhere.
        """
        origin, target = split_url(location.strip(), base)
        is_ours = origin.host == self.origin.host
        if is_ours and origin.scheme == "http" and self.origin.scheme == "https":
            # Behind a proxy that does not set X-Forwarded-Proto, registries call themselves http.
            origin = self.origin
        self._check_redirect(self.origin, origin, redacted(location))
        return origin, target

    def close(self) -> None:
        """Wake up who waits, and close the connections that nobody uses."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._persistence.pace.close()
        self.stops.close()
        self._tokens.close()
        self._transport.close()

    def _once(self, request: Request) -> Answer:
        """The answer to a request with the authentication that the registry wants."""
        login = RequestAuth(self.auth, request.scopes, request.repository, self._ping)
        is_first = self.auth.begin()
        known = False
        try:
            self._persistence.raise_if_dead()
            ask = self._first if is_first and self._is_guess else self._followed
            while True:
                answer = ask(request, login)
                ask = self._followed
                is_ours = answer.origin == self.origin
                if answer.status != 401 or not is_ours or request.login is How.BASIC:
                    break
                if not login.again(_challenges(answer)) or request.login is How.NOBODY:
                    break
                answer.close()
            known = True
        finally:
            if is_first:
                self.auth.end(known=known)
        answer.who = login.who
        self._note(answer)
        return answer

    def _followed(self, request: Request, login: RequestAuth) -> Answer:
        """The answer of where the redirects end; only the registry itself sees credentials."""
        origin, target, shown = request.origin or self.origin, request.target, ""
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._transport.exchange(
                request.method,
                origin,
                target,
                self._headers_to(origin, request, login),
                request.body,
                read_timeout_s=request.read_timeout_s,
            )
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            if request.body is not None and answer.status not in {307, 308}:
                return answer
            url = answer.url
            answer.close()
            to, target = split_url(location.strip(), url)
            shown = redacted(location)
            self._check_redirect(origin, to, shown)
            if origin == self.origin and to.host == origin.host and to.scheme != origin.scheme:
                # Port 80 that only leads to https: what follows is asked there at once.
                self.origin = to
            origin = to
        msg = f"{self.name}: more than {MAX_REDIRECTS} redirects, the last to {shown}"
        raise NetworkError(msg)

    def _headers_to(
        self, origin: Origin, request: Request, login: RequestAuth
    ) -> Mapping[str, str]:
        if origin != self.origin:
            return request.headers
        match request.login:
            case How.AS_ASKED:
                authorization = login.header()
            case How.NOBODY:
                authorization = ""
            case How.BASIC:
                authorization = login.basic()
        if not authorization:
            return {**self._headers, **request.headers}
        return {**self._headers, **request.headers, "Authorization": authorization}

    def _check_redirect(self, origin: Origin, to: Origin, shown: str) -> None:
        is_worse = origin.scheme == "https" and to.scheme == "http"
        if is_worse and not self._is_plain_http(to.authority):
            msg = f"{self.name}: it leads from https to plain http: {shown}"
            raise NetworkError(msg, hint=f"if that is right: --plain-http-host {to.authority}")

    def _first(self, request: Request, login: RequestAuth) -> Answer:
        """As `_followed`, where it was only guessed that the registry speaks plain http.

        A server that expects TLS answers with 400 (Go, nginx) or hangs up. Trying https then
        does no harm, trying http after https would.
        """
        plain = self.origin
        try:
            answer = self._followed(request, login)
        except Cut as cut:
            broken: Cut | None = cut
        else:
            if answer.status != 400:
                return answer
            answer.close()
            broken = None
        self.origin = replace(plain, scheme="https")
        try:
            return self._followed(request, login)
        except (SpeaksPlainHttp, Cut, NoConnection):
            self.origin = plain
        if broken is not None:
            raise broken
        return self._followed(request, login)

    def _ping(self) -> Sequence[Challenge]:
        """The challenges of ``/v2/``, for registries that send none with the answer itself."""
        answer = self._transport.exchange("GET", self.origin, f"{self.api}/", self._headers)
        challenges = _challenges(answer) if answer.status == 401 else ()
        answer.close()
        return challenges

    def _note(self, answer: Answer) -> None:
        """Remember the quota, and tell each warning once."""
        self.quota = parse_quota(answer.headers) or self.quota
        for line in answer.header_lines("Warning"):
            code, _, rest = line.partition(" ")
            text = printable(rest.partition('"')[2].rpartition('"')[0])[:300]
            if code == "299" and text and text not in self._warned:
                self._warned.add(text)
                self._report(Noted(f"{self.name} warns: {text}", "warning"))


def _challenges(answer: Answer) -> Sequence[Challenge]:
    return parse_challenges(answer.header_lines("WWW-Authenticate"))
