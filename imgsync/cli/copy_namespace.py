"""``imgsync copy-namespace``: images from one namespace of containerd into another."""

from __future__ import annotations

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.host import host_platform
from imgsync.cli.import_output import raise_failures, result_json, tell
from imgsync.cli.options import format_option, socket_options
from imgsync.cli.output import say_json
from imgsync.nodes.copying import copy_images
from imgsync.stores.containerd.import_request import ImportOptions


@click.command(
    "copy-namespace",
    cls=Command,
    short_help="Let images of one namespace of containerd be in another, without their data.",
    epilog="Example: imgsync copy-namespace moby k8s.io 'harbor.example.com/*'",
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--pin", is_flag=True, help="Let the kubelet's garbage collection leave them alone.")
@socket_options
@format_option
@click.pass_obj
def copy_namespace(
    context: Context,
    *,
    source: str,
    target: str,
    names: tuple[str, ...],
    pin: bool,
    as_json: bool,
) -> None:
    """Let images of one namespace of containerd be in another, without their data.

    NAME may have * in it; all images, if there is none. containerd keeps content once for all
    namespaces: what docker, buildkit or nerdctl has is in k8s.io at once, and proved there as
    after an import.
    """
    here = context.containerd()
    options = ImportOptions(host_platform(), pin=pin, jobs=context.jobs)
    result = copy_images(here.other(source), here.other(target), names, options, context.report)
    say_json(result_json(result, {}, None)) if as_json else tell(result, {}, None)
    raise_failures(result.failures, len(result.imported))
