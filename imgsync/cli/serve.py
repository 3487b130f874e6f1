"""``imgsync serve``: images as a read-only registry."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import read_input
from imgsync.cli.options import containerd_options, mapping_options, selection_options
from imgsync.cli.output import say
from imgsync.cli.signing import check_signed, signers_option
from imgsync.errors import InvalidInput
from imgsync.events import Event, Failed, Noted
from imgsync.gathering import gather
from imgsync.serve.access import Access, open_to_all
from imgsync.serve.catalog import Catalog
from imgsync.serve.connection import Served
from imgsync.serve.htpasswd import Htpasswd
from imgsync.serve.routes import Page
from imgsync.serve.server import Server, parse_listen
from imgsync.stores.open import read_target

if TYPE_CHECKING:
    from imgsync.model.mapping import Mapping
    from imgsync.model.selection import Selection
    from imgsync.signing.policy import Policy


@click.command(
    cls=Command,
    short_help="Offer images as a read-only registry.",
    epilog="Example: imgsync serve site.tar --listen 127.0.0.1:5000",
)
@click.argument("source")
@click.option(
    "--listen",
    default="127.0.0.1:5000",
    show_default=True,
    metavar="HOST:PORT",
    help="Where; 0.0.0.0:5000 is every address of this host, port 0 any free one.",
)
@click.option("--tls-cert", metavar="FILE", help="The server's certificate (PEM), for HTTPS.")
@click.option("--tls-key", metavar="FILE", help="Its key (PEM), if it is not in the same file.")
@click.option(
    "--htpasswd", metavar="FILE", help="Who may read: lines that htpasswd -B made (bcrypt)."
)
@signers_option
@containerd_options
@mapping_options
@selection_options
@click.pass_obj
def serve(
    context: Context,
    *,
    source: str,
    listen: str,
    tls_cert: str | None,
    tls_key: str | None,
    htpasswd: str | None,
    policy: Policy,
    mapping: Mapping,
    selection: Selection,
) -> None:
    """Offer images as a read-only registry.

    An image is found as /HOST/REPOSITORY, and as /REPOSITORY where only one host has it. Nothing
    is extracted: content is sent out of the archive as it stands there. Ctrl-C ends it.
    """
    address = parse_listen(listen)
    access = _access(htpasswd)
    tls = _tls(tls_cert, tls_key)
    asked = read_target(source)
    holding = context.open_source(asked)
    check_signed(context, policy, holding, asked)
    gathered = gather(holding, mapping, selection, jobs=context.jobs)
    for label, error in gathered.failures:
        context.report(Failed(label, error))
    catalog = Catalog(gathered.roots, gathered.graph, gathered.absent)
    if not _is_loopback(address[0]) and access is open_to_all:
        context.report(Noted("everybody who reaches this host can read: no --htpasswd", "warning"))

    def report(event: Event) -> None:
        if isinstance(event, Failed):
            context.report(event)

    def log(served: Served) -> None:
        say(f"{served.client} {served.method} {served.target} {served.status} {served.n_bytes}")

    with Server(
        holding,
        catalog,
        listen=address,
        access=access,
        tls=tls,
        report=report,
        log=None if context.output.quiet else log,
    ) as server:
        try:
            for name in catalog.repositories(Page()):
                say(f"{server.host}:{server.port}/{name}")
            say(f"serving at {server.url}, until Ctrl-C")
            threading.Event().wait()
        except KeyboardInterrupt:
            say("stopped")


def _access(path: str | None) -> Access:
    if path is None:
        return open_to_all
    text = read_input(path, what="--htpasswd").decode(errors="replace")
    return Htpasswd(text, f"--htpasswd {path}")


def _tls(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key is not None:
            msg = "--tls-key needs --tls-cert"
            raise InvalidInput(msg)
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(Path(certificate), Path(key) if key is not None else None)
    except (OSError, ssl.SSLError) as error:
        msg = f"--tls-cert {certificate}: {error}"
        raise InvalidInput(msg, hint="PEM files of a certificate and of its key") from None
    return context


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
