"""Renders ``docs/cli.md`` from the help texts; with ``--check`` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from imgsync.cli import main as program
from imgsync.cli.commands import ALIASES, COMMANDS

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "cli.md"
WIDTH: Final = 100

HEAD: Final = """\
# The command line

Made from the help texts by `scripts/render_cli.py`; a test holds this page to them.

Options of connections and output may stand before the command's name or behind it; they are below
the first heading and left out of the others. Every option can also be set in the environment, as
`IMGSYNC_` and its name in capitals (`IMGSYNC_JOBS=4`,
`IMGSYNC_PLAIN_HTTP_HOST="localhost:5000 localhost:5001"`); what is typed counts more. Results go
to standard output, everything else to standard error. The exit codes are in the
[README](../README.md#exit-codes).
"""


def render() -> str:
    """The whole page."""
    parts = [HEAD, _section("imgsync", help_of([]))]
    for name in COMMANDS:
        others = [alias for alias, target in ALIASES.items() if target == name]
        also = (
            f"Also called {' and '.join(f'`{other}`' for other in others)}.\n\n" if others else ""
        )
        parts.append(_section(f"imgsync {name}", _own(help_of([name])), also))
    return "\n".join(parts)


def help_of(words: list[str]) -> str:
    """The help text of a command, as wide as the page."""
    command: click.Command = program
    context = click.Context(
        program, info_name="imgsync", terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    for word in words:
        found = program.get_command(context, word)
        if found is None:
            msg = f"there is no command {word}"
            raise LookupError(msg)
        command = found
        context = click.Context(command, info_name=word, parent=context, terminal_width=WIDTH)
    return command.get_help(context)


def _own(text: str) -> str:
    """A help text without the options that all commands have."""
    before, heading, after = text.partition("\n\nConnections (")
    return f"{before}\n\n  {after.rpartition(chr(10) * 2 + '  ')[2]}" if heading else text


def _section(title: str, text: str, also: str = "") -> str:
    return f"## {title}\n\n{also}```text\n{text}\n```\n"


def main() -> None:
    """Write the page, or compare it."""
    text = render()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE} is not what the help texts say; run scripts/render_cli.py")
        return
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE} written")


if __name__ == "__main__":
    main()
