"""The registry itself: HTTP/1.1 with keep-alive, a thread for each connection. Standard library.

What is asked and answered is decided in `routes`, `catalog` and `answers`; here are sockets.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
from typing import TYPE_CHECKING, Any, Self

from imgsync.errors import InvalidInput, Unreachable
from imgsync.events import Event, Report, ignore
from imgsync.serve.access import Access, open_to_all
from imgsync.serve.connection import IDLE_S, Connection, Listening, Served, Serving
from imgsync.serve.sending import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.serve.catalog import Catalog
    from imgsync.stores import Source


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
        self.sender = Sender(source, prove=prove)
        self.tls = tls
        serving = Serving(catalog, self.sender, access, self.report, tls, log)
        try:
            self._listener = _Listener(listen, serving)
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


class _Listener(socketserver.ThreadingMixIn, Listening):
    # Not http.server's: it looks up the name of the host, which takes seconds without DNS.
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, listen: tuple[str, int], serving: Serving) -> None:
        self.serving = serving
        self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._threads_open: set[threading.Thread] = set()
        super().__init__(listen, Connection)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
            self._threads_open.add(threading.current_thread())
        try:
            # A connection that breaks, or speaks no TLS, is the client's affair.
            with contextlib.suppress(OSError):
                super().process_request_thread(request, client_address)
        finally:
            with self._open_lock:
                self._open.discard(request)
                self._threads_open.discard(threading.current_thread())

    def end_connections(self) -> None:
        with self._open_lock:
            threads = list(self._threads_open)
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(IDLE_S)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - theirs
        """Whatever is not handled is a bug, and ends this connection's thread with a traceback."""
        raise  # noqa: PLE0704 - called where an exception is handled
