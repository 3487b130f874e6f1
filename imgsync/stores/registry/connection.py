"""Connections as we want them: checked before the first byte, patient while they send."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3._base_connection import BaseHTTPConnection

KEEP_ALIVE: Final = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]


def connection_class(
    scheme: str,
    connect_timeout_s: float,
    check: Callable[[str], None] | None,
    opened: Callable[[socket.socket], object] = lambda _sock: None,
) -> type[BaseHTTPConnection]:
    """A kind of connection for one origin.

    urllib3 knows one timeout for connecting and for sending, and a piece of a body has to be sent
    within it: short enough for a host that is down, it breaks uploads over thin lines. So
    ``connect_timeout_s`` counts until there is a connection, urllib3's from then on. ``check`` is
    called with the peer's address as soon as that is known, before a byte is sent; it may raise.
    ``opened`` is called with each socket that data go over.
    """

    def made(connection: HTTPConnection, make: Callable[[], socket.socket]) -> socket.socket:
        patience_s, connection.timeout = connection.timeout, connect_timeout_s
        try:
            sock = make()
        finally:
            connection.timeout = patience_s
        try:
            if check is not None:
                check(str(sock.getpeername()[0]))
        except BaseException:
            sock.close()
            raise
        return sock

    class Http(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            sock = made(self, super()._new_conn)
            sock.settimeout(self.timeout)
            opened(sock)
            return sock

    class Https(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return made(self, super()._new_conn)

        def connect(self) -> None:
            super().connect()  # with the tunnel and the handshake
            if self.sock is not None:
                self.sock.settimeout(self.timeout)
                opened(self.sock)

    return Http if scheme == "http" else Https
