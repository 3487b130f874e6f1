"""The wire: one request out, one answer in, over connections that are kept alive.

Prepared requests go through one `requests` adapter an origin, without a session: a session merges
settings, looks at the environment, and costs half a millisecond a request. Everything about an
origin that costs time (TLS context, proxy, pool) is worked out once. Nothing is followed, repeated,
decoded or remembered here: no cookies, no ``.netrc``, no redirects. Exceptions of requests,
urllib3, ssl and sockets end here, see `wire_errors`.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Final

from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import SystemTimeWarning

from imgsync import __version__
from imgsync.errors import Unreachable
from imgsync.stores.registry.adapter import OriginAdapter
from imgsync.stores.registry.answer import Answer
from imgsync.stores.registry.wire_errors import FOREIGN, turned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imgsync.content import Readable
    from imgsync.stores.registry.adapter import Wire
    from imgsync.stores.registry.origin import Origin

# Where the clock matters, the certificate is refused, and that says so in our words.
warnings.filterwarnings("ignore", category=SystemTimeWarning)

USER_AGENT: Final = f"imgsync/{__version__}"


class Transport:
    """The connections that are made for one registry; used by many threads at once."""

    def __init__(
        self,
        wire_of: Callable[[Origin], Wire],
        n_connections: int,
        *,
        connect_timeout_s: float = 15.0,
        read_timeout_s: float = 60.0,
    ) -> None:
        """``wire_of`` is asked once for each origin; keep ``n_connections`` to each.

        Without a byte, or a piece of a body that goes out, for ``read_timeout_s``, a connection
        is dead.
        """
        self._wire_of = wire_of
        self._n_connections = n_connections
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._adapters: dict[Origin, OriginAdapter] = {}
        self._lock = threading.Lock()
        self._is_aborted = False

    def exchange(
        self,
        method: str,
        origin: Origin,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Readable | None = None,
        *,
        read_timeout_s: float | None = None,
    ) -> Answer:
        """Send one request, and return when the head of its answer is there.

        ``headers`` name the length of a body that is a stream. What reading the stream raises
        passes through.

        Raises:
            Unreachable: no connection, or the run was interrupted.
            Cut: a connection, and no answer.
        """
        if self._is_aborted:
            raise Unreachable(f"{origin.authority}: the run was interrupted")
        adapter = self._adapters.get(origin) or self._connect(origin)
        try:
            response = adapter.send(
                _prepared(method, f"{origin}{target}", headers, body),
                stream=True,
                timeout=(self._read_timeout_s, read_timeout_s or self._read_timeout_s),
            )
        except FOREIGN as error:
            ours = turned(error, origin, via_proxy=adapter.has_proxy)
            if ours is None:
                raise
            raise ours from None  # urllib3's text has the whole query, and so signatures
        return Answer(response.raw, method, origin, target)

    def close(self) -> None:
        """Close all connections that nobody uses."""
        with self._lock:
            for adapter in self._adapters.values():
                adapter.close()
            self._adapters.clear()

    def abort(self) -> None:
        """Break what is under way, and make no connection any more."""
        self._is_aborted = True
        with self._lock:
            for adapter in self._adapters.values():
                adapter.abort()

    def _connect(self, origin: Origin) -> OriginAdapter:
        with self._lock:
            adapter = self._adapters.get(origin)
            if adapter is None:
                adapter = OriginAdapter(
                    origin, self._wire_of(origin), self._n_connections, self._connect_timeout_s
                )
                self._adapters[origin] = adapter
        return adapter


def _prepared(
    method: str, url: str, headers: Mapping[str, str], body: bytes | Readable | None
) -> PreparedRequest:
    """A request whose parts are right already: names were checked, and nothing is to be guessed."""
    request = PreparedRequest()
    request.method = method
    request.url = url
    request.headers = CaseInsensitiveDict(
        {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    )
    if body is not None and "Content-Length" not in request.headers and isinstance(body, bytes):
        request.headers["Content-Length"] = str(len(body))
    request.body = body  # type: ignore[assignment] # anything with `read` will do
    return request
