"""Command: a click command that has the options of all commands, and hands them to the Context.

They may stand before the command's name or behind it: the program has them too, and what was
typed at either place counts. Values of the environment count where nothing was typed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from imgsync.cli.commands import ALL_OR_NOTHING
from imgsync.cli.common_options import CONNECTION, OUTPUT, copies_of
from imgsync.cli.context import GOES_ON, Context

if TYPE_CHECKING:
    from collections.abc import Sequence

ENVIRONMENT_PREFIX = "IMGSYNC"
"""``IMGSYNC_JOBS`` is ``--jobs``, whatever the command."""


class Command(click.Command):
    """A command's own parameters, then those of all commands."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        for option in self.params:
            _name_in_environment(option)
        self.params += copies_of((*CONNECTION, *OUTPUT))
        self.context_settings.setdefault("auto_envvar_prefix", ENVIRONMENT_PREFIX)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the options of all commands go into its Context, not to it."""
        context = ctx.ensure_object(Context)
        context.use({name: take(ctx, name) for name in COMMON_NAMES})
        if self.name not in ALL_OR_NOTHING:
            context.after_interrupt = GOES_ON
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the others under their own headings."""
        own = [option for option in self.get_params(ctx) if option.name not in COMMON_NAMES]
        write_options(ctx, formatter, "Options", own)
        write_common(ctx, formatter)


def _name_in_environment(option: click.Parameter) -> None:
    """Let ``--format`` be ``IMGSYNC_FORMAT``, whatever the parameter is called within."""
    if isinstance(option, click.Option) and option.envvar is None and option.allow_from_autoenv:
        name = next(name for name in (*option.opts, "--none") if name.startswith("--"))
        option.envvar = f"{ENVIRONMENT_PREFIX}_{name.removeprefix('--').replace('-', '_').upper()}"


COMMON_NAMES = tuple(str(option.name) for option in (*CONNECTION, *OUTPUT))


def write_common(ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options of all commands, for a help text."""
    write_options(ctx, formatter, "Connections (also before the command)", CONNECTION)
    write_options(ctx, formatter, "Output (also before the command)", OUTPUT)


def write_options(
    ctx: click.Context,
    formatter: click.HelpFormatter,
    heading: str,
    options: Sequence[click.Parameter],
) -> None:
    """Some options under a heading."""
    records = [
        record
        for option in options
        if isinstance(option, click.Option) and (record := option.get_help_record(ctx)) is not None
    ]
    if records:
        with formatter.section(heading):
            formatter.write_dl(records)


def take(ctx: click.Context, name: str) -> Any:
    """An option's value, wherever it was given; it is no parameter of the command any more."""
    own = ctx.params.pop(name)
    program = ctx.find_root()
    if program is ctx or name not in program.params:
        return own
    before = program.params[name]
    typed_before = program.get_parameter_source(name) is ParameterSource.COMMANDLINE
    typed = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if not typed_before:
        return own
    if not typed:
        return before
    return (*before, *own) if isinstance(own, tuple) else own
