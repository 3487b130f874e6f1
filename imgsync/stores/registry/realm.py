"""Which token servers a registry may send us to, and which of them get our credentials. Pure.

A challenge names any address it likes (CVE-2026-48978), so a realm is https where the registry is,
and credentials go to it only if it plainly belongs to the registry: the same host, a sister below
the same domain, both in a private network, or one that the user allows. Whether a name leads into
a private network is looked at when the connection is made, see `guard`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.errors import AccessDenied
from imgsync.stores.registry.guard import is_private
from imgsync.stores.registry.origin import Origin, split_url

if TYPE_CHECKING:
    from collections.abc import Collection

_SECOND_LEVEL: Final = frozenset({"ac", "co", "com", "edu", "gob", "gov", "ne", "net", "or", "org"})
"""Below two-letter countries these are sold by the name, as ``co.uk``: three labels make a domain.
No list of all such suffixes is carried along: a longer domain is only the safer side.
"""


def realm_url(realm: str, service_url: str, registry: Origin) -> tuple[Origin, str]:
    """Where to ask for a token; ``service_url`` is what was asked when the challenge came.

    Raises:
        AccessDenied: plain http for an https registry, on another host.
        NetworkError: no usable address.
    """
    origin, target = split_url(realm.strip(), service_url)
    if registry.scheme == "https" and origin.scheme == "http":
        if origin.host != registry.host:
            msg = f"{registry.authority}: its token server {origin} is plain http; nothing is sent"
            raise AccessDenied(msg, hint="the registry's external URL or proxy is set up wrongly")
        # The usual mistake: the proxy in front does not set X-Forwarded-Proto.
        port = 443 if origin.port == 80 else origin.port
        origin = Origin("https", origin.host, registry.port if port == 443 else port)
    return origin, target


def may_have_credentials(realm: Origin, registry: Origin, trusted: Collection[str]) -> bool:
    """Whether a token server may see the credentials of a registry."""
    if realm.host == registry.host or realm.authority in trusted or realm.host in trusted:
        return True
    if realm.address is not None or registry.address is not None:
        both = is_private(realm.host), is_private(registry.host)
        return realm.address is not None and registry.address is not None and all(both)
    if "." not in realm.host and "." not in registry.host:
        return True  # names without a domain only mean something within one network
    return registrable_domain(realm.host) == registrable_domain(registry.host)


def registrable_domain(host: str) -> str:
    """The part of a host name that somebody owns: two labels, or three below ``co.uk``."""
    labels = host.rstrip(".").split(".")
    n_labels = 2
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL:
        n_labels = 3
    return ".".join(labels[-n_labels:])
