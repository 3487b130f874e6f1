"""OriginAdapter: the `requests` adapter of one origin, with all that is known of it beforehand."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from requests import Response
from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from imgsync.content import CHUNK_BYTES
from imgsync.stores.registry.connection import KEEP_ALIVE, connection_class

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from requests import PreparedRequest
    from urllib3._base_connection import BaseHTTPConnection

    from imgsync.stores.registry.origin import Origin
    from imgsync.stores.registry.proxies import Proxy


@dataclass(frozen=True, slots=True)
class Wire:
    """How one origin is reached.

    Attributes:
        tls: None for plain http.
        check: called with the address of a new connection, before a byte is sent; may raise.
    """

    tls: ssl.SSLContext | None = None
    proxy: Proxy | None = None
    check: Callable[[str], None] | None = None


class OriginAdapter(HTTPAdapter):
    """Sends prepared requests to one origin, over a pool that was made for it."""

    def __init__(
        self, origin: Origin, wire: Wire, n_connections: int, connect_timeout_s: float
    ) -> None:
        """Make the pool; no connection is made before the first request."""
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._pool = _pool(origin, wire, n_connections)
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._pool.ConnectionCls = connection_class(
            origin.scheme, connect_timeout_s, wire.check, self._sockets.add
        )
        self._sends_whole_url = wire.proxy is not None and wire.tls is None
        self.has_proxy = wire.proxy is not None

    def get_connection_with_tls_context(
        self, *_args: object, **_settings: object
    ) -> HTTPConnectionPool:
        """The one pool that there is."""
        return self._pool

    def cert_verify(self, *_args: object, **_settings: object) -> None:
        """Nothing: trust is in the TLS context, where requests would add authorities of its own."""

    def request_url(self, request: PreparedRequest, *_args: object, **_settings: object) -> str:
        """The path, or all of it for a proxy that is not tunnelled through."""
        return str(request.url) if self._sends_whole_url else str(request.path_url)

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:  # noqa: ARG002 - requests'
        """Only what came over the wire: nothing reads cookies, encodings and copies of headers."""
        response = Response.__new__(Response)
        response.raw = resp
        return response

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self._pool.close()
        super().close()

    def abort(self) -> None:
        """Break all connections: whoever waits for a byte sees an end at once."""
        for sock in list(self._sockets):
            with suppress(OSError):
                # Not that of SSLSocket, which forgets the TLS that another thread is reading from.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _HttpsPool(HTTPSConnectionPool):
    """Trust is decided by the TLS context; urllib3 would warn at every connection without it."""

    def _validate_conn(self, conn: BaseHTTPConnection) -> None:
        if conn.is_closed:
            conn.connect()


def _pool(origin: Origin, wire: Wire, n_connections: int) -> HTTPConnectionPool:
    # Uploads are read and sent in pieces of `blocksize`; the default of 16 KiB is slow.
    settings: dict[str, Any] = {"maxsize": n_connections, "blocksize": CHUNK_BYTES}
    if wire.tls is not None:
        settings["ssl_context"] = wire.tls
    if wire.proxy is not None:
        manager = ProxyManager(wire.proxy.url, proxy_headers=dict(wire.proxy.headers), **settings)
        manager.pool_classes_by_scheme = {"http": HTTPConnectionPool, "https": _HttpsPool}
        return manager.connection_from_host(origin.host, origin.port, origin.scheme)
    settings["socket_options"] = KEEP_ALIVE
    return (HTTPConnectionPool if wire.tls is None else _HttpsPool)(
        origin.host, origin.port, **settings
    )
