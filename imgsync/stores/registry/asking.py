"""Asking: one answer, through redirects and with the authentication that a registry wants.

The registry itself sees credentials, and nobody else: redirects are followed here, with an eye on
where they lead.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from imgsync.errors import NetworkError
from imgsync.stores.registry.challenge import Challenge, parse_challenges
from imgsync.stores.registry.origin import Origin, redacted, split_url
from imgsync.stores.registry.request import Login as How
from imgsync.stores.registry.request_auth import RequestAuth
from imgsync.stores.registry.wire_errors import Cut, NoConnection, SpeaksPlainHttp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.auth import Authenticator
    from imgsync.stores.registry.request import Request
    from imgsync.stores.registry.transport import Transport

MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Asking:
    """Of one registry; used by many threads at once.

    Attributes:
        origin: where the registry is; a first answer may show that it is on https.
    """

    def __init__(
        self,
        name: str,
        origin: Origin,
        auth: Authenticator,
        transport: Transport,
        *,
        api: str,
        headers: Mapping[str, str],
        is_plain_http: Callable[[str], bool],
        is_guess: bool,
    ) -> None:
        """See `Host` for what these are."""
        self.origin = origin
        self._name = name
        self._auth = auth
        self._transport = transport
        self._api = api
        self._headers = dict(headers)
        self._is_plain_http = is_plain_http
        self._is_guess = is_guess

    def answer(self, request: Request, check: Callable[[], None]) -> Answer:
        """The answer to a request, whatever its status.

        Of several that ask before anything is known of the registry, the first goes alone;
        ``check`` is called when it is one's turn, and may raise.
        """
        login = RequestAuth(self._auth, request.scopes, request.repository, self._ping)
        is_first = self._auth.begin()
        known = False
        try:
            check()
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
                self._auth.end(known=known)
        answer.who = login.who
        return answer

    def stream(self, request: Request, body: bytes | Readable) -> Answer:
        """The answer to a body that can be read only once; a 401 is learned from."""
        origin = request.origin or self.origin
        login = RequestAuth(self._auth, request.scopes, request.repository, self._ping)
        answer = self._transport.exchange(
            request.method,
            origin,
            request.target,
            self._headers_to(origin, request, login),
            body,
            read_timeout_s=request.read_timeout_s,
        )
        answer.who = login.who
        if answer.status == 401:
            login.again(_challenges(answer))
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
        msg = f"{self._name}: more than {MAX_REDIRECTS} redirects, the last to {shown}"
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
            msg = f"{self._name}: it leads from https to plain http: {shown}"
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
        answer = self._transport.exchange("GET", self.origin, f"{self._api}/", self._headers)
        challenges = _challenges(answer) if answer.status == 401 else ()
        answer.close()
        return challenges


def _challenges(answer: Answer) -> Sequence[Challenge]:
    return parse_challenges(answer.header_lines("WWW-Authenticate"))
