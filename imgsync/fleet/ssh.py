"""OpenSSH's client: how it is called, and started."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, Self

from imgsync.errors import InvalidInput, Unreachable
from imgsync.stores.containerd.command import environment

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.fleet.host import Host

SMALL_S: Final = 60.0
"""How long a command may take that does next to nothing."""

ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3")
"""Notice within a minute that nobody answers any more."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How ssh is called, and where control sockets are.

    Attributes:
        command: its first words.
        folder: ours alone; short, because a socket's path may have 107 bytes.
    """

    command: tuple[str, ...]
    folder: Path

    @classmethod
    def parse(cls, text: str, folder: Path) -> Self:
        """Take apart what ``--ssh`` says.

        Raises:
            InvalidInput: it is empty, or its quotes do not match.
        """
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            msg = f"--ssh {text}: {error}"
            raise InvalidInput(msg) from None
        if not words:
            msg = "--ssh is empty"
            raise InvalidInput(msg, hint="for example --ssh 'ssh -F lab/ssh_config'")
        return cls(words, folder)

    def configuration(self, host: Host) -> dict[str, str]:
        """What ssh's own configuration makes of a host: ``hostname``, ``port``, ``user`` and more.

        As ``ssh -G`` says; empty where it does not.
        """
        try:
            ended = subprocess.run(
                (*self.command, "-G", *host.words),
                capture_output=True,
                check=False,
                timeout=SMALL_S,
                env=environment(),
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        lines = (line.partition(" ") for line in ended.stdout.decode(errors="replace").splitlines())
        return {key: value for key, _, value in lines}


def start_ssh(
    words: tuple[str, ...],
    stdin: int | IO[bytes],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start it in a session of its own: Ctrl-C is for us, and we end what we started.

    Raises:
        Unreachable: there is no ssh here.
    """
    try:
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment(),
            start_new_session=True,
        )
    except OSError as error:
        msg = f"{words[0]}: {error.strerror or error}"
        raise Unreachable(
            msg, hint="install an OpenSSH client, or say how: --ssh COMMAND"
        ) from None
