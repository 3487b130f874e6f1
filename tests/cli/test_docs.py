"""What the docs say of the command line is what it is."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from imgsync.cli import main
from imgsync.cli.command import Command
from imgsync.cli.commands import ALIASES, COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_the_page_of_the_command_line_is_current() -> None:
    script = ROOT / "scripts" / "render_cli.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented_and_has_an_example(name: str) -> None:
    command = _command(name)
    assert isinstance(command, Command)
    assert f"`{name}`" in _text(ROOT / "README.md") or name not in _README
    assert f"## imgsync {name}\n" in _text(ROOT / "docs" / "cli.md")
    assert f"imgsync {name}" in _text(ROOT / "docs" / "commands.md")
    assert re.match(rf"Example: imgsync {name} ", command.epilog or ""), command.epilog


_README = ("bundle", "verify", "inspect", "retag", "push", "import", "serve", "login", "logout")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_is_that_of_the_command(name: str) -> None:
    """`imgsync --help` does not import the commands, so it has their first sentences itself."""
    command = _command(name)
    entry = COMMANDS[name]
    assert command.short_help == entry.help
    assert (command.help or "").startswith(entry.help)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    for option in _command(name).params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.help.endswith("."), option.name


def test_every_other_name_is_documented() -> None:
    for alias in ALIASES:
        assert f"`{alias}`" in _text(ROOT / "docs" / "cli.md"), alias


def _examples() -> list[str]:
    found: list[str] = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", _text(page), re.DOTALL):
            lines = re.sub(r"\\\n\s*", " ", block).splitlines()
            found += [line.split("   #")[0] for line in lines if line.startswith("imgsync ")]
    found += [
        (_command(name).epilog or "").removeprefix("Example: ").split(" | ")[0] for name in COMMANDS
    ]
    return found


@pytest.mark.parametrize("line", sorted(set(_examples())))
def test_every_example_is_understood(line: str) -> None:
    """Parsed by the command itself, and not run."""
    words = shlex.split(re.split(r" [<>|] ", line)[0])[1:]
    command = _command(words[0])
    command.make_context(words[0], words[1:], parent=click.Context(main))


def test_links_within_the_docs_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", _text(page)):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"


# --- hints ------------------------------------------------------------------------------------


def _options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text))


def _hints() -> list[tuple[str, str]]:
    """Every text within the package that tells a user of an option, with its place."""
    found = []
    for path in sorted((ROOT / "imgsync").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                where = f"{path.relative_to(ROOT)}:{node.value.lineno}"
                found += [(where, option) for option in _options_in(ast.unparse(node.value))]
    return found


@pytest.mark.parametrize(("where", "option"), _hints())
def test_hints_name_options_that_there_are(where: str, option: str) -> None:
    known = {
        word
        for name in COMMANDS
        for param in _command(name).params
        if isinstance(param, click.Option)
        for word in (*param.opts, *param.secondary_opts)
    }
    assert option in known, where
