"""Origin: scheme, host and port, the border that no credential crosses. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

from imgsync.errors import NetworkError

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HARMLESS_QUERY: Final = frozenset(
    {"scope", "service", "mount", "from", "digest", "n", "last", "ns", "artifactType"}
)
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a request goes. The host is in lower case and without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, scheme: str, authority: str) -> Self:
        """The origin of ``HOST[:PORT]``, as it stands in an image name."""
        parts = urlsplit(f"{scheme}://{authority}")
        return cls(scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS[scheme])

    @property
    def authority(self) -> str:
        """``HOST[:PORT]``, the port only if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """``localhost`` and the addresses that never leave this machine."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        address = self.address
        return address is not None and address.is_loopback

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The host as an IP address, if it is one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        """``scheme://host[:port]``."""
        return f"{self.scheme}://{self.authority}"


def split_url(url: str, base: str = "") -> tuple[Origin, str]:
    """The origin of an absolute URL and what follows it, with the query. Fragments are dropped.

    ``base`` is the URL of the request whose answer named ``url``.

    Raises:
        NetworkError: control characters, credentials, or not http(s); a server sent nonsense.
    """
    shown = redacted(url)
    if _UNSAFE.search(url):
        msg = f"a server sent an address with blanks or control characters: {shown!r}"
        raise NetworkError(msg)
    try:
        parts = urlsplit(urljoin(base, url) if base else url)
        port = parts.port
    except ValueError:
        msg = f"a server sent an address that is none: {shown!r}"
        raise NetworkError(msg) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        msg = f"a server sent an address that is not http or https: {shown!r}"
        raise NetworkError(msg)
    if parts.username is not None or parts.password is not None:
        msg = f"a server sent an address with credentials in it, for {parts.hostname!r}"
        raise NetworkError(msg)
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    origin = Origin(parts.scheme, parts.hostname.lower(), port or _DEFAULT_PORTS[parts.scheme])
    return origin, target


def redacted(url: str) -> str:
    """The address for messages: queries hold signatures and states that are secrets."""
    head, mark, query = url.partition("?")
    head = re.sub(r"//[^/@]*@", "//...@", head)
    if not mark:
        return head[:300]
    shown = [
        part if part.partition("=")[0] in _HARMLESS_QUERY else f"{part.partition('=')[0]}=..."
        for part in query.partition("#")[0].split("&")
    ]
    return f"{head}?{'&'.join(shown)}"[:300]
