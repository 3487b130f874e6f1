"""TLS: which authorities are trusted, and which certificate is ours, for each host.

Worked out from the first of these that says something: the command line; containerd's
``certs.d/HOST/hosts.toml``; ``certs.d/HOST`` of containers (podman) and of docker, where ``*.crt``
are authorities and ``*.cert`` with ``*.key`` are ours. Authorities are added to those of the
system (``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` change which those are, in OpenSSL itself).
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidInput
from imgsync.stores.registry.home import home_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgsync.stores.registry.hosts_toml import HostEntry
    from imgsync.stores.registry.options import ConnectionOptions

CONTAINERD_DIR: Final = Path("/etc/containerd/certs.d")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """What a TLS context is made of; equal ones share it."""

    ca_files: tuple[Path, ...] = ()
    client: tuple[Path, Path | None] | None = None
    verify: bool = True


def tls_settings(
    host: str,
    options: ConnectionOptions,
    entry: HostEntry | None,
    folders: Iterator[Path],
) -> TlsSettings:
    """The settings for a host; ``entry`` is of its ``hosts.toml``, ``folders`` are ``certs.d``."""
    ca_file, cert, key = (
        values.get(host) for values in (options.ca_files, options.certs, options.keys)
    )
    cas: tuple[Path, ...] = (Path(ca_file),) if ca_file else ()
    client = (Path(cert), Path(key) if key else None) if cert else None
    verify = not options.is_insecure(host)
    if entry is not None:
        cas = cas or entry.ca
        client = client or (entry.client[0] if entry.client else None)
        verify = verify and not entry.skip_verify
    if not cas or client is None:
        for folder in folders:
            if folder.is_dir():
                cas = cas or tuple(sorted(folder.glob("*.crt")))
                client = client or _pair_in(folder)
                break
    return TlsSettings(cas, client, verify)


def certificate_folders(host: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where podman and docker keep certificates for a host (containers/image, docker_client.go)."""
    home = home_of(environ)
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    for parent in (
        config / "containers/certs.d",
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    ):
        yield parent / host


def tls_context(settings: TlsSettings, environ: Mapping[str, str]) -> ssl.SSLContext:
    """Make the context; reading the system's authorities costs some milliseconds of CPU.

    Raises:
        InvalidInput: a file is missing or is not PEM; names it.
    """
    context = ssl.create_default_context()
    # Python 3.13 refuses what Go, and so docker and containerd, accept: the self-made
    # authorities of private registries often lack the extensions that it asks for.
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    bundle = environ.get("REQUESTS_CA_BUNDLE")
    for path in (*([Path(bundle)] if bundle else ()), *settings.ca_files):
        _load_authority(context, path)
    if settings.client is not None:
        _load_client(context, *settings.client)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _load_authority(context: ssl.SSLContext, path: Path) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        msg = f"{path} holds no certificate in PEM form"
        raise InvalidInput(msg) from None
    except OSError as error:
        msg = f"the CA file {path} cannot be read: {error.strerror}"
        raise InvalidInput(msg) from None


def _load_client(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    def no_password() -> str:
        msg = f"the key {key or cert} is encrypted"
        raise InvalidInput(msg, hint="give one without a passphrase, readable by you alone")

    try:
        context.load_cert_chain(cert, key, no_password)
    except ssl.SSLError:
        msg = f"the client certificate {cert} and its key {key or cert} do not fit, or are not PEM"
        raise InvalidInput(msg) from None
    except OSError as error:
        msg = f"the client certificate {cert} or its key cannot be read: {error.strerror}"
        raise InvalidInput(msg) from None


def _pair_in(folder: Path) -> tuple[Path, Path | None] | None:
    for cert in sorted(folder.glob("*.cert")):
        key = cert.with_suffix(".key")
        if key.is_file():
            return cert, key
    return None
