"""Host: one registry as its repositories see it, and all that is learned about it in a run.

One `ask` is one question; behind it may be several requests: again after a failure (`persistence`),
with a token after a 401, at another place after a redirect (`asking`). What an answer means is left
to the caller; `refusals` puts it into words.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from imgsync.errors import NetworkError
from imgsync.events import Noted, Report
from imgsync.stores.registry.asking import Asking
from imgsync.stores.registry.auth import Authenticator
from imgsync.stores.registry.envelope import printable
from imgsync.stores.registry.persistence import Persistence
from imgsync.stores.registry.quota import Quota, parse_quota
from imgsync.stores.registry.retry import RETRY_STATUSES, retry_after_s
from imgsync.stores.registry.stops import Stops
from imgsync.stores.registry.token_client import TokenClient
from imgsync.stores.registry.upload_ways import UploadWays

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.credential import Credential
    from imgsync.stores.registry.origin import Origin
    from imgsync.stores.registry.request import Request
    from imgsync.stores.registry.transport import Transport

T = TypeVar("T")
R = TypeVar("R")


class Host:
    """One registry. Made by `registries`; used by many threads at once.

    Attributes:
        name: as in image names, ``docker.io``.
        api: the path below which the endpoints are.
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
        self._asking = Asking(
            name,
            origin,
            self.auth,
            transport,
            api=api,
            headers=headers or {},
            is_plain_http=is_plain_http,
            is_guess=is_guess,
        )
        self._report = report
        self._warned: set[str] = set()

    @property
    def origin(self) -> Origin:
        """Where its API is; the first answer may show that it is on https after all."""
        return self._asking.origin

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

        def once() -> Answer:
            answer = self._asking.answer(request, self._persistence.raise_if_dead)
            self._note(answer)
            return answer

        return self._persistence.answer(once, request.what)

    def send(self, request: Request, body: bytes | Readable) -> Answer:
        """Send a body that can be read only once: one try, whose answer is returned.

        The token is renewed before the first byte. After a 401 the next one is another.

        Raises:
            NetworkError: no answer. What reading the body raises passes through.
        """
        pace = self._persistence.pace
        started = pace.wait()
        try:
            answer = self._asking.stream(request, body)
        except NetworkError:
            pace.failed(started)
            raise
        if answer.status in RETRY_STATUSES:
            pace.failed(started, retry_after_s(answer.headers.get("Retry-After", "")))
        elif answer.status != 401:
            pace.succeeded()
        return answer

    def resolved(self, location: str, base: str) -> tuple[Origin, str]:
        """Where a Location or Link leads that this registry gave; ``base`` is what was asked.

        Raises:
            NetworkError: it leads from https to plain http elsewhere, or nowhere.
        """
        return self._asking.resolved(location, base)

    def close(self) -> None:
        """Wake up who waits, and close the connections that nobody uses."""
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._persistence.pace.close()
        self.stops.close()
        self._tokens.close()
        self._transport.close()

    def abort(self) -> None:
        """Wake up who waits, and break all connections: the run was interrupted."""
        self._persistence.pace.close()
        self.stops.close()
        self._tokens.close()
        self._transport.abort()

    def _note(self, answer: Answer) -> None:
        """Remember the quota, and tell each warning once."""
        self.quota = parse_quota(answer.headers) or self.quota
        for line in answer.header_lines("Warning"):
            code, _, rest = line.partition(" ")
            text = printable(rest.partition('"')[2].rpartition('"')[0])[:300]
            if code == "299" and text and text not in self._warned:
                self._warned.add(text)
                self._report(Noted(f"{self.name} warns: {text}", "warning"))
