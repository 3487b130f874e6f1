"""The registry itself: HTTP/1.1 with keep-alive, a thread for each connection. Standard library.

What is asked and answered is decided in `routes`, `catalog` and `answers`; here are sockets.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final, Self

from imgsync.errors import ImgsyncError, InvalidInput, Unreachable
from imgsync.events import Advanced, Event, Failed, Report, ignore
from imgsync.serve.access import Access, open_to_all
from imgsync.serve.answers import Answer, answer_to, refusal
from imgsync.serve.routes import RequestRefused, parse_range, parse_request
from imgsync.serve.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.serve.catalog import Catalog
    from imgsync.stores import Source

IDLE_S: Final = 60.0
"""How long a connection may say nothing, or a client not take what it asked for."""


@dataclass(frozen=True, slots=True)
class Served:
    """One request that was answered, for a log."""

    client: str
    method: str
    target: str
    status: int
    n_bytes: int


class Server:
    """A read-only registry; ``with Server(…) as server:`` serves until the block is left."""

    def __init__(
        self,
        source: Source,
        catalog: Catalog,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        access: Access = open_to_all,
        tls: ssl.SSLContext | None = None,
        prove: bool = True,
        report: Report = ignore,
        log: Callable[[Served], None] | None = None,
    ) -> None:
        """Listen at once; connections are taken when the block is entered.

        ``listen`` is host and port, and port 0 takes a free one. ``access`` says who may read;
        ``prove`` is explained in `imgsync.serve.sending`. ``report`` is told of bytes and
        failures, one event at a time; ``log`` of each request, from the connection's thread.

        Raises:
            Unreachable: the address cannot be listened on.
        """
        host, _ = listen
        self._report_unlocked = report
        self._report_lock = threading.Lock()
        self.catalog = catalog
        self.sender = Sender(source, prove=prove)
        self.access = access
        self.tls = tls
        self.log = log
        try:
            self._listener = _Listener(listen, self)
        except (OSError, OverflowError) as error:
            msg = f"cannot listen on {host}:{listen[1]}: {error}"
            raise Unreachable(msg, hint="choose another address or port") from None
        self.port: int = self._listener.server_address[1]
        self.host = f"[{host}]" if ":" in host else host
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """``http://host:port``, or ``https``."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    def __enter__(self) -> Self:
        """Take connections, in a thread of its own."""
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """Take no more connections, and end those that there are; a second time is harmless."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener.end_connections()

    def report(self, event: Event) -> None:
        """Tell of an event; the receiver sees one at a time."""
        with self._report_lock:
            self._report_unlocked(event)


def parse_listen(text: str) -> tuple[str, int]:
    """Read ``host:port``, ``:port``, ``[v6]:port`` or a port alone; no host is loopback.

    Raises:
        InvalidInput: anything else.
    """
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        msg = f"{text!r} is not an address to listen on"
        raise InvalidInput(msg, hint="for example 127.0.0.1:5000, or 0.0.0.0:5000 for everybody")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    # Not http.server's: it looks up the name of the host, which takes seconds without DNS.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, listen: tuple[str, int], owner: Server) -> None:
        self.owner = owner
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._serving: set[threading.Thread] = set()
        super().__init__(listen, _Connection)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
            self._serving.add(threading.current_thread())
        try:
            # A connection that breaks, or speaks no TLS, is the client's affair.
            with contextlib.suppress(OSError):
                super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.discard(request)
                self._serving.discard(threading.current_thread())

    def end_connections(self) -> None:
        with self._open_lock:
            threads = list(self._serving)
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(IDLE_S)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - theirs
        """Whatever is not handled is a bug, and ends this connection's thread with a traceback."""
        raise  # noqa: PLE0704 - called where an exception is handled


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    server: _Listener
    connection: socket.socket

    def setup(self) -> None:
        tls = self.server.owner.tls
        if tls is not None:
            self.request.settimeout(self.timeout)
            # Here and not where connections are taken: a slow handshake holds up nobody else.
            self.request = tls.wrap_socket(self.request.dup(), server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        if self.server.owner.tls is not None:
            self.request.close()

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or len(self.raw_requestline) > 65536:
            self.close_connection = True
            return
        if self.parse_request():
            self._answer()

    def _answer(self) -> None:
        owner = self.server.owner
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # its body would be read as the next request
        try:
            owner.access(self.headers.get("Authorization"))
            answer = answer_to(parse_request(self.command, self.path), owner.catalog)
            if answer.content is not None:
                answer = self._with_range(answer)
        except RequestRefused as refused:
            answer = refusal(refused, owner.access.challenge if refused.status == 401 else None)
        except ImgsyncError as error:
            owner.report(Failed(self.path, error))
            answer = refusal(RequestRefused(500, "UNKNOWN", error.message))
        self._send(answer)

    def _with_range(self, answer: Answer) -> Answer:
        content = answer.content
        assert content is not None  # noqa: S101 - checked by the caller
        part = parse_range(self.headers.get("Range"), content.size)
        start, length = part or (0, content.size)
        self._part = (start, length)
        headers = {**answer.headers, "Content-Length": str(length)}
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{content.size}"
        if self.command == "GET":
            self.server.owner.sender.prepare(content, start, length)
        return Answer(206 if part else 200, headers, content=content)

    def _send(self, answer: Answer) -> None:
        headers = {"Content-Length": str(len(answer.body)), **answer.headers}
        if self.close_connection:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode()
        sent = 0

        def on_bytes(n_bytes: int) -> None:
            nonlocal sent
            sent += n_bytes
            about = answer.content or answer.about
            if about is not None:
                owner.report(Advanced(about, n_bytes))

        owner = self.server.owner
        try:
            if self.command == "HEAD" or answer.content is None:
                body = b"" if self.command == "HEAD" else answer.body
                self.connection.sendall(head + body)
                if body:
                    on_bytes(len(body))
            else:
                self.connection.sendall(head)
                owner.sender.send(self.connection, answer.content, *self._part, on_bytes)
        except ImgsyncError as error:
            # The headers are out: a cut connection is all that can still be said.
            self.close_connection = True
            owner.report(Failed(self.path, error))
        except OSError:
            self.close_connection = True
        finally:
            if owner.log is not None:
                client = str(self.client_address[0])
                owner.log(Served(client, self.command, self.path, answer.status, sent))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Of requests that are no HTTP; called by the standard library's parser."""
        del explain
        self.close_connection = True
        self.command = self.command or "GET"
        self.path = getattr(self, "path", "")
        self._send(refusal(RequestRefused(int(code), "UNSUPPORTED", message or "bad request")))
