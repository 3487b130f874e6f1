"""``imgsync emit``: configuration by which pods find images that have other names now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.options import mapping_options
from imgsync.cli.output import say
from imgsync.cli.targets import Target
from imgsync.cli.written import write_output
from imgsync.emitting.containerd_hosts import containerd_hosts
from imgsync.emitting.kustomize import kustomize
from imgsync.emitting.moves import Moves, pairs_of
from imgsync.emitting.rancher import registries_yaml
from imgsync.emitting.registries_conf import registries_conf
from imgsync.events import Noted
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.model.mapping import Mapping
    from imgsync.model.reference import Reference

HOSTS, RANCHER, KUSTOMIZE, CONF = FORMATS = (
    "containerd-hosts",
    "registries.yaml",
    "kustomize",
    "registries.conf",
)


@click.command(
    cls=Command,
    short_help="Write configuration by which pods find images under their new names.",
    epilog="Example: imgsync emit containerd-hosts site.tar --to harbor.example.com/project "
    "--keep-registry -o certs.d",
)
@click.argument("kind", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("source")
@mapping_options
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    help="Where it goes: a folder of containerd-hosts, else a file; printed without it.",
)
@click.option(
    "--node-ca", default="", metavar="PATH", help="Where nodes have the registry's CA (PEM)."
)
@click.pass_obj
def emit(
    context: Context,
    *,
    kind: str,
    source: str,
    mapping: Mapping,
    output: str | None,
    node_ca: str,
) -> None:
    """Write configuration by which pods find images under their new names.

    FORMAT is containerd-hosts (certs.d), registries.yaml (k3s, rke2), kustomize, or
    registries.conf (podman, CRI-O). SOURCE is a bundle, its lock, or a list of images; --to and
    --map say, as for push and import, where the images are.
    """
    moves = Moves.of_pairs(_pairs(context, source, mapping))
    skip_verify = bool(context.values["insecure"])
    if node_ca and kind in (KUSTOMIZE, CONF):
        context.report(Noted(f"{kind} has no place for --node-ca", "warning"))

    def scheme(host: str) -> str:
        plain = context.values["plain_http"] or host in context.values["plain_http_host"]
        return "http" if plain else "https"

    if kind == HOSTS:
        files = containerd_hosts(moves, scheme, ca=node_ca, skip_verify=skip_verify)
        if output is None:
            say("\n".join(f"# {name}\n{text}" for name, text in files.items()).rstrip())
            return
        for name, text in files.items():
            _write(Path(output) / name, text)
        return
    match kind:
        case "registries.yaml":
            text = registries_yaml(moves, scheme, ca=node_ca, skip_verify=skip_verify)
        case "kustomize":
            text = kustomize(moves)
        case _:
            text = registries_conf(moves, scheme, skip_verify=skip_verify)
    if output is None:
        say(text.rstrip())
    else:
        _write(Path(output), text)


def _pairs(
    context: Context, source: str, mapping: Mapping
) -> Iterator[tuple[Reference, Reference]]:
    target = Target.read(source)
    if target.lock is not None:
        yield from pairs_of(target.lock.roots, mapping)
    elif target.is_list:
        for wish in target.wishes:
            old = wish.source.reference
            if old is not None:
                yield old, mapping.apply(wish.name or old)
    else:
        yield from pairs_of(context.open_source(source).bundle().roots, mapping)


def _write(path: Path, text: str) -> None:
    with turn_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_output(str(path), text.encode())
    say(str(path))
