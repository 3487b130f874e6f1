"""The wire: one request out, one answer in, over connections that are kept alive.

The only module that knows urllib3. Everything about an origin that costs time (TLS context, proxy,
pool) is worked out once, so that a request costs little more than its bytes. Nothing is followed,
repeated, decoded or remembered here, and the environment is not looked at: no cookies, no
``.netrc``, no redirects. Exceptions of urllib3, ssl and sockets end here, see `wire_errors`.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from urllib3 import ProxyManager, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from imgsync import __version__
from imgsync.content import CHUNK_BYTES
from imgsync.stores.registry.answer import Answer
from imgsync.stores.registry.request import READ_TIMEOUT_S
from imgsync.stores.registry.wire_errors import turned

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from urllib3._base_connection import BaseHTTPConnection

    from imgsync.content import Readable
    from imgsync.stores.registry.origin import Origin
    from imgsync.stores.registry.proxies import Proxy

USER_AGENT: Final = f"imgsync/{__version__}"
CONNECT_TIMEOUT_S: Final = 15.0

_ONCE: Final = Retry(0, read=False)
_KEEP_ALIVE: Final = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
]


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


class Transport:
    """The connections that are made for one registry; used by many threads at once."""

    def __init__(self, wire_of: Callable[[Origin], Wire], n_connections: int) -> None:
        """``wire_of`` is asked once for each origin; keep ``n_connections`` to each."""
        self._wire_of = wire_of
        self._n_connections = n_connections
        self._pools: dict[Origin, HTTPConnectionPool] = {}
        self._lock = threading.Lock()

    def exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Readable | None = None,
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> Answer:
        """Send one request, and return when the head of its answer is there.

        ``headers`` name the length of a body that is a stream. What reading the stream raises
        passes through.

        Raises:
            Unreachable: no connection.
            Cut: a connection, and no answer.
        """
        pool = self._pools.get(origin) or self._connect(origin)
        url = target if pool.proxy is None or origin.scheme == "https" else f"{origin}{target}"
        try:
            raw = pool.urlopen(
                method,
                url,
                body=body,  # type: ignore[arg-type] # anything with `read`
                headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
                retries=_ONCE,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s),
                preload_content=False,
                decode_content=False,
            )
        except Exception as error:
            ours = turned(error, origin, via_proxy=pool.proxy is not None)
            if ours is None:
                raise
            raise ours from error
        return Answer(raw, method, origin, target)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _connect(self, origin: Origin) -> HTTPConnectionPool:
        with self._lock:
            pool = self._pools.get(origin)
            if pool is None:
                pool = _pool(origin, self._wire_of(origin), self._n_connections)
                self._pools[origin] = pool
        return pool


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
    settings["socket_options"] = _KEEP_ALIVE
    pool = (HTTPConnectionPool if wire.tls is None else _HttpsPool)(
        origin.host, origin.port, **settings
    )
    if wire.check is not None:
        pool.ConnectionCls = _checked(origin.scheme, wire.check)
    return pool


def _checked(scheme: str, check: Callable[[str], None]) -> type[BaseHTTPConnection]:
    """A kind of connection whose peer is checked as soon as it is known."""

    def checked(made: socket.socket) -> socket.socket:
        try:
            check(str(made.getpeername()[0]))
        except BaseException:
            made.close()
            raise
        return made

    class Http(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return checked(super()._new_conn())

    class Https(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return checked(super()._new_conn())

    return Http if scheme == "http" else Https
