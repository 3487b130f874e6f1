"""Registries: the hosts of a run, each made when it is first needed. What the command line uses."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from imgsync.events import ignore
from imgsync.stores.registry.adapter import Wire
from imgsync.stores.registry.client import Host
from imgsync.stores.registry.credentials import Credentials
from imgsync.stores.registry.foreign import ForeignLayers, refuse_private
from imgsync.stores.registry.guard import AddressGuard
from imgsync.stores.registry.mirrored import Health, MirrorSource
from imgsync.stores.registry.options import ConnectionOptions
from imgsync.stores.registry.proxies import proxy_for
from imgsync.stores.registry.repository import Repository
from imgsync.stores.registry.sites import Site, Sites
from imgsync.stores.registry.tls import TlsSettings, tls_context
from imgsync.stores.registry.transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from typing import Self

    from imgsync.events import Report
    from imgsync.model.reference import Reference
    from imgsync.stores.registry.credential import Credential
    from imgsync.stores.registry.origin import Origin


_STRANGER: Final = ""
"""No registry has this name; it tells apart whoever is asked without credentials."""


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
        self._sites = Sites(self._options, self._environ)
        self._lock = threading.RLock()
        self._hosts: dict[tuple[str, Origin, str], Host] = {}
        self._repositories: dict[str, Repository] = {}
        self._contexts: dict[TlsSettings, ssl.SSLContext] = {}
        self._health: dict[Host, Health] = {}

    def repository(self, reference: Reference) -> Repository:
        """The repository that a name is in; the same object for the same repository."""
        with self._lock:
            known = self._repositories.get(reference.name)
            if known is None:
                known = self._repositories[reference.name] = self._make_repository(reference)
            return known

    def host(self, name: str) -> Host:
        """The registry of this name, as image names have it."""
        return self._host(self._sites.of(name))

    def at_url(self, number: int) -> ForeignLayers:
        """The blobs whose descriptors name where they are: their first address, their second."""
        return ForeignLayers(number, self._stranger, self._report)

    def access(self, name: str) -> HostAccess:
        """How this registry is reached, for a tool that does it by itself."""
        site = self._sites.of(name)
        is_plain = site.origin.scheme == "http"
        settings = TlsSettings() if is_plain else self._sites.tls(name, site.entry)
        return HostAccess(site.origin, settings, self._credentials.find(name))

    def close(self) -> None:
        """End all connections, and wake up workers that wait for a registry."""
        with self._lock:
            for host in self._hosts.values():
                host.close()

    def abort(self) -> None:
        """Break all connections, so that no worker waits for a registry any more."""
        with self._lock:
            for host in self._hosts.values():
                host.abort()

    def __enter__(self) -> Self:
        """Nothing is opened before it is needed."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make_repository(self, reference: Reference) -> Repository:
        host = self.host(reference.registry)
        mirrors = []
        for mirror in self._sites.mirrors_of(reference.registry):
            at = self._host(mirror.site)
            copy = Repository(at, f"{mirror.prefix}{reference.repository}", ns=mirror.ns)
            health = self._health.setdefault(at, Health(self._report))
            source = MirrorSource(copy, health, resolves=mirror.resolves, report=self._report)
            mirrors.append(source)
        return Repository(host, reference.repository, mirrors=mirrors)

    def _host(self, site: Site) -> Host:
        key = site.name, site.origin, site.api
        with self._lock:
            known = self._hosts.get(key)
            if known is None:
                known = self._hosts[key] = self._make_host(site)
            return known

    def _make_host(self, site: Site) -> Host:
        options, name = self._options, site.name
        return Host(
            name,
            site.origin,
            transport=self.transport_to(site),
            credential_of=lambda repository: self._credentials.find(name, repository),
            report=self._report,
            retries=options.retries,
            jobs=options.jobs,
            api=site.api,
            headers=site.entry.headers if site.entry is not None else None,
            trusted=options.trusted_hosts,
            is_plain_http=options.is_plain_http,
            is_guess=site.is_guess,
        )

    def _stranger(self, origin: Origin) -> Host:
        """A host that a manifest names, and that must not know who we are."""
        options, key = self._options, (_STRANGER, origin, "")
        with self._lock:
            known = self._hosts.get(key)
            if known is None:
                known = self._hosts[key] = Host(
                    origin.authority,
                    origin,
                    transport=Transport(
                        self._wire_to_stranger,
                        options.jobs,
                        connect_timeout_s=options.connect_timeout_s,
                        read_timeout_s=options.read_timeout_s,
                    ),
                    credential_of=lambda _repository: None,
                    report=self._report,
                    retries=options.retries,
                    jobs=options.jobs,
                    is_plain_http=options.is_plain_http,
                )
            return known

    def _wire_to_stranger(self, to: Origin) -> Wire:
        proxy = proxy_for(to, self._environ)
        is_trusted = {to.host, to.authority} & self._options.trusted_hosts
        check = None if is_trusted or proxy is not None else refuse_private
        if to.scheme != "https":
            return Wire(None, proxy, check)
        settings = replace(self._sites.tls(to.authority), client=None)
        return Wire(self._context(settings), proxy, check)

    def transport_to(self, site: Site) -> Transport:
        """The connections for one registry: the one place where all of its requests pass."""
        options, guard = self._options, AddressGuard(site.name)
        return Transport(
            lambda to: self._wire(to, site, guard),
            options.jobs,
            connect_timeout_s=options.connect_timeout_s,
            read_timeout_s=options.read_timeout_s,
        )

    def _wire(self, to: Origin, site: Site, guard: AddressGuard) -> Wire:
        # A registry may turn out to be on https although http was guessed.
        is_own = to.authority == site.origin.authority
        check: Callable[[str], None] | None = guard.own if is_own else guard.foreign
        if to.host in self._options.trusted_hosts or to.authority in self._options.trusted_hosts:
            check = None
        proxy = proxy_for(to, self._environ)
        if proxy is not None:
            check = None  # the peer is the proxy, and which addresses exist is its affair
        if to.scheme != "https":
            return Wire(None, proxy, check)
        settings = (
            self._sites.tls(site.name, site.entry) if is_own else self._sites.tls(to.authority)
        )
        return Wire(self._context(settings), proxy, check)

    def _context(self, settings: TlsSettings) -> ssl.SSLContext:
        with self._lock:
            if settings not in self._contexts:
                self._contexts[settings] = tls_context(settings, self._environ)
            return self._contexts[settings]
