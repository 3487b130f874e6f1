"""ConnectionOptions: everything that a user can say about connections. Frozen, and pure.

Values are either for one host or for every host of the command; a host's own win. Hosts are
written as in image names (``harbor.example.com:8443``), Docker Hub as ``docker.io``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from imgsync.errors import InvalidInput
from imgsync.model.reference import DOCKER_IO, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.stores.registry.credential import Credential

DOCKER_HOSTS: Final = frozenset({DOCKER_IO, "index.docker.io", "registry-1.docker.io"})
"""Docker Hub's name in images, in docker's config file, and of the API."""


def host_name(text: str) -> str:
    """A host as image names have it: lower case, and one name for Docker Hub."""
    name = text.lower()
    return DOCKER_IO if name in DOCKER_HOSTS else name


@dataclass(frozen=True, slots=True)
class ForHosts:
    """Values of one option: for single hosts, and for all others."""

    default: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str], option: str) -> Self:
        """Read ``VALUE`` and ``HOST=VALUE``, as they follow an option.

        Raises:
            InvalidInput: two values for one host, or for all.
        """
        default = ""
        hosts: dict[str, str] = {}
        for text in texts:
            host, equals, value = text.partition("=")
            if equals and _is_host(host):
                known = hosts.setdefault(host_name(host), value)
                twice, whom = known != value, host
            else:
                twice, whom = default not in {"", text}, "every host"
                default = default or text
            if twice:
                msg = f"{option} is given twice for {whom}"
                raise InvalidInput(msg, hint=f"{option} HOST=VALUE is for one host")
        return cls(default, hosts)

    def get(self, host: str) -> str:
        """The value for a host; an empty text where there is none."""
        return self.hosts.get(host, self.default)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where the content of a registry is tried first."""

    host: str
    url: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``docker.io=https://mirror.example.com/prefix``.

        Raises:
            InvalidInput: no host, or no http(s) URL.
        """
        host, equals, url = text.partition("=")
        if not equals or not _is_host(host) or not url.startswith(("https://", "http://")):
            msg = f"--mirror {text!r} is not HOST=URL"
            raise InvalidInput(msg, hint="for example docker.io=https://mirror.example.com/prefix")
        return cls(host_name(host), url.rstrip("/"))


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How registries are reached.

    Attributes:
        plain_http, plain_http_hosts: speak http without TLS; loopback does so where https fails.
        insecure, insecure_hosts: do not verify certificates.
        ca_files: PEM files of authorities that are trusted besides those of the system.
        certs, keys: a client certificate and its key, both PEM; the key may be in ``certs``.
        credentials: explicit ones, for one host each.
        hosts_dir: a folder in containerd's ``certs.d`` form; its mirrors are used too.
        authfile: the one file with credentials; no other source is then looked at.
        trusted_hosts: further hosts that registries may send us to: token servers, storage.
        retries: how often a request is repeated.
        jobs: the most requests to a host at once.
        connect_timeout_s, read_timeout_s: how long a host may take for a connection, and be
            silent on one.
    """

    plain_http: bool = False
    plain_http_hosts: frozenset[str] = frozenset()
    insecure: bool = False
    insecure_hosts: frozenset[str] = frozenset()
    ca_files: ForHosts = ForHosts()
    certs: ForHosts = ForHosts()
    keys: ForHosts = ForHosts()
    credentials: Mapping[str, Credential] = field(default_factory=dict)
    hosts_dir: Path | None = None
    authfile: Path | None = None
    mirrors: tuple[Mirror, ...] = ()
    trusted_hosts: frozenset[str] = frozenset()
    retries: int = 4
    jobs: int = 8
    connect_timeout_s: float = 15.0
    read_timeout_s: float = 60.0

    def is_plain_http(self, host: str) -> bool:
        """Whether the user wants http for this host."""
        return self.plain_http or host in self.plain_http_hosts

    def is_insecure(self, host: str) -> bool:
        """Whether the user wants no certificate of this host to be verified."""
        return self.insecure or host in self.insecure_hosts


def _is_host(text: str) -> bool:
    try:
        Reference(text, "probe")
    except Exception:  # noqa: BLE001 - whatever it is, it is no host
        return False
    return True
