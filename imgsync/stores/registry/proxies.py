"""HTTP_PROXY, HTTPS_PROXY, NO_PROXY: which way a host is reached. Pure; asked once for a host."""

from __future__ import annotations

import ipaddress
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from imgsync.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.stores.registry.origin import Origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy without the credentials of its URL, and the headers that carry them."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def proxy_for(origin: Origin, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the environment names for this origin; never one for loopback.

    Lower case wins over upper case, as with curl; ``all_proxy`` is the last resort.

    Raises:
        InvalidInput: the variable's value is not a usable URL; names the variable.
    """
    if origin.is_loopback or is_excepted(origin, _value(environ, "no_proxy")[1]):
        return None
    for name in (f"{origin.scheme}_proxy", "all_proxy"):
        variable, text = _value(environ, name)
        if text:
            return _parsed(text, variable)
    return None


def is_excepted(origin: Origin, no_proxy: str) -> bool:
    """Whether NO_PROXY names the origin.

    Its entries: ``*``, a domain with all below it, an address, a network (``10.0.0.0/8``); each
    with an optional port.
    """
    return any(_matches(origin, entry) for entry in no_proxy.replace(",", " ").split())


def _matches(origin: Origin, entry: str) -> bool:
    entry = entry.lower()
    if entry == "*":
        return True
    address = origin.address
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    host, port = _host_and_port(entry)
    if port and port != str(origin.port):
        return False
    if address is not None:
        try:
            return address == ipaddress.ip_address(host)
        except ValueError:
            return False
    domain = host.removeprefix("*").removeprefix(".")
    return bool(domain) and (origin.host == domain or origin.host.endswith(f".{domain}"))


def _host_and_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":")
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, ""


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    for variable in (name, name.upper()):
        # httpoxy: a CGI's HTTP_PROXY is a header of the request, not a setting.
        if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue
        if text := environ.get(variable, "").strip():
            return variable, text
    return name, ""


def _parsed(text: str, variable: str) -> Proxy:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        port = parts.port
    except ValueError:
        port = None
        parts = parts._replace(netloc="")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        msg = f"{variable} is not the URL of an http proxy"
        raise InvalidInput(msg, hint="for example http://proxy.example.com:3128")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{parts.scheme}://{host}:{port or (443 if parts.scheme == 'https' else 80)}"
    if parts.username is None:
        return Proxy(url)
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return Proxy(url, {"Proxy-Authorization": f"Basic {b64encode(pair).decode()}"})
