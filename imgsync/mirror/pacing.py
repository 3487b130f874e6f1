"""Per-host limits: requests a second, requests at once, bytes a second.

They hold for a registry as a whole, whatever asks it and from however many threads, so they sit
where every request passes: on the transport. A download holds its place among the requests at
once only until its first byte, and bytes are counted on the way in by `MirrorRepository`, on the
way out here.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

from imgsync.mirror.limits import Throttle
from imgsync.stores.registry.registries import Registries
from imgsync.stores.registry.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.content import Readable
    from imgsync.events import Report
    from imgsync.mirror.config import HostSettings
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.options import ConnectionOptions
    from imgsync.stores.registry.origin import Origin
    from imgsync.stores.registry.sites import Site


class HostPace:
    """The limits of one registry, shared by everything that speaks to it."""

    def __init__(self, settings: HostSettings) -> None:
        """Nothing passed yet."""
        rate, at_once, speed = (
            settings.requests_per_second,
            settings.connections,
            settings.bytes_per_second,
        )
        self.requests = Throttle(rate) if rate is not None else None
        self.bytes = Throttle(speed) if speed is not None else None
        self.places = threading.BoundedSemaphore(at_once) if at_once is not None else nullcontext()

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit that concerns requests."""
        return not (
            self.requests is None and self.bytes is None and isinstance(self.places, nullcontext)
        )


class Paced:
    """A stream that gives bytes at a rate."""

    def __init__(self, inner: Readable, pace: Throttle) -> None:
        """Take over the stream."""
        self._inner = inner
        self._pace = pace

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes, as soon as they may pass."""
        data = self._inner.read(size)
        if data:
            self._pace.take(len(data))
        return data

    def close(self) -> None:
        """Close the stream."""
        self._inner.close()


class PacedTransport(Transport):
    """Another transport, within limits."""

    def __init__(self, inner: Transport, pace: HostPace) -> None:
        """Everything but the limits is the inner one's."""
        self._inner = inner
        self._pace = pace

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
        """Send one request when it may be sent."""
        pace = self._pace
        if pace.bytes is not None and body is not None:
            if isinstance(body, bytes):
                pace.bytes.take(len(body))
            else:
                body = Paced(body, pace.bytes)
        with pace.places:
            if pace.requests is not None:
                pace.requests.take()
            return self._inner.exchange(
                method, origin, target, headers, body, read_timeout_s=read_timeout_s
            )

    def close(self) -> None:
        """Close all connections that nobody uses."""
        self._inner.close()

    def abort(self) -> None:
        """Break what is under way."""
        self._inner.abort()


class PacedRegistries(Registries):
    """Registries whose hosts have limits."""

    def __init__(
        self,
        options: ConnectionOptions,
        report: Report,
        environ: Mapping[str, str],
        settings: Mapping[str, HostSettings],
    ) -> None:
        """``settings`` are those of a mirror's config."""
        super().__init__(options, report, environ)
        self._paces = {name: HostPace(host) for name, host in settings.items()}

    def pace_of(self, name: str) -> HostPace | None:
        """The limits of a registry, or None for none."""
        return self._paces.get(name)

    def transport_to(self, site: Site) -> Transport:
        """The connections for one registry, within its limits."""
        inner = super().transport_to(site)
        pace = self._paces.get(site.name)
        return inner if pace is None or not pace.is_limited else PacedTransport(inner, pace)
