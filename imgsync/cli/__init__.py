"""The command line: one file a command; here is what starts them, and ends the process.

Nothing else in imgsync prints errors or exits. ``imgsync --help`` must stay quick, so neither
this module nor what it imports may import requests, tqdm or a command.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import click

from imgsync import __version__
from imgsync.cli.command import COMMON_NAMES, write_common, write_options
from imgsync.cli.commands import ALIASES, COMMANDS
from imgsync.cli.common_options import CONNECTION, OUTPUT, copies_of
from imgsync.cli.context import Context
from imgsync.cli.failures import (
    INTERRUPTED,
    READER_GONE,
    USAGE,
    exit_code_of,
    json_of,
    text_of,
    text_of_bug,
)
from imgsync.cli.output import tell, to_stdout
from imgsync.errors import ImgsyncError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from click.shell_completion import CompletionItem


_OPTIONS: Final = ("--help", "--version")
"""What others have as a command."""


class Program(click.Group):
    """The group of all commands, which are imported when they are needed."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        # The environment is read once, by the command.
        self.params += copies_of((*CONNECTION, *OUTPUT), from_environment=False)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """The commands in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """A command by its name or by another tool's name for it."""
        entry = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        return entry.load() if entry is not None else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with what was probably meant."""
        name = args[0]
        if name not in COMMANDS and name not in ALIASES and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

            close = get_close_matches(name, [*COMMANDS, *ALIASES, *_OPTIONS], 1)
            advice = f" Did you mean {close[0]}?" if close else ""
            ctx.fail(f"No such command {name!r}.{advice}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, without importing any to ask whether it is hidden; and options."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only for completion

        names = [
            CompletionItem(name, help=entry.help)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """The commands with their first sentences, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])
        with formatter.section("Other names"):
            formatter.write_text(", ".join(f"{other} = {name}" for other, name in ALIASES.items()))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands first: who asks for help without one looks for it."""
        self.format_commands(ctx, formatter)
        own = [option for option in self.get_params(ctx) if option.name not in COMMON_NAMES]
        write_options(ctx, formatter, "Options", own)
        write_common(ctx, formatter)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process with its status."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        _open_what_is_closed()
        context = Context()
        with _signals_interrupt(context):
            status = self._run(context, args, prog_name or "imgsync", complete_var, extra)
        try:
            sys.stdout.flush()
        except OSError:
            # It was told; Python would tell it again, and end with 120.
            _forget_stdout()
        sys.exit(status)

    def _run(
        self,
        context: Context,
        args: Sequence[str] | None,
        prog_name: str,
        complete_var: str | None,
        extra: dict[str, Any],
    ) -> int:
        """The status that the process ends with; everything is told before."""
        try:
            try:
                result = super().main(
                    args, prog_name, complete_var, standalone_mode=False, obj=context, **extra
                )
                with to_stdout():
                    sys.stdout.flush()
            finally:
                context.close()
        except click.ClickException as error:
            with suppress(BrokenPipeError):
                error.show()
            return USAGE
        except ImgsyncError as error:
            return _failed(context, error, error)
        except (click.Abort, KeyboardInterrupt):
            _tell_last(f"imgsync: interrupted; {context.after_interrupt}")
            return INTERRUPTED
        except (_ReaderGoneError, BrokenPipeError):
            _forget_stdout()
            return READER_GONE
        except OSError as error:
            if error.filename is None:
                return _bug(context, error)
            from imgsync.stores.disk import of_os_error  # noqa: PLC0415 - for a mistake

            # A folder that this user may not look into: asking about any path in it fails.
            return _failed(context, of_os_error(error, str(error.filename)), error)
        except Exception as error:  # noqa: BLE001 - the one place that may
            return _bug(context, error)
        # `ctx.exit(code)` of click comes back as a number.
        return result if isinstance(result, int) else 0

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would end the process at a broken pipe by itself."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error


class _ReaderGoneError(Exception):
    """Whoever read our output has closed it; that is their right."""


GRACE_S: Final = 2.0
"""Workers see within a chunk that a run ends; who still waits for a host then is not waited for."""


@contextmanager
def _signals_interrupt(context: Context) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a run as Ctrl-C does: with everything kept to go on."""
    # A handler runs between any two lines of the main thread, which may hold any lock.
    abort = threading.Timer(GRACE_S, context.abort)
    abort.daemon = True

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if abort.ident is None:
            abort.start()
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not where somebody ignores it on purpose (nohup).
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        abort.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _open_what_is_closed() -> None:
    """Let what the caller has closed (``>&-``) go nowhere.

    The next file that is opened would get its number, and whatever ctr or ssh print would be
    written into it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _forget_stdout() -> None:
    """Let Python's own flush at exit go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _failed(context: Context, error: ImgsyncError, cause: BaseException) -> int:
    _tell_last(json_of(error) if context.wants_json_errors else text_of(error))
    if context.debug:
        _print_traceback(cause)
    return exit_code_of(error)


def _bug(context: Context, error: Exception) -> int:
    _tell_last(text_of_bug(error, debug=context.debug))
    if context.debug:
        _print_traceback(error)
    return exit_code_of(error)


def _print_traceback(error: BaseException) -> None:
    import traceback  # noqa: PLC0415 - only for a mistake

    _tell_last("".join(traceback.format_exception(error)).rstrip())


def _tell_last(text: str) -> None:
    """Tell how it ends; where nobody reads that any more, the status still says it."""
    with suppress(BrokenPipeError):
        tell(text)


@click.group(
    "imgsync",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    # \b keeps click from filling the lines behind it.
    help="Carry container images across an air gap, every byte of them proved.\n\n\b\n"
    "  imgsync bundle docker.io/library/redis:7 -o site.tar    here\n"
    "  imgsync push site.tar --to harbor.example.com/project   there\n",
    epilog="`imgsync COMMAND --help` has an example of each. Every option can also be set in the "
    "environment, as IMGSYNC_ and its name: IMGSYNC_JOBS=4.",
)
@click.version_option(__version__, "--version", prog_name="imgsync", message="%(prog)s %(version)s")
def main(**_common: Any) -> None:
    """All commands; each has a file of its own in `imgsync.cli`."""
