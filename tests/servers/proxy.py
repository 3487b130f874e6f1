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
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

from tests.servers.faults import Exchange, Fault, HangUp, Response
from tests.servers.http_server import CHUNK_BYTES, ClientGone, Handler, HttpServer

# Said by each hop to its neighbour only (RFC 9110, 7.6.1).
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"}
_UPSTREAM_S = 60


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

    def connect(self) -> HTTPConnection:
        """A new connection to upstream."""
        address = urlsplit(self.upstream)
        assert address.hostname is not None
        if address.scheme == "http":
            return HTTPConnection(address.hostname, address.port, timeout=_UPSTREAM_S)
        context = self.upstream_tls or ssl._create_unverified_context()  # noqa: S323 - see upstream_tls
        return HTTPSConnection(address.hostname, address.port, timeout=_UPSTREAM_S, context=context)

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
    _upstream: HTTPConnection | None = None

    @property
    def proxy(self) -> FaultyProxy:
        owner = self.server.owner
        assert isinstance(owner, FaultyProxy)
        return owner

    def finish(self) -> None:
        if self._upstream is not None:
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
            try:
                response = self._ask(exchange, fault)
            except (OSError, HTTPException) as error:
                self._drop_upstream()
                response = Response(502, [], iter([str(error).encode()]))
        fault.response(exchange, response)
        self._reply(response, fault.body(exchange, response.body))

    def _headers(self) -> list[tuple[str, str]]:
        named = {
            name.strip().lower() for name in self.headers.get("Connection", "").split(",") if name
        }
        dropped = _HOP_BY_HOP | named | {"expect"}
        headers = [pair for pair in self.headers.items() if pair[0].lower() not in dropped]
        if not self.proxy.keep_host:
            headers = [pair for pair in headers if pair[0].lower() != "host"]
            headers.append(("Host", urlsplit(self.proxy.upstream).netloc))
        if self.proxy.certificate is not None:
            headers.append(("X-Forwarded-Proto", "https"))
        return headers

    def _ask(self, exchange: Exchange, fault: Fault) -> Response:
        if self._upstream is None:
            self._upstream = self.proxy.connect()
        upstream = self._upstream
        upstream.putrequest(
            exchange.method, exchange.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in exchange.headers:
            upstream.putheader(name, value)
        upstream.endheaders()
        try:
            for piece in fault.request_body(exchange, self.body):
                upstream.send(b"%x\r\n%b\r\n" % (len(piece), piece) if self.body.chunked else piece)
            if self.body.chunked:
                upstream.send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            # Upstream answered before it had the whole body: the answer may still be read.
            self.close_connection = True
        answer = upstream.getresponse()
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
        return Response(answer.status, headers, self._read(answer))

    def _read(self, answer: HTTPResponse) -> Iterator[bytes]:
        try:
            while piece := answer.read1(CHUNK_BYTES):
                yield piece
        except (OSError, HTTPException) as error:
            raise HangUp from error
        if answer.length:
            raise HangUp  # upstream ended early, so we do
        answer.close()  # only what is read to its end leaves the connection usable
        if answer.will_close:
            self._drop_upstream()

    def _reply(self, response: Response, body: Iterator[bytes]) -> None:
        self.seen.status = response.status
        self.send_response_only(response.status)
        names = {name.lower() for name, _ in response.headers}
        chunked = "transfer-encoding" in names
        for name, value in response.headers:
            self.send_header(name, value)
        has_body = self.command != "HEAD" and response.status not in {204, 304}
        if has_body and not chunked and "content-length" not in names:
            self.close_connection = True  # its end is the end of the connection
        if self.body.n_left != 0:
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        for piece in body:
            if not has_body or not piece:
                continue
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            self.seen.n_bytes_out += len(piece)
        if chunked and has_body:
            self.wfile.write(b"0\r\n\r\n")

    def _drop_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None

    def _hang_up(self, *, reset: bool) -> None:
        """The connection ends now: quietly, or with a reset as from a rebooted router."""
        self.close_connection = True
        self._drop_upstream()
        if reset:
            self.server.will_reset(self.connection)
