"""``imgsync login``: credentials, proved and kept."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.inputs import read_host
from imgsync.cli.output import say
from imgsync.errors import InvalidInput
from imgsync.events import Noted
from imgsync.stores.registry.login import Proof, keep, prove

if TYPE_CHECKING:
    from imgsync.stores.registry.credential import Credential


@click.command(
    cls=Command,
    short_help="Keep the credentials of a registry, once they are proved.",
    epilog="Example: imgsync login harbor.example.com --username ann --password-stdin < secret.txt",
)
@click.argument("host")
@click.pass_obj
def login(context: Context, *, host: str) -> None:
    """Keep the credentials of a registry, once they are proved.

    They go into the file, or to the helper, that docker and podman share; --authfile names
    another one. On a terminal, what is missing is asked for.
    """
    name = read_host(host)
    context.speak_to([name])
    _ask_for_what_is_missing(context)
    credential = _credential(context, name)
    if prove(context.registries().host(name)) is Proof.NOT_ASKED_FOR:
        text = f"{name} did not ask for credentials, so these are not proved"
        context.report(Noted(text, "warning"))
    where = keep(name, credential, context.connection().authfile, context.environ)
    say(f"{name}: logged in as {credential.username or 'the holder of a token'}, kept in {where}")


def _credential(context: Context, name: str) -> Credential:
    credential = context.connection().credentials.get(name)
    if credential is None:
        msg = f"no credentials are given for {name}"
        raise InvalidInput(msg, hint="--username USER with --password-stdin or --password-file")
    return credential


def _ask_for_what_is_missing(context: Context) -> None:
    """Ask a person; a script is told by the usual errors what it lacks."""
    if not sys.stdin.isatty():
        return
    values, environ = context.values, context.environ
    if not values["username"] and "IMGSYNC_USERNAME" not in environ:
        context.values = {**values, "username": (click.prompt("User", err=True),)}
    is_given = values["password_stdin"] or values["password_file"]
    if not is_given and not {"IMGSYNC_PASSWORD", "IMGSYNC_PASSWORD_FILE"} & environ.keys():
        password = click.prompt("Password", hide_input=True, err=True)
        context.environ = {**environ, "IMGSYNC_PASSWORD": password}
