"""A connection of the registry: reading requests, and sending answers and content."""

from __future__ import annotations

import socketserver
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError
from imgsync.events import Advanced, Failed, Report
from imgsync.serve.answers import Answer, answer_to, refusal
from imgsync.serve.routes import RequestRefused, parse_range, parse_request

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from imgsync.serve.access import Access
    from imgsync.serve.catalog import Catalog
    from imgsync.serve.sending import Sender

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


@dataclass(frozen=True, slots=True)
class Serving:
    """All that connections share."""

    catalog: Catalog
    sender: Sender
    access: Access
    report: Report
    tls: ssl.SSLContext | None = None
    log: Callable[[Served], None] | None = None


class Listening(socketserver.TCPServer):
    """What a connection knows of the server that it came to."""

    serving: Serving


class Connection(BaseHTTPRequestHandler):
    """One connection: requests one after the other, until the client or silence ends it."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    server: Listening
    connection: socket.socket

    def setup(self) -> None:
        """Begin, with TLS where that is spoken."""
        tls = self.server.serving.tls
        if tls is not None:
            self.request.settimeout(self.timeout)
            # Here and not where connections are taken: a slow handshake holds up nobody else.
            self.request = tls.wrap_socket(self.request.dup(), server_side=True)
        super().setup()

    def finish(self) -> None:
        """Close what `setup` opened."""
        super().finish()
        if self.server.serving.tls is not None:
            self.request.close()

    def handle_one_request(self) -> None:
        """Read a request and answer it; no line ends the connection."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or len(self.raw_requestline) > 65536:
            self.close_connection = True
            return
        if self.parse_request():
            self._answer()

    def _answer(self) -> None:
        serving = self.server.serving
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # its body would be read as the next request
        try:
            serving.access(self.headers.get("Authorization"))
            answer = answer_to(parse_request(self.command, self.path), serving.catalog)
            if answer.content is not None:
                answer = self._with_range(answer)
        except RequestRefused as refused:
            answer = refusal(refused, serving.access.challenge if refused.status == 401 else None)
        except ImgsyncError as error:
            serving.report(Failed(self.path, error))
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
            self.server.serving.sender.prepare(content, start, length)
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
                serving.report(Advanced(about, n_bytes))

        serving = self.server.serving
        try:
            if self.command == "HEAD" or answer.content is None:
                body = b"" if self.command == "HEAD" else answer.body
                self.connection.sendall(head + body)
                if body:
                    on_bytes(len(body))
            else:
                self.connection.sendall(head)
                serving.sender.send(self.connection, answer.content, *self._part, on_bytes)
        except ImgsyncError as error:
            # The headers are out: a cut connection is all that can still be said.
            self.close_connection = True
            serving.report(Failed(self.path, error))
        except OSError:
            self.close_connection = True
        finally:
            if serving.log is not None:
                client = str(self.client_address[0])
                serving.log(Served(client, self.command, self.path, answer.status, sent))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Of requests that are no HTTP; called by the standard library's parser."""
        del explain
        self.close_connection = True
        self.command = self.command or "GET"
        self.path = getattr(self, "path", "")
        self._send(refusal(RequestRefused(int(code), "UNSUPPORTED", message or "bad request")))
