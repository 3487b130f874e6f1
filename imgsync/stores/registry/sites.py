"""Sites: where registries and their mirrors are, from options, names and ``hosts.toml``.

Of containerd's own folder, ``/etc/containerd/certs.d``, only what is said about a registry itself
is used: authorities, certificates, plain http. Its mirrors, and other servers in a registry's
place, count where the user names the folder: nobody expects a node's mirrors in an archive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from imgsync.model.reference import DOCKER_IO
from imgsync.stores.registry.hosts_toml import HostEntry, HostsFile, host_folders, read_hosts
from imgsync.stores.registry.origin import Origin, split_url
from imgsync.stores.registry.tls import (
    CONTAINERD_DIR,
    TlsSettings,
    certificate_folders,
    tls_settings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgsync.stores.registry.options import ConnectionOptions

_DOCKER_API: Final = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class Site:
    """Where one registry is.

    Attributes:
        name: as image names and options call it.
        api: the path below which the endpoints are.
        entry: what a ``hosts.toml`` says about it.
        is_guess: nobody said that it speaks plain http; it is only likely, on loopback.
    """

    name: str
    origin: Origin
    api: str = "/v2"
    entry: HostEntry | None = None
    is_guess: bool = False


@dataclass(frozen=True, slots=True)
class MirrorSite:
    """Where the content of a registry is tried first.

    Attributes:
        prefix: goes before each repository, with its slash.
        ns: the registry that is meant, for a mirror of several.
        resolves: whether tags may be asked there, or only content by digest.
    """

    site: Site
    prefix: str = ""
    ns: str = ""
    resolves: bool = True


class Sites:
    """Looks hosts up, for one set of options."""

    def __init__(self, options: ConnectionOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ

    def of(self, name: str) -> Site:
        """The registry itself.

        Raises:
            InvalidInput: its ``hosts.toml`` is broken.
        """
        authority = _DOCKER_API if name == DOCKER_IO else name
        file, _ = self._read(name)
        entry = _own(file, authority) if file is not None else None
        server = file.server if file is not None else HostEntry()
        if self._options.hosts_dir is not None and entry is None and server.url:
            return Site(name, server.origin, server.api, server)
        is_said = self._options.is_plain_http(name) or (
            entry is not None and entry.url.startswith("http:")
        )
        is_guess = not is_said and Origin.of("https", authority).is_loopback
        if entry is not None and entry.url:
            is_guess = False
        origin = Origin.of("http" if is_said or is_guess else "https", authority)
        return Site(name, origin, entry=entry, is_guess=is_guess)

    def mirrors_of(self, name: str) -> tuple[MirrorSite, ...]:
        """Where to read first, best first.

        Raises:
            InvalidInput: the registry's ``hosts.toml`` is broken.
        """
        typed = (
            self._typed_mirror(mirror.url)
            for mirror in self._options.mirrors
            if mirror.host == name
        )
        return (*typed, *self._listed_mirrors(name))

    def tls(self, name: str, entry: HostEntry | None = None) -> TlsSettings:
        """What a host's certificate is judged by; ``entry`` is the one that names the host."""
        file, folder = self._read(name)
        if entry is None and file is not None:
            entry = _own(file, _DOCKER_API if name == DOCKER_IO else name)
        folders = certificate_folders(name, self._environ)
        if file is None and folder is not None:
            folders = chain([folder], folders)  # without hosts.toml it has docker's form
        return tls_settings(name, self._options, entry, folders)

    def _typed_mirror(self, url: str) -> MirrorSite:
        origin, path = split_url(url)
        prefix = path.strip("/").removeprefix("v2/").removeprefix("v2")
        site = replace(self.of(origin.authority), origin=origin, is_guess=False)
        return MirrorSite(site, f"{prefix}/" if prefix else "")

    def _listed_mirrors(self, name: str) -> list[MirrorSite]:
        file, _ = self._read(name)
        if self._options.hosts_dir is None or file is None:
            return []
        authority = _DOCKER_API if name == DOCKER_IO else name
        found = []
        for entry in file.mirrors:
            if entry.origin == Origin.of(entry.origin.scheme, authority):
                break  # what follows the registry itself would never be asked
            if "pull" in entry.capabilities:
                site = Site(entry.origin.authority, entry.origin, entry.api, entry)
                found.append(MirrorSite(site, "", name, "resolve" in entry.capabilities))
        return found

    def _read(self, name: str) -> tuple[HostsFile | None, Path | None]:
        return read_hosts(host_folders(self._options.hosts_dir or CONTAINERD_DIR, name))


def _own(file: HostsFile, authority: str) -> HostEntry | None:
    """What a ``hosts.toml`` says about the registry itself: its table, or the keys at the top."""
    top = file.server
    about_us = not top.url or top.origin == Origin.of(top.origin.scheme, authority)
    for entry in file.mirrors:
        if entry.origin == Origin.of(entry.origin.scheme, authority):
            if not about_us:
                return entry
            return replace(
                entry,
                ca=entry.ca or top.ca,
                client=entry.client or top.client,
                skip_verify=entry.skip_verify or top.skip_verify,
            )
    return top if about_us else None
