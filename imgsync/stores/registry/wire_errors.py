"""What can go wrong on the wire, in our words. The one place that knows foreign exceptions."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

from requests import RequestException
from urllib3 import exceptions

from imgsync.errors import ImgsyncError, NetworkError, Unreachable

if TYPE_CHECKING:
    from imgsync.stores.registry.origin import Origin


class Cut(NetworkError):
    """The connection stood, and ended before the answer did. Asking again may help."""


class NoConnection(Unreachable):
    """No connection came about. Asking again may help."""


class Untrusted(Unreachable):
    """TLS or its absence: asking again gives the same answer."""


class SpeaksPlainHttp(Untrusted):
    """There is no TLS at the other end."""


FOREIGN: Final = (exceptions.HTTPError, OSError)
"""All that `turned` has words for: urllib3's base, and that of sockets, ssl and requests.

Ours are of neither, so what reading a body raises while it is sent passes through.
"""

_OF_THE_CLOCK: Final = "renew it, or put this host's clock right (date)"
_OF_THE_NAME: Final = "name the registry as its certificate does"
_CERTIFICATE_HINTS: Final = {
    9: _OF_THE_CLOCK,
    10: _OF_THE_CLOCK,
    62: _OF_THE_NAME,
    64: _OF_THE_NAME,
}
"""By OpenSSL's X509_V_ERR_…: not yet valid, expired, another host's, another address's."""


def turned(error: BaseException, origin: Origin, *, via_proxy: bool = False) -> ImgsyncError | None:
    """Our error for a foreign one, or None if it is no matter of the network."""
    if isinstance(error, ImgsyncError):
        return None
    error = _unwrapped(error)
    where = origin.authority
    cause = error.reason if isinstance(error, exceptions.MaxRetryError) else error
    tls = _find(error, ssl.SSLError)
    if tls is not None:
        return _untrusted(tls, origin)
    if via_proxy and isinstance(cause, exceptions.ProxyError):
        return NoConnection(
            f"{where}: the proxy does not let us through: {_words(cause)}",
            hint="see http_proxy, https_proxy and no_proxy in the environment",
        )
    if isinstance(cause, exceptions.NameResolutionError) or _find(error, socket.gaierror):
        return NoConnection(
            f"{where}: the name does not resolve", hint="is the host name right, and DNS up?"
        )
    if isinstance(cause, exceptions.NewConnectionError):  # which urllib3 has below timeouts
        return NoConnection(f"{where}: {_words(cause)}", hint="is the registry up, the port right?")
    if isinstance(cause, exceptions.ConnectTimeoutError):
        return NoConnection(f"{where}: no connection within the time limit")
    if isinstance(cause, exceptions.ReadTimeoutError | TimeoutError):
        return Cut(f"{where}: no byte came within the time limit")
    if isinstance(cause, exceptions.HTTPError | OSError):
        return Cut(f"{where}: the connection broke: {_words(cause)}")
    return None


def _unwrapped(error: BaseException) -> BaseException:
    """What requests wrapped: the exceptions of urllib3 say more."""
    if isinstance(error, RequestException) and error.args:
        inner = error.args[0]
        if isinstance(inner, BaseException):
            return inner
    return error


def _untrusted(error: BaseException, origin: Origin) -> Untrusted:
    where = origin.authority
    reason = getattr(error, "reason", "") or ""
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return SpeaksPlainHttp(
            f"{where}: the server speaks plain http, not https",
            hint=f"if that is wanted: --plain-http-host {where}",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message or "certificate verification failed"
        advice = _CERTIFICATE_HINTS.get(
            error.verify_code, f"give its CA with --ca-file {where}=FILE"
        )
        return Untrusted(
            f"{where}: its certificate is not trusted: {why}",
            hint=f"{advice}, or --insecure-host {where}",
        )
    if "CERTIFICATE_REQUIRED" in reason:
        return Untrusted(
            f"{where}: it asks for a client certificate",
            hint=f"give one with --cert {where}=FILE --key {where}=FILE",
        )
    return Untrusted(f"{where}: TLS failed: {reason or error}")


def _find(error: BaseException, *kinds: type[BaseException]) -> BaseException | None:
    """The first of these kinds among an error, its reasons and its causes."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, kinds):
            return item
        queue += [getattr(item, "reason", None), *item.args, item.__cause__, item.__context__]
    return None


def _words(error: BaseException) -> str:
    """What the system said, without the addresses of objects and pools."""
    system = _find(error, OSError)
    if isinstance(system, OSError) and system.strerror:
        return system.strerror.lower()
    text = str(error.args[-1] if error.args else error) or type(error).__name__
    return text[:200]
