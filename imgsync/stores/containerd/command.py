"""Running ``ctr``: which words, which environment, and what a failure means.

Never by a shell, and never with a secret among the words: they are in every process list.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from imgsync.errors import ContainerdError, InvalidInput, NoSpace, Unreachable
from imgsync.stores.containerd.lock import locked
from imgsync.stores.containerd.parse import last_message, parse_flags, parse_versions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from imgsync.events import Report

_ENVIRONMENT: Final = {
    "LC_ALL": "C",
    # Else every command of 1.6.39, 1.7.34 and 2.x says so on standard error.
    "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS": "1",
}
_FOREIGN_ENVIRONMENT: Final = ("CONTAINERD_ADDRESS", "CONTAINERD_NAMESPACE")
_ELSEWHERE: Final = frozenset({"ssh", "docker", "podman", "kubectl", "nerdctl", "lxc", "incus"})
"""Programs that run ``ctr`` where our loopback and our files are not."""

SSH_FAILED: Final = 255
"""The status by which ssh says that it was itself what failed; ``ctr`` has none above 3."""

HINTS: Final = (
    ("permission denied", "run as root, or as a user who may open the socket"),
    ("cannot access socket", "is containerd running? another socket: --address PATH"),
    ("connection refused", "is containerd running? another socket: --address PATH"),
    ("failed to dial", "is containerd running? another socket: --address PATH"),
    ("no space left on device", "free space where containerd keeps its content"),
    ("unexpected commit digest", "what arrived is not what the digest says; verify the source"),
    ("is not supported by", "use the ctr that came with this containerd: --ctr 'PATH'"),
    ("unknown service", "use the ctr that came with this containerd: --ctr 'PATH'"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, whatever its status."""

    words: tuple[str, ...]
    status: int
    out: bytes
    err: str

    @property
    def message(self) -> str:
        """What it said in the end."""
        return last_message(self.err)


class Ctr:
    """One ``ctr`` and one socket; used by several threads at once."""

    def __init__(self, address: str, command: str = "ctr") -> None:
        """Keep both; ``command`` may have several words, such as ``k3s ctr``.

        Raises:
            InvalidInput: ``command`` is empty, or its quotes do not match.
        """
        try:
            self.command = tuple(shlex.split(command))
        except ValueError as error:
            msg = f"--ctr {command}: {error}"
            raise InvalidInput(msg) from None
        if not self.command:
            msg = "--ctr is empty"
            raise InvalidInput(msg, hint="for example --ctr 'k3s ctr'")
        self.address = address
        self._flags: dict[tuple[str, ...], frozenset[str]] = {}
        self._versions: dict[str, tuple[int, int, int]] | None = None
        self._lock = threading.Lock()

    @property
    def is_elsewhere(self) -> bool:
        """Whether it runs on another host, or where our loopback is not its own."""
        return any(os.path.basename(word) in _ELSEWHERE for word in self.command)  # noqa: PTH119 - a word

    @property
    def place(self) -> str:
        """Which containerd this is: its socket, for locks."""
        return os.path.realpath(self.address.removeprefix("unix://"))

    def locked(self, namespace: str, report: Report) -> AbstractContextManager[None]:  # noqa: ARG002 - see RemoteCtr
        """Keep others away from a namespace; ``report`` is told what is not guaranteed.

        Raises:
            LockHeld: another run works on it.
            ContainerdError: the lock cannot be had.
        """
        return locked(self.place, namespace)

    def shell(self, script: str, *args: str) -> bytes | None:
        """What a script for ``sh`` prints where containerd is; None where it fails, or cannot run.

        As root where ``ctr`` is run as root. For what may remain unknown.
        """
        if self.is_elsewhere:
            return None
        words = ("sh", "-c", script, "sh", *args)
        try:
            done = subprocess.run(
                words, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=environment()
            )
        except OSError:
            return None
        return done.stdout if done.returncode == 0 else None

    def words(self, namespace: str, *args: str) -> tuple[str, ...]:
        """The whole command. ``-a`` and ``-n`` are always said: environments differ."""
        words = ("--address", self.address, "--namespace", namespace, *args)
        if self.is_elsewhere and os.path.basename(self.command[0]) == "ssh":  # noqa: PTH119 - a word
            # ssh joins the words, and the shell over there takes them apart.
            words = tuple(shlex.quote(word) for word in words)
        return (*self.command, *words)

    def start(
        self,
        namespace: str,
        *args: str,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """The command runs; whoever started it waits for it.

        Raises:
            ContainerdError: there is no such program.
        """
        words = self.words(namespace, *args)
        try:
            return subprocess.Popen(
                words, stdin=stdin, stdout=stdout, stderr=stderr, env=environment()
            )
        except FileNotFoundError:
            msg = f"{words[0]}: no such program"
            raise ContainerdError(msg, hint="install it, or say how: --ctr 'k3s ctr'") from None
        except OSError as error:
            msg = f"{words[0]}: {error.strerror or error}"
            raise ContainerdError(msg) from None

    def ended(self, namespace: str, *args: str, stdin: IO[bytes] | None = None) -> Ended:
        """Run a command to its end.

        Raises:
            ContainerdError: there is no such program.
        """
        given = subprocess.DEVNULL if stdin is None else stdin
        with self.start(namespace, *args, stdin=given) as process:
            out, err = process.communicate()
        return Ended(args, process.returncode, out, err.decode(errors="replace"))

    def ended_with_empty_file(self, namespace: str, *args: str) -> Ended:
        """Run a command whose standard input is an empty file; some seek in theirs."""
        with tempfile.TemporaryFile() as empty:
            return self.ended(namespace, *args, stdin=empty)

    def run(self, namespace: str, *args: str, stdin: IO[bytes] | None = None) -> bytes:
        """What a command printed.

        Raises:
            ContainerdError: its status was not 0.
        """
        ended = self.ended(namespace, *args, stdin=stdin)
        if ended.status != 0:
            raise failure(ended)
        return ended.out

    def text(self, namespace: str, *args: str) -> str:
        """What a command printed, as text; see `run`."""
        return self.run(namespace, *args).decode(errors="replace")

    def has(self, flag: str, *command: str) -> bool:
        """Whether a subcommand lists this flag; asked once for each.

        Never by trying: 1.6 takes unknown flags of some commands with status 0.
        """
        with self._lock:
            if command not in self._flags:
                ended = self.ended("default", *command, "--help")
                self._flags[command] = parse_flags(ended.out.decode(errors="replace"))
            return flag in self._flags[command]

    def local(self, *command: str) -> tuple[str, ...]:
        """The flag by which a command works as it does in 1.6, where it must be said.

        Without it, 2.x lets the daemon's transfer service do the work, which drops labels,
        imports at half the speed, and cuts exports short (``docs/ctr.md``).
        """
        return ("--local",) if self.has("--local", *command) else ()

    def versions(self) -> Mapping[str, tuple[int, int, int]]:
        """Of ``client`` and ``server``, as far as they are known; asked once."""
        with self._lock:
            if self._versions is None:
                self._versions = parse_versions(self.text("default", "version"))
            return self._versions


def environment() -> dict[str, str]:
    """Ours, but for what would change what ``ctr`` does or says."""
    kept = {key: value for key, value in os.environ.items() if key not in _FOREIGN_ENVIRONMENT}
    return kept | _ENVIRONMENT


def failure(ended: Ended) -> ContainerdError | NoSpace | Unreachable:
    """The error of a command that failed, with the one thing to do about it."""
    command = " ".join(("ctr", *ended.words[:2]))
    message = ended.message or "no message"
    if ended.status == SSH_FAILED:
        return Unreachable(f"{command}: the connection failed: {message}")
    if ended.status == 2 and "panic" in ended.err:
        message = "it crashed (a Go panic)"
    kind = NoSpace if "no space left on device" in message else ContainerdError
    return kind(f"{command}: {message} (status {ended.status})", hint=hint_of(message))


def hint_of(message: str) -> str:
    """What to do about a message, if that is known."""
    lower = message.lower()
    return next((hint for text, hint in HINTS if text in lower), "")
