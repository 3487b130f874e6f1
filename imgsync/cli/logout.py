"""``imgsync logout``: credentials, forgotten."""

from __future__ import annotations

from pathlib import Path

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import read_host
from imgsync.cli.output import say
from imgsync.stores.registry.login import forget


@click.command(
    cls=Command,
    short_help="Forget the credentials of a registry.",
    epilog="Example: imgsync logout harbor.example.com",
)
@click.argument("host")
@click.pass_obj
def logout(context: Context, *, host: str) -> None:
    """Forget the credentials of a registry.

    They are taken out of every file and helper that imgsync would look into, or of --authfile
    alone.
    """
    name = read_host(host)
    authfile = context.values["authfile"]
    places = forget(name, Path(authfile) if authfile else None, context.environ)
    if not places:
        say(f"{name}: nobody was logged in")
    for place in places:
        say(f"{name}: taken out of {place}")
