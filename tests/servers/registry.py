"""`docker-registry` (distribution 2.8) as a plain process in a temporary folder.

Open to all, or with a password file, or with a token server; with or without TLS. What a
test wants to know afterwards is read from the disk and from the access log, never from
imgsync.
"""

import json
import re
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.servers.certificates import Certificate
from tests.servers.htpasswd import write_htpasswd
from tests.servers.process import Process, accepts_tcp
from tests.servers.programs import program
from tests.servers.tokens import TokenServer

_START_S = 20.0
_LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
# The combined log format: host - user [time] "METHOD PATH HTTP/1.1" status bytes ...
_ACCESS = re.compile(
    r'^127\.0\.0\.1 - .*? \[[^]]+\] "([A-Z]+) (\S+) HTTP/[\d.]+" (\d+) (\d+)', re.MULTILINE
)


@dataclass(frozen=True)
class Logged:
    """One line of the access log."""

    method: str
    path: str  # with its query
    status: int
    n_bytes: int  # of the response's body


@dataclass
class Registry:
    """One registry; `with Registry() as registry:` starts it and removes it afterwards.

    Attributes:
        users: name to password; asks for Basic credentials when given.
        token_server: asks for its Bearer tokens when given.
        realm: the token address that challenges name, when not the token server's own.
        certificate: speaks TLS with it when given.
        client_ca: asks clients for a certificate of this authority.
        read_only: refuses writes with 405, as during a garbage collection.
        relative_urls: Location headers without scheme and host.
        settings: merged into the top level of the configuration.
    """

    users: Mapping[str, str] = field(default_factory=dict)
    token_server: TokenServer | None = None
    realm: str | None = None
    certificate: Certificate | None = None
    client_ca: Path | None = None
    read_only: bool = False
    relative_urls: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    port: int = field(default=0, init=False)
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        self._docker_registry = program("docker-registry")
        self.root = Path(tempfile.mkdtemp(prefix="registry-"))
        self._process = Process(self.root / "log")

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, as in the name of an image."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, or `https://...`."""
        return f"http{'s' if self.certificate else ''}://{self.host}"

    @property
    def storage(self) -> Path:
        """The folder that holds `blobs/` and `repositories/`."""
        return self.root / "data/docker/registry/v2"

    @property
    def pid(self) -> int:
        """The id of the process, to measure or to stop it."""
        return self._process.pid

    def start(self) -> None:
        """It answers; after a stop on the same port, with what it held."""
        (self.root / "config.yml").write_text(json.dumps(self._configuration()))
        self._process.start(
            [self._docker_registry, "serve", self.root / "config.yml"], cwd=self.root
        )
        self._process.wait_until(self._ready, timeout_s=_START_S)

    def stop(self) -> None:
        """The process has ended; its storage stays until the `with` block is left."""
        self._process.stop()

    def kill(self) -> None:
        """The process is gone, as after a power cut."""
        self._process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.root)

    # What is on its disk.

    def has_blob(self, digest: str) -> bool:
        """Whether the content store holds these bytes, in whatever repository."""
        return self._blob_path(digest).is_file()

    def read_blob(self, digest: str) -> bytes:
        """The bytes on disk, as they are: nothing is checked."""
        return self._blob_path(digest).read_bytes()

    def damage_blob(self, digest: str) -> None:
        """One bit of the blob on disk is flipped, as a bad sector would."""
        path = self._blob_path(digest)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def remove_blob(self, digest: str) -> None:
        """The bytes are gone from disk; the repositories still link to them."""
        shutil.rmtree(self._blob_path(digest).parent)

    def blobs(self) -> set[str]:
        """The digests of everything in the content store."""
        found = self.storage.glob("blobs/*/*/*/data")
        return {f"{path.parts[-4]}:{path.parts[-2]}" for path in found}

    def repositories(self) -> set[str]:
        """The names that something was written to."""
        root = self.storage / "repositories"
        found = {path.parent for kind in ("_layers", "_manifests") for path in root.rglob(kind)}
        return {str(path.relative_to(root)) for path in found}

    def tags(self, repository: str) -> dict[str, str]:
        """The tags of a repository, each with the digest that it names."""
        folder = self.storage / "repositories" / repository / "_manifests/tags"
        return {path.name: (path / "current/link").read_text() for path in folder.glob("*")}

    def manifests(self, repository: str) -> set[str]:
        """The digests of the manifests and indexes that a repository holds."""
        return self._links(repository, "_manifests/revisions")

    def layers(self, repository: str) -> set[str]:
        """The digests of the blobs that a repository holds (configs too)."""
        return self._links(repository, "_layers")

    def uploads(self, repository: str) -> int:
        """How many uploads were begun there and neither finished nor cancelled."""
        folder = self.storage / "repositories" / repository / "_uploads"
        return sum(1 for _ in folder.glob("*"))

    # What it was asked.

    def requests(self, method: str = "", path: str = "") -> list[Logged]:
        """The logged requests whose method and path match these regular expressions."""
        self._flush()
        return [
            line
            for line in self._logged()
            if re.fullmatch(method or ".*", line.method) and re.search(path, line.path)
        ]

    def forget(self) -> None:
        """The access log is empty, so that `requests` tells only what comes now."""
        self._flush()
        (self.root / "log").write_text("")

    def log(self) -> str:
        """Everything that the process has written."""
        return (self.root / "log").read_text(errors="replace")

    def _ready(self) -> bool:
        if self.port == 0:
            listening = _LISTENING.search(self.log())
            if listening is None:
                return False
            self.port = int(listening[1])
        return accepts_tcp(self.port)

    def _blob_path(self, digest: str) -> Path:
        algorithm, _, encoded = digest.partition(":")
        return self.storage / "blobs" / algorithm / encoded[:2] / encoded / "data"

    def _links(self, repository: str, folder: str) -> set[str]:
        found = (self.storage / "repositories" / repository / folder).glob("*/*/link")
        return {path.read_text() for path in found}

    def _logged(self) -> list[Logged]:
        return [
            Logged(method, path, int(status), int(n_bytes))
            for method, path, status, n_bytes in _ACCESS.findall(self.log())
            if not path.startswith("/imgsync-flush/")
        ]

    def _flush(self) -> None:
        """The log holds every request answered so far.

        A line is written when its handler returns, and a client may have the last byte
        before that; so a request of our own has to be logged first.
        """
        if not self._process.running or self.client_ca is not None:
            return  # without a client certificate nothing of ours would be logged
        marker = f"/imgsync-flush/{secrets.token_hex(8)}"
        connection = self._connection()
        try:
            connection.request("GET", marker)
            connection.getresponse().read()
        finally:
            connection.close()
        self._process.wait_until(lambda: marker in self.log(), timeout_s=5)

    def _connection(self) -> HTTPConnection:
        if self.certificate is None:
            return HTTPConnection("127.0.0.1", self.port, timeout=10)
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # it is our own process
        return HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)

    def _configuration(self) -> dict[str, Any]:
        configuration: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": False}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.root / "data"), "maxthreads": 100},
                "delete": {"enabled": True},
                "maintenance": {
                    "uploadpurging": {"enabled": False},
                    "readonly": {"enabled": self.read_only},
                },
            },
            "http": {
                "addr": f"127.0.0.1:{self.port}",
                "secret": "a registry without replicas has no secret to share",
                "relativeurls": self.relative_urls,
            },
            # Without this, layers with `urls` (Windows base images) are refused.
            "validation": {"manifests": {"urls": {"allow": ["^https?://"]}}},
        }
        if self.certificate is not None:
            configuration["http"]["tls"] = {
                "certificate": str(self.certificate.certificate),
                "key": str(self.certificate.key),
                **({"clientcas": [str(self.client_ca)]} if self.client_ca else {}),
            }
        if self.users:
            write_htpasswd(self.root / "htpasswd", self.users)
            configuration["auth"] = {
                "htpasswd": {"realm": "imgsync tests", "path": str(self.root / "htpasswd")}
            }
        if self.token_server is not None:
            configuration["auth"] = {
                "token": {
                    "realm": self.realm or self.token_server.realm,
                    "service": self.token_server.service,
                    "issuer": self.token_server.issuer,
                    "rootcertbundle": str(self.token_server.root_certificate),
                }
            }
        return {**configuration, **self.settings}
