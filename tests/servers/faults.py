"""What can go wrong on the way to a registry, each as a small object for `FaultyProxy.on`.

A fault takes part at up to five places: it answers instead of upstream, changes the
request, its body, the head of the response, or its body. The base does nothing.
"""

import gzip
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.servers.http_server import Seen
from tests.servers.upstream import HangUp, Response


@dataclass
class Exchange:
    """A request on its way to upstream."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    seen: Seen


class Fault:
    """Does nothing, at every place; each fault overrides what it needs."""

    def answer(self, exchange: Exchange) -> Response | None:
        """A response instead of upstream's; upstream is then not asked."""
        return None

    def request(self, exchange: Exchange) -> None:
        """Changes what upstream is asked."""

    def request_body(self, exchange: Exchange, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """Changes what upstream is sent."""
        return pieces

    def response(self, exchange: Exchange, response: Response) -> None:
        """Changes status and headers."""

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Changes what the client is sent."""
        return pieces


@dataclass
class Answer(Fault):
    """Answers with this; upstream never hears of the request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    def answer(self, exchange: Exchange) -> Response:
        """As told."""
        length = [("Content-Length", str(len(self.content)))]
        headers = [*self.headers.items(), *(length if self.status != 204 else [])]
        return Response(self.status, headers, iter([self.content]))


@dataclass
class Redirect(Fault):
    """Sends the client to `to` with the request's path, or to what `to` makes of the path."""

    to: str | Callable[[str], str]
    status: int = 307

    def answer(self, exchange: Exchange) -> Response:
        """The redirect."""
        target = self.to + exchange.path if isinstance(self.to, str) else self.to(exchange.path)
        return Answer(self.status, {"Location": target}).answer(exchange)


@dataclass
class Cut(Fault):
    """Closes the connection after this many bytes of the response's body."""

    after: int
    reset: bool = False  # with a TCP reset instead of an orderly end

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The first `after` bytes, then nothing."""
        yield from _first(pieces, self.after)
        raise HangUp(reset=self.reset)


@dataclass
class Reset(Fault):
    """Resets the connection, before upstream hears of the request."""

    def answer(self, exchange: Exchange) -> Response:
        """Never."""
        raise HangUp(reset=True)


@dataclass
class CutRequest(Fault):
    """Ends both connections after this many bytes of the request's body."""

    after: int
    reset: bool = True

    def request_body(self, exchange: Exchange, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The first `after` bytes, then nothing."""
        yield from _first(iter(pieces), self.after)
        raise HangUp(reset=self.reset)


@dataclass
class LoseResponse(Fault):
    """Upstream does what it was asked; the client never hears of it."""

    reset: bool = False

    def response(self, exchange: Exchange, response: Response) -> None:
        """The connection ends before the head."""
        for _ in response.body:
            pass  # or upstream may think that it was interrupted
        raise HangUp(reset=self.reset)


@dataclass
class Stall(Fault):
    """Stops after this many bytes of the body for `seconds`, or until `go_on` is set."""

    after: int = 0
    seconds: float = 30
    go_on: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)  # set when it stops

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Everything, after a pause."""
        rest: list[bytes] = []
        yield from _first(pieces, self.after, rest)
        self.reached.set()
        self.go_on.wait(self.seconds)
        yield from itertools.chain(rest, pieces)


@dataclass
class Delay(Fault):
    """Waits this long, or until `go_on` is set, before upstream is asked."""

    seconds: float = 30
    go_on: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def request(self, exchange: Exchange) -> None:
        """The pause."""
        self.reached.set()
        self.go_on.wait(self.seconds)


@dataclass
class Slow(Fault):
    """Hands the body over at this many bytes a second."""

    bytes_per_s: float

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same bytes, later."""
        pause = threading.Event()
        for piece in pieces:
            for at in range(0, len(piece), 4096):
                yield piece[at : at + 4096]
                pause.wait(len(piece[at : at + 4096]) / self.bytes_per_s)


@dataclass
class Corrupt(Fault):
    """Flips one bit of the response's byte at this offset; the length stays."""

    at: int = 0

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Other bytes."""
        return _flipped(pieces, self.at)


@dataclass
class CorruptRequest(Fault):
    """Flips one bit of the request's byte at this offset."""

    at: int = 0

    def request_body(self, exchange: Exchange, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Other bytes."""
        return _flipped(iter(pieces), self.at)


@dataclass
class Truncate(Fault):
    """Sends only this many bytes, and a Content-Length that says that this is all."""

    to: int

    def response(self, exchange: Exchange, response: Response) -> None:
        """The lie."""
        response.set("Transfer-Encoding", None)
        response.set("Content-Length", str(self.to))

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Its first bytes; the rest is read and dropped."""
        yield from _first(pieces, self.to)
        for _ in pieces:
            pass


@dataclass
class Extend(Fault):
    """Sends more bytes than there are, and a Content-Length that counts them."""

    extra: bytes

    def response(self, exchange: Exchange, response: Response) -> None:
        """The lie."""
        length = response.get("Content-Length")
        if length is not None:
            response.set("Content-Length", str(int(length) + len(self.extra)))

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """All its bytes and more."""
        return itertools.chain(pieces, [self.extra])


@dataclass
class Replace(Fault):
    """Sends these bytes as the body, with upstream's status and headers."""

    content: bytes

    def response(self, exchange: Exchange, response: Response) -> None:
        """The length is true."""
        response.set("Transfer-Encoding", None)
        response.set("Content-Length", str(len(self.content)))

    def body(self, exchange: Exchange, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The given bytes; upstream's are read and dropped."""
        for _ in pieces:
            pass
        yield self.content


@dataclass
class SetHeaders(Fault):
    """Gives response headers another value; None removes one.

    Enough for a wrong digest, a HEAD that tells nothing, a Location that leads elsewhere.
    """

    headers: Mapping[str, str | None]
    status: int | None = None

    def response(self, exchange: Exchange, response: Response) -> None:
        """The headers are set."""
        for name, value in self.headers.items():
            response.set(name, value)
        response.status = self.status or response.status


@dataclass
class SubHeader(Fault):
    """Replaces a pattern within one response header."""

    name: str
    pattern: str
    replacement: str

    def response(self, exchange: Exchange, response: Response) -> None:
        """The header is changed, if there is one."""
        value = response.get(self.name)
        if value is not None:
            response.set(self.name, re.sub(self.pattern, self.replacement, value))


@dataclass
class DropRequestHeaders(Fault):
    """Upstream does not see these; dropping Range makes a 206 a 200."""

    names: tuple[str, ...]

    def request(self, exchange: Exchange) -> None:
        """The headers are gone."""
        dropped = {name.lower() for name in self.names}
        exchange.headers[:] = [pair for pair in exchange.headers if pair[0].lower() not in dropped]


@dataclass
class Gzip(Fault):
    """Compresses the body and says so, whatever the client accepts."""

    def response(self, exchange: Exchange, response: Response) -> None:
        """Read whole: for small bodies."""
        if exchange.method == "HEAD":
            return
        content = gzip.compress(response.read())
        response.set("Content-Encoding", "gzip")
        response.set("Content-Length", str(len(content)))
        response.set("Transfer-Encoding", None)
        response.body = iter([content])


@dataclass
class LimitBody(Fault):
    """413 for a request whose body is larger, as nginx with `client_max_body_size`."""

    n_bytes: int

    def answer(self, exchange: Exchange) -> Response | None:
        """The refusal, by the length that the client declares."""
        length = next(
            (int(value) for name, value in exchange.headers if name.lower() == "content-length"), 0
        )
        if length <= self.n_bytes:
            return None
        page = b"<html><head><title>413 Request Entity Too Large</title></head></html>\r\n"
        return Answer(413, {"Content-Type": "text/html"}, page).answer(exchange)


def _first(
    pieces: Iterator[bytes], n_bytes: int, rest: list[bytes] | None = None
) -> Iterator[bytes]:
    """The first bytes; what is left of the piece that was cut goes to `rest`."""
    left = n_bytes
    while left > 0:
        piece = next(pieces, None)
        if piece is None:
            return
        yield piece[:left]
        if rest is not None and piece[left:]:
            rest.append(piece[left:])
        left -= len(piece)


def _flipped(pieces: Iterator[bytes], at: int) -> Iterator[bytes]:
    offset = 0
    for piece in pieces:
        if offset <= at < offset + len(piece):
            changed = bytearray(piece)
            changed[at - offset] ^= 1
            yield bytes(changed)
        else:
            yield piece
        offset += len(piece)
