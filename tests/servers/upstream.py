"""The server behind one of ours: asked over a connection that stays open."""

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import urlsplit

CHUNK_BYTES = 64 * 1024
# Said by each hop to its neighbour only (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"})
_TIMEOUT_S = 60


class HangUp(Exception):
    """Ends the client's connection at this byte."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


class Unreachable(Exception):
    """The server behind does not answer."""


@dataclass
class Response:
    """A response on its way to the client; the body is read once, in pieces."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]

    def set(self, name: str, value: str | None) -> None:
        """The header has this one value; None removes it."""
        self.headers[:] = [pair for pair in self.headers if pair[0].lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def get(self, name: str) -> str | None:
        """The header's value."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def read(self) -> bytes:
        """The whole body, which can still be sent afterwards."""
        data = b"".join(self.body)
        self.body = iter([data])
        return data


class Upstream:
    """One connection to `address`, made when it is needed. Not for two threads at once."""

    def __init__(self, address: str, tls: ssl.SSLContext | None = None) -> None:
        self._address = urlsplit(address)
        self._tls = tls
        self._connection: HTTPConnection | None = None

    @property
    def host(self) -> str:
        """As in a Host header."""
        return self._address.netloc

    def close(self) -> None:
        """The connection is closed; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: Iterable[bytes] = (),
        *,
        chunked: bool = False,
    ) -> Response:
        """The head of the answer has come; its body comes as it is read.

        An upstream that hangs up on the body may have said why, so its answer is still read.

        Raises:
            Unreachable: there is no answer.
        """
        try:
            answer = self._send(method, path, headers, body, chunked=chunked)
        except (OSError, HTTPException) as error:
            self.close()
            raise Unreachable(str(error)) from error
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in HOP_BY_HOP]
        return Response(answer.status, kept, self._read(answer))

    def _send(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: Iterable[bytes],
        *,
        chunked: bool,
    ) -> HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        try:
            for piece in body:
                connection.send(framed(piece) if chunked else piece)
            if chunked:
                connection.send(framed(b""))
        except (BrokenPipeError, ConnectionResetError):
            answer = connection.getresponse()
            answer.will_close = True
            return answer
        return connection.getresponse()

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
            self.close()

    def _connect(self) -> HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "http":
            return HTTPConnection(host, port, timeout=_TIMEOUT_S)
        tls = self._tls or ssl._create_unverified_context()  # noqa: S323 - what is behind us is ours
        return HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=tls)


def framed(piece: bytes) -> bytes:
    """The piece as a chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)
