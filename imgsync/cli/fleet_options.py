"""Options of commands that speak to many nodes: which, and how."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsync.cli.inputs import take_stdin
from imgsync.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.fleet.host import Host

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """Which nodes, and how they are reached; an empty inventory is none."""

    inventory: str = ""
    limits: tuple[str, ...] = ()
    become: bool = False
    ask_become_pass: bool = False
    password_on_stdin: bool = False
    ssh: str = "ssh"

    def hosts(self) -> tuple[Host, ...]:
        """Read the inventory, and ask for sudo's password, once, where that is wanted.

        Raises:
            InvalidInput, NotFound: it cannot be read, or --limit leaves nothing.
        """
        from imgsync.fleet.host import Become  # noqa: PLC0415 - not for --help
        from imgsync.fleet.inventory import read_inventory  # noqa: PLC0415 - likewise

        asks = self.ask_become_pass or self.password_on_stdin
        become = Become() if self.become or asks else None
        hosts = read_inventory(self.inventory, limits=self.limits, become=become)
        if asks:
            # Only when the inventory was read: nobody types a password for nothing.
            become = Become(self._password())
            hosts = read_inventory(self.inventory, limits=self.limits, become=become)
        return hosts

    def _password(self) -> str:
        if self.password_on_stdin:
            take_stdin("the sudo password")
            return sys.stdin.readline().rstrip("\n")
        if not _is_at_terminal():
            msg = "--ask-become-pass needs a terminal, and there is none"
            raise InvalidInput(msg, hint="--become-password-stdin reads it from standard input")
        password: str = click.prompt("sudo password on the nodes", hide_input=True, err=True)
        return password


def _is_at_terminal() -> bool:
    """Whether somebody can be asked, also where standard input is something else."""
    try:
        with Path("/dev/tty").open("rb"):
            return True
    except OSError:
        return sys.stdin.isatty()


def fleet_options(command: Callable[..., R]) -> Callable[..., R]:
    """``-i`` and what belongs to it; the command gets ``fleet``."""
    return with_fleet(command, required=True)


def with_fleet(command: Callable[..., R], *, required: bool) -> Callable[..., R]:
    """The same, where a command can do without nodes."""

    @wraps(command)
    def wrapped(
        *args: Any,
        inventory: str,
        limits: Sequence[str],
        become: bool,
        ask_become_pass: bool,
        become_password_stdin: bool,
        ssh: str,
        **rest: Any,
    ) -> R:
        fleet = FleetOptions(
            inventory, tuple(limits), become, ask_become_pass, become_password_stdin, ssh
        )
        return command(*args, fleet=fleet, **rest)

    # Current versions of click take None for a value that is there.
    default: dict[str, Any] = {} if required else {"default": ""}
    options = (
        click.option(
            "-i",
            "--inventory",
            metavar="FILE",
            required=required,
            **default,
            help="The nodes: a list of hosts, one a line (USER@HOST:PORT), HOST,HOST, or an "
            "Ansible inventory.",
        ),
        click.option(
            "--limit",
            "limits",
            multiple=True,
            metavar="GLOB",
            help="Only these nodes, 'rack1-*'; '!GLOB' leaves out; repeatable.",
        ),
        click.option("--become", "--sudo", is_flag=True, help="Run ctr there through sudo."),
        click.option(
            "-K",
            "--ask-become-pass",
            is_flag=True,
            help="Ask for sudo's password, once; it is sent to sudo's standard input only.",
        ),
        click.option(
            "--become-password-stdin",
            is_flag=True,
            help="Read sudo's password from standard input instead.",
        ),
        click.option(
            "--ssh",
            default="ssh",
            show_default=True,
            metavar="COMMAND",
            help="How OpenSSH's ssh is called, 'ssh -F lab/ssh_config'; your own configuration, "
            "agent and known hosts are used.",
        ),
    )
    result: Callable[..., R] = wrapped
    for option in reversed(options):
        result = option(result)
    return result
