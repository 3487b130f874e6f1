"""A reverse HTTP proxy that records what passes and breaks what it is told to break.

    with Registry() as registry, FaultyProxy(registry.url) as proxy:
        proxy.on("GET", "/blobs/", Cut(after=1000))           # the first such request
        proxy.on("PUT", "/manifests/", Answer(429, {"Retry-After": "1"}), times=2)
        ...                                                   # talk to proxy.host
        assert proxy.count("GET", "/blobs/") == 2

Bodies stream through in both directions, connections stay open, and the answer of an
upstream that hangs up on an upload is passed on. What can go wrong is in
`tests.servers.faults`.
"""

import re
import ssl
import threading
from dataclasses import dataclass, field

from tests.servers.faults import Exchange, Fault
from tests.servers.http_server import ClientGone, Handler, HttpServer
from tests.servers.upstream import HangUp, Response, Unreachable, Upstream


@dataclass
class Rule:
    """One fault, the requests it is for, and which of those: the `nth`, `times` times."""

    fault: Fault
    method: str  # a regular expression for the whole method; "" is any
    path: str  # a regular expression for some part of the path with its query
    nth: int = 1
    times: int | None = 1  # None: for ever
    n_matched: int = 0

    def applies(self, method: str, path: str) -> bool:
        """Whether this request is one to break. Counts it if it matches."""
        if not (re.fullmatch(self.method or ".*", method) and re.search(self.path, path)):
            return False
        self.n_matched += 1
        end = None if self.times is None else self.nth + self.times
        return self.n_matched >= self.nth and (end is None or self.n_matched < end)


@dataclass
class FaultyProxy(HttpServer):
    """Stands in front of `upstream` (an address without a path).

    Attributes:
        upstream: where requests go.
        upstream_tls: how to trust an https upstream; any certificate will do by default.
        keep_host: passes on the client's Host, so that upstream's Locations lead here.
        rules: see `on`.
    """

    upstream: str = ""
    upstream_tls: ssl.SSLContext | None = None
    keep_host: bool = True
    rules: list[Rule] = field(default_factory=list)
    peak: int = 0  # the most requests under way at once
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def on(
        self, method: str, path: str, fault: Fault, *, nth: int = 1, times: int | None = 1
    ) -> Rule:
        """Breaks the `nth` matching request from now on, and `times` - 1 after it.

        The first rule that applies wins; the others count the request all the same.
        """
        rule = Rule(fault, method, path, nth, times)
        with self._lock:
            self.rules.append(rule)
        return rule

    def heal(self) -> None:
        """Nothing is broken any more."""
        with self._lock:
            self.rules.clear()

    def fault_for(self, method: str, path: str) -> Fault | None:
        """What to do to this request; every rule has counted it."""
        with self._lock:
            applying = [rule for rule in self.rules if rule.applies(method, path)]
        return applying[0].fault if applying else None

    def handler(self) -> type[Handler]:
        """See `_ProxyHandler`."""
        return _ProxyHandler

    def entered(self) -> None:
        """One more request is under way."""
        with self._lock:
            self._under_way += 1
            self.peak = max(self.peak, self._under_way)

    def left(self) -> None:
        """One request fewer is under way."""
        with self._lock:
            self._under_way -= 1


class _ProxyHandler(Handler):
    @property
    def proxy(self) -> FaultyProxy:
        owner = self.server.owner
        assert isinstance(owner, FaultyProxy)
        return owner

    def setup(self) -> None:
        super().setup()
        self._upstream = Upstream(self.proxy.upstream, self.proxy.upstream_tls)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _serve(self) -> None:
        self.proxy.entered()
        try:
            self._serve_one(self.proxy.fault_for(self.command, self.path) or Fault())
        except HangUp as hang_up:
            self._hang_up(reset=hang_up.reset)
        except ClientGone:
            self._hang_up(reset=False)
        finally:
            self.proxy.left()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _serve_one(self, fault: Fault) -> None:
        exchange = Exchange(self.command, self.path, self._headers(), self.seen)
        response = fault.answer(exchange)
        if response is None:
            fault.request(exchange)
            response = self._ask(exchange, fault)
        fault.response(exchange, response)
        response.body = fault.body(exchange, response.body)
        self.relay(response)

    def _ask(self, exchange: Exchange, fault: Fault) -> Response:
        body = fault.request_body(exchange, self.body)
        try:
            return self._upstream.ask(
                exchange.method, exchange.path, exchange.headers, body, chunked=self.body.chunked
            )
        except Unreachable as error:
            return Response(502, [], iter([str(error).encode()]))

    def _headers(self) -> list[tuple[str, str]]:
        headers = self.passed_on()
        if not self.proxy.keep_host:
            headers = [pair for pair in headers if pair[0].lower() != "host"]
            headers.append(("Host", self._upstream.host))
        if self.proxy.certificate is not None:
            headers.append(("X-Forwarded-Proto", "https"))
        return headers

    def _hang_up(self, *, reset: bool) -> None:
        """The connection ends now: quietly, or with a reset as from a rebooted router."""
        self.close_connection = True
        self._upstream.close()
        if reset:
            self.server.will_reset(self.connection)
