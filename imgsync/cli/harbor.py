"""``imgsync harbor``: what there is to know of a Harbor before one pushes to it."""

from __future__ import annotations

import click

from imgsync.cli.command import Command
from imgsync.cli.context import Context
from imgsync.cli.harbor_status import status_json, status_text
from imgsync.cli.inputs import read_host
from imgsync.cli.options import format_option
from imgsync.cli.output import say, say_json
from imgsync.harbor.status import harbor_status


@click.command(
    cls=Command,
    short_help="Show the room, the rules and the rights in a Harbor's projects.",
    epilog="Example: imgsync harbor status harbor.example.com/project",
)
@click.argument("action", type=click.Choice(["status"]))
@click.argument("target", metavar="HOST[/PROJECT]")
@format_option
@click.pass_obj
def harbor(context: Context, *, action: str, target: str, as_json: bool) -> None:  # noqa: ARG001 - one action
    """Show the room, the rules and the rights in a Harbor's projects.

    status tells of each project what is used and free, which tags must stay (immutable), what is
    deleted after a while (retention), and what these credentials may do there; of one project
    also its robots. What they may not see is shown as "?".
    """
    host, _, project = target.partition("/")
    name = read_host(host)
    context.speak_to([name])
    found = harbor_status(context.registries().host(name), project.strip("/"), jobs=context.jobs)
    say_json(status_json(found)) if as_json else say(status_text(found))
