"""``imgsync standalone``: imgsync as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.cli.command import Command
from imgsync.cli.output import human_size, say
from imgsync.standalone.build import standalone as make
from imgsync.stores.disk import final_path

if TYPE_CHECKING:
    from imgsync.cli.context import Context


@click.command(
    cls=Command,
    short_help="Make one file of imgsync for hosts without Python.",
    epilog="Example: imgsync standalone -o imgsync",
)
@click.option(
    "-o",
    "--output",
    default="imgsync",
    show_default=True,
    metavar="FILE",
    help="The file to make.",
)
@click.pass_obj
def standalone(context: Context, *, output: str) -> None:
    """Make one file of imgsync for hosts without Python.

    It needs a Linux kernel of this machine's architecture, /proc, and a place for temporary files;
    no Python, no pip, no C library, no network. Carry it beside the bundle. For hosts of another
    architecture make it on one of them; `make dist-arm64` in the sources does so by emulation.
    """
    context.after_interrupt = "nothing was made"
    make(final_path(Path(output)))
    say(f"{output}: {human_size(Path(output).stat().st_size)}")
