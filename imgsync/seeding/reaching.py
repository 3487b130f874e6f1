"""How a node reaches what is served on this host: through the ssh connection, or directly.

Through the connection, nothing listens but two loopbacks: ours, and a port of the node's own that
sshd opens there and that leads back to us. A random password stands in a file that only the
``ctr`` we start is pointed to, in a folder of mode 0700 that goes with the connection.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput
from imgsync.events import Noted
from imgsync.fleet.connection import ForwardingRefused
from imgsync.serve.access import OneCredential
from imgsync.serve.server import Server
from imgsync.stores.containerd.hosts_dir import hosts_toml
from imgsync.stores.containerd.loopback import Loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.events import Report
    from imgsync.fleet.connection import Connection
    from imgsync.serve.catalog import Catalog
    from imgsync.stores import Source
    from imgsync.stores.containerd.namespace import Containerd


@dataclass(frozen=True, slots=True)
class Direct:
    """Where nodes fetch from without ssh in between: TLS, and a password for each node.

    Attributes:
        host: this host's address, as nodes reach it; the certificate must be for it.
        port: 0 takes a free one for each node.
        certificate: PEM; the nodes are told to trust just this one.
        key: PEM.
    """

    host: str
    certificate: Path
    key: Path
    port: int = 0
    tls: ssl.SSLContext = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the certificate.

        Raises:
            InvalidInput: the files are no certificate and its key.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            msg = f"--tls-cert {self.certificate}: {error}"
            raise InvalidInput(msg, hint="PEM files of a certificate and of its key") from None
        object.__setattr__(self, "tls", context)


@dataclass(slots=True)
class Reaching:
    """Serves to one node; `serve` is an `imgsync.stores.containerd.loopback.Serve`.

    Attributes:
        how: what came of it, for results: ``forwarded``, ``direct`` or ``stream``.
    """

    connection: Connection
    direct: Direct | None = None
    how: str = "stream"

    @contextmanager
    def serve(
        self, containerd: Containerd, source: Source, catalog: Catalog, report: Report
    ) -> Iterator[Loopback | None]:
        """Serve while the block lasts; None where the node cannot reach us, which is told."""
        credential = OneCredential()
        direct = self.direct
        listen = (direct.host, direct.port) if direct is not None else ("127.0.0.1", 0)
        with Server(
            source,
            catalog,
            listen=listen,
            access=credential,
            tls=direct.tls if direct is not None else None,
            prove=False,
            report=report,
        ) as server:
            try:
                url = self._url(server)
            except ForwardingRefused as error:
                report(Noted(f"{error.message}; sent as a stream instead", "warning"))
                yield None
                return
            folder = self._tell(url, credential)
            self.how = "direct" if direct is not None else "forwarded"
            yield Loopback(containerd.ctr, containerd.namespace, folder)

    def _url(self, server: Server) -> str:
        if self.direct is not None:
            return server.url
        return f"http://127.0.0.1:{self.connection.forward(server.port)}"

    def _tell(self, url: str, credential: OneCredential) -> str:
        """Leave the hosts-dir on the node; gives its path there."""
        ca = []
        if self.direct is not None:
            pem = self.direct.certificate.read_bytes()
            ca = [Path(self.connection.write("seed.pem", pem))]
        text = hosts_toml(url, headers={"Authorization": credential.header}, ca=ca)
        self.connection.write("hosts/_default/hosts.toml", text.encode())
        return f"{self.connection.folder}/hosts"
