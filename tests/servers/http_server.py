"""The base of the HTTP servers written here: threads, TLS, records of what was asked.

Owns starting, stopping and recording. What is answered is the handler's business.
"""

import re
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.servers.certificates import Certificate
from tests.servers.upstream import CHUNK_BYTES, HOP_BY_HOP, Response, framed


class ClientGone(Exception):
    """The client went away before it had sent what it announced."""


@dataclass
class Seen:
    """One request as it arrived; the last three fields are filled in as it is answered."""

    method: str
    path: str  # with its query
    headers: Mapping[str, str]  # names in lower case
    status: int = 0
    n_bytes_in: int = 0  # of the request's body
    n_bytes_out: int = 0  # of the response's body


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a stalled answer must not hold up the end of a test
    request_queue_size = 256

    def __init__(self, handler: type[BaseHTTPRequestHandler], owner: "HttpServer") -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._to_reset: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", owner.port), handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.owner.tls is not None:
            # The handshake is left to the thread that serves the connection.
            connection = self.owner.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._open_lock:
            self._open.add(connection)
            self.owner.n_connections += 1
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
            reset = request in self._to_reset
            self._to_reset.discard(request)
        if reset:
            self.close_request(request)  # an orderly shutdown first would send FIN, not RST
        else:
            super().shutdown_request(request)

    def will_reset(self, connection: socket.socket) -> None:
        """The connection ends with a TCP reset once its handler returns."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self._open_lock:
            self._to_reset.add(connection)

    def end_connections(self) -> None:
        with self._open_lock:
            still_open, self._open = self._open, set()
        for connection in still_open:
            try:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                continue  # the peer was quicker

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        # A peer that goes away is what half of these tests are about.
        if error is not None and not isinstance(error, OSError | ClientGone):
            self.owner.errors.append(error)


@dataclass
class HttpServer:
    """A threaded HTTP/1.1 server on loopback, usable with `with`, restartable on its port."""

    certificate: Certificate | None = None
    port: int = 0  # 0 until it is started for the first time
    requests: list[Seen] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)  # bugs in a handler
    n_connections: int = 0
    tls: ssl.SSLContext | None = field(default=None, init=False, repr=False)
    _listener: _Listener | None = field(default=None, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """The class that answers; it finds this object as `self.server.owner`."""
        raise NotImplementedError

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, as in the name of an image."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base of every address of this server, without a slash at its end."""
        return f"http{'s' if self.certificate else ''}://{self.host}"

    def start(self) -> None:
        """It answers, on the same port as before if it was stopped."""
        self.tls = self.certificate.server_context() if self.certificate else None
        self._listener = _Listener(self.handler(), self)
        self.port = self._listener.server_address[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """The port is closed and every connection ended. Harmless when it is not running."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.shutdown()
        listener.server_close()
        listener.end_connections()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        if self.errors and exc_info[0] is None:
            raise ExceptionGroup(
                f"{type(self).__name__} has a bug",
                [error for error in self.errors if isinstance(error, Exception)],
            )

    def matching(self, method: str = "", path: str = "") -> list[Seen]:
        """The requests whose method and path (with query) match these regular expressions."""
        return [
            seen
            for seen in tuple(self.requests)
            if re.fullmatch(method or ".*", seen.method) and re.search(path, seen.path)
        ]

    def count(self, method: str = "", path: str = "") -> int:
        """How many requests match; see `matching`."""
        return len(self.matching(method, path))

    def forget(self) -> None:
        """The records are empty."""
        self.requests.clear()


class Handler(BaseHTTPRequestHandler):
    """Reads bodies of both kinds, writes whole answers, records, and does not log."""

    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a byte
    server: _Listener
    seen: Seen
    body: "Body"  # of the request, to be read in pieces

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Nothing: `Seen` is the log."""

    def parse_request(self) -> bool:
        """As the base's; the request is on record before anything is answered."""
        if not super().parse_request():
            return False
        self.seen = Seen(
            self.command, self.path, {name.lower(): value for name, value in self.headers.items()}
        )
        self.server.owner.requests.append(self.seen)
        self.body = Body(self)
        return True

    def answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Sends a whole response; a body that was not read costs the connection."""
        self.seen.status = status
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name in headers or {}} and status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.body.n_left != 0:
            # As Go's server does: answer at once, and do not wait for the whole body.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD" and body:
            self.wfile.write(body)
            self.seen.n_bytes_out = len(body)

    def passed_on(self) -> list[tuple[str, str]]:
        """The request's headers without those that were meant for us."""
        named = {
            name.strip().lower() for name in self.headers.get("Connection", "").split(",") if name
        }
        dropped = HOP_BY_HOP | named | {"expect"}
        return [pair for pair in self.headers.items() if pair[0].lower() not in dropped]

    def relay(self, response: Response) -> None:
        """Sends what another server answered, piece by piece."""
        self.seen.status = response.status
        self.send_response_only(response.status)
        chunked = response.get("Transfer-Encoding") is not None
        for name, value in response.headers:
            self.send_header(name, value)
        has_body = self.command != "HEAD" and response.status not in {204, 304}
        if has_body and not chunked and response.get("Content-Length") is None:
            self.close_connection = True  # its end is the end of the connection
        if self.body.n_left != 0:
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        for piece in response.body:
            if has_body and piece:
                self.wfile.write(framed(piece) if chunked else piece)
                self.seen.n_bytes_out += len(piece)
        if chunked and has_body:
            self.wfile.write(framed(b""))


class Body:
    """Iterates over a request's body, of a given length or chunked, once."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.chunked = "chunked" in handler.headers.get("Transfer-Encoding", "").lower()
        # None: unknown until the last chunk.
        self.n_left: int | None = (
            None if self.chunked else int(handler.headers.get("Content-Length") or 0)
        )

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        try:
            piece = self._next_chunk() if self.chunked else self._next_piece()
        except OSError as error:
            raise ClientGone from error
        if not piece:
            self.n_left = 0
            raise StopIteration
        self._handler.seen.n_bytes_in += len(piece)
        return piece

    def _next_piece(self) -> bytes:
        wanted = min(self.n_left or 0, CHUNK_BYTES)
        # read1 hands over what has come, so that a slow sender is passed on as it sends.
        piece = self._handler.rfile.read1(wanted) if wanted else b""
        if wanted and not piece:
            raise ClientGone
        self.n_left = (self.n_left or 0) - len(piece)
        return piece

    def _next_chunk(self) -> bytes:
        if self.n_left == 0:
            return b""
        head = self._handler.rfile.readline()
        if not head:
            raise ClientGone
        size = int(head.split(b";")[0], 16)
        piece = self._handler.rfile.read(size)
        self._handler.rfile.readline()
        if len(piece) < size:
            raise ClientGone
        return piece
