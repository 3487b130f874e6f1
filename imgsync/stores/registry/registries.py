"""Registries: the hosts of a run, each made when it is first needed. What the command line uses."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from imgsync.events import ignore
from imgsync.model.reference import DOCKER_IO
from imgsync.stores.registry.adapter import Wire
from imgsync.stores.registry.client import Host
from imgsync.stores.registry.credentials import Credentials
from imgsync.stores.registry.guard import AddressGuard
from imgsync.stores.registry.hosts_toml import HostsFile, host_folders, read_hosts
from imgsync.stores.registry.options import ConnectionOptions
from imgsync.stores.registry.origin import Origin
from imgsync.stores.registry.proxies import proxy_for
from imgsync.stores.registry.repository import Repository
from imgsync.stores.registry.tls import (
    CONTAINERD_DIR,
    TlsSettings,
    certificate_folders,
    tls_context,
    tls_settings,
)
from imgsync.stores.registry.transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Self

    from imgsync.events import Report
    from imgsync.model.reference import Reference
    from imgsync.stores.registry.credential import Credential

_DOCKER_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class HostAccess:
    """Where a registry is, how its certificate is judged, and who we are there."""

    origin: Origin
    tls: TlsSettings
    credential: Credential | None


class Registries:
    """Makes repositories; those of one registry share connections, tokens and the pace."""

    def __init__(
        self,
        options: ConnectionOptions | None = None,
        report: Report = ignore,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._options = options or ConnectionOptions()
        self._report = report
        self._environ = os.environ if environ is None else environ
        self._credentials = Credentials(
            self._options.credentials, self._options.authfile, self._environ
        )
        self._lock = threading.RLock()
        self._hosts: dict[str, Host] = {}
        self._repositories: dict[str, Repository] = {}
        self._contexts: dict[TlsSettings, ssl.SSLContext] = {}

    def repository(self, reference: Reference) -> Repository:
        """The repository that a name is in; the same object for the same repository."""
        with self._lock:
            known = self._repositories.get(reference.name)
            if known is None:
                known = Repository(
                    self.host(reference.registry), reference.repository, jobs=self._options.jobs
                )
                self._repositories[reference.name] = known
            return known

    def host(self, name: str) -> Host:
        """The registry of this name, as image names have it."""
        with self._lock:
            known = self._hosts.get(name)
            if known is None:
                known = self._hosts[name] = self._make_host(name)
            return known

    def access(self, name: str) -> HostAccess:
        """How this registry is reached, for a tool that does it by itself."""
        origin = self._origin(name)
        settings = self._tls_settings(name) if origin.scheme == "https" else TlsSettings()
        return HostAccess(origin, settings, self._credentials.find(name))

    def close(self) -> None:
        """End all connections, and wake up workers that wait for a registry."""
        with self._lock:
            for host in self._hosts.values():
                host.close()

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_host(self, name: str) -> Host:
        options = self._options
        file, _ = self._read_hosts(name)
        origin = self._origin(name)
        guard = AddressGuard(name)
        return Host(
            name,
            origin,
            transport=Transport(
                lambda to: self._wire(to, origin, name, guard),
                options.jobs,
                connect_timeout_s=options.connect_timeout_s,
                read_timeout_s=options.read_timeout_s,
            ),
            credential_of=lambda repository: self._credentials.find(name, repository),
            report=self._report,
            retries=options.retries,
            headers=file.server.headers if file else None,
            trusted=options.trusted_hosts,
            is_plain_http=options.is_plain_http,
            is_guess=origin.scheme == "http" and not options.is_plain_http(name),
        )

    def _wire(self, to: Origin, own: Origin, name: str, guard: AddressGuard) -> Wire:
        is_own = to == own
        host = name if is_own else to.authority
        check: Callable[[str], None] | None = guard.own if is_own else guard.foreign
        if to.host in self._options.trusted_hosts or to.authority in self._options.trusted_hosts:
            check = None
        proxy = proxy_for(to, self._environ)
        if proxy is not None:
            check = None  # the peer is the proxy, and which addresses exist is its affair
        tls = self._context(host) if to.scheme == "https" or proxy is not None else None
        return Wire(tls, proxy, check)

    def _origin(self, name: str) -> Origin:
        authority = _DOCKER_API if name == DOCKER_IO else name
        return Origin.of("http" if self._is_plain(name) else "https", authority)

    def _tls_settings(self, host: str) -> TlsSettings:
        file, folder = self._read_hosts(host)
        folders = certificate_folders(host, self._environ)
        if file is None and folder is not None:
            folders = chain([folder], folders)  # without hosts.toml it is docker's form
        return tls_settings(host, self._options, file.server if file else None, folders)

    def _context(self, host: str) -> ssl.SSLContext:
        settings = self._tls_settings(host)
        with self._lock:
            if settings not in self._contexts:
                self._contexts[settings] = tls_context(settings, self._environ)
            return self._contexts[settings]

    def _is_plain(self, name: str) -> bool:
        return self._options.is_plain_http(name) or Origin.of("https", name).is_loopback

    def _read_hosts(self, name: str) -> tuple[HostsFile | None, Path | None]:
        return read_hosts(host_folders(self._options.hosts_dir or CONTAINERD_DIR, name))
