"""A forward proxy as companies have them: CONNECT for https, absolute addresses for http.

with ForwardProxy(user="ann", password="pw") as proxy:
    ... {"https_proxy": proxy.url_with_credentials} ...
    assert proxy.count("CONNECT") == 1
"""

import selectors
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from tests.servers.http_server import Handler, HttpServer
from tests.servers.tokens import basic_credentials
from tests.servers.upstream import CHUNK_BYTES, framed

_ANSWER_S = 60
# Between the client and this proxy, not for the server behind it.
_NOT_PASSED_ON = {"connection", "keep-alive", "proxy-connection", "proxy-authorization"}


@dataclass
class ForwardProxy(HttpServer):
    """Passes on what it is asked; with a user, only to those who know the password."""

    user: str = ""
    password: str = ""

    @property
    def url_with_credentials(self) -> str:
        """The address as it stands in `https_proxy`."""
        return f"http://{self.user}:{self.password}@{self.host}" if self.user else self.url

    def handler(self) -> type[Handler]:
        """See `_ForwardHandler`."""
        return _ForwardHandler


class _ForwardHandler(Handler):
    def _allowed(self) -> bool:
        owner = self.server.owner
        assert isinstance(owner, ForwardProxy)
        if not owner.user:
            return True
        header = self.headers.get("Proxy-Authorization", "")
        if basic_credentials(header) == (owner.user, owner.password):
            return True
        self.answer(407, headers={"Proxy-Authenticate": 'Basic realm="imgsync tests"'})
        return False

    def do_CONNECT(self) -> None:
        if not self._allowed():
            return
        host, _, port = self.path.rpartition(":")
        try:
            upstream = socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S)
        except OSError:
            self.answer(502)
            return
        self.close_connection = True
        self.seen.status = 200
        with upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._carry(upstream)

    def _carry(self, upstream: socket.socket) -> None:
        """Bytes go both ways until one side ends."""
        with selectors.DefaultSelector() as ready:
            ready.register(self.connection, selectors.EVENT_READ, upstream)
            ready.register(upstream, selectors.EVENT_READ, self.connection)
            while events := ready.select(_ANSWER_S):
                for key, _ in events:
                    source = self.connection if key.data is upstream else upstream
                    data = source.recv(CHUNK_BYTES)
                    if not data:
                        return
                    key.data.sendall(data)
                    if key.data is upstream:
                        self.seen.n_bytes_in += len(data)
                    else:
                        self.seen.n_bytes_out += len(data)

    def _forward(self) -> None:
        address = urlsplit(self.path)
        if not self._allowed():
            return
        if address.scheme != "http" or address.hostname is None:
            self.answer(400)
            return
        upstream = HTTPConnection(address.hostname, address.port, timeout=_ANSWER_S)
        try:
            self._pass_on(upstream, address._replace(scheme="", netloc="").geturl() or "/")
        except (OSError, HTTPException):
            self.close_connection = True
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def _pass_on(self, upstream: HTTPConnection, target: str) -> None:
        upstream.putrequest(self.command, target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _NOT_PASSED_ON:
                upstream.putheader(name, value)
        upstream.endheaders()
        for piece in self._framed():
            upstream.send(piece)
        answer = upstream.getresponse()
        self.seen.status = answer.status
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding"}:
                self.send_header(name, value)
        # One connection for one request: slower than a real proxy, and just as correct.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()
        while piece := answer.read(CHUNK_BYTES):
            self.wfile.write(piece)
            self.seen.n_bytes_out += len(piece)

    def _framed(self) -> Iterator[bytes]:
        if not self.body.chunked:
            yield from self.body
            return
        for piece in self.body:
            yield framed(piece)
        yield framed(b"")
