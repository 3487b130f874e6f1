"""One connection to a node: plain OpenSSH, as the operator has set it up.

Keys, agent, jump hosts, known hosts and ``~/.ssh/config`` are ssh's affair. We add a control
socket of our own in a folder that nobody else may read, so that all commands of a run share one
connection, and a session that holds it: a shell on the node that waits for its standard input to
end. Whatever ends us, ``kill -9`` too, ends that input; the shell then removes its small folder
and the connection goes. Nothing else is left behind, on either side.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import shlex
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import IO, TYPE_CHECKING, Final, Self

from imgsync.errors import AccessDenied, ContainerdError, InvalidInput, Unreachable
from imgsync.events import Noted, Report, Retried, ignore
from imgsync.stores.containerd.command import environment

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.fleet.host import Host

CONNECT_S: Final = 30.0
_SMALL_S: Final = 60.0
_STOP_S: Final = 5.0
_MOST_BYTES: Final = 64 * 1024
_READY: Final = "imgsync-ready"

ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3")
"""Notice within a minute that nobody answers any more."""

SESSION: Final = f"""\
umask 077
for at in /dev/shm "${{XDG_RUNTIME_DIR:-/nonexistent}}" /run /tmp; do
    own=$(mktemp -d "$at/imgsync-XXXXXXXX" 2>/dev/null) && : > "$own/empty" && break
    own=
done
[ -n "$own" ] || {{ echo "there is no place for a small temporary file" >&2; exit 1; }}
trap 'rm -rf "$own"' EXIT
trap 'exit 1' HUP INT TERM PIPE
echo "folder $own"
echo "system $(uname -s) $(uname -m)"
echo "user $(id -u)"
sed 's/^/hostkey /' /etc/ssh/ssh_host_*_key.pub 2>/dev/null
grep -hE '^(runtime|image)-endpoint:' /etc/crictl.yaml 2>/dev/null | sed 's/^/crictl /'
for at in {{sockets}}; do
    [ -S "$at" ] && echo "socket $at"
done
for at in {{commands}}; do
    command -v "$at" >/dev/null 2>&1 && echo "command $at"
done
echo {_READY}
cat >/dev/null
"""
"""What the holding session runs. POSIX shell; all that it writes is an empty file."""


_REFUSED: Final = "Session open refused by peer"
"""What ssh says when sshd's ``MaxSessions`` are in use; it then connects anew, by itself."""

_SHARING: Final = ("mux_client_request_session:", "ControlSocket ")
"""How what it says about that begins."""

_DROPPED: Final = (
    "kex_exchange_identification",
    "connection reset by",
    "connection closed by",
    "not allowed at this time",
)
"""What is said where an sshd, perhaps that of a jump host, has too many at its door
(``MaxStartups``): it drops some at random before they could say who they are."""

_AGAIN_S: Final = (1.0, 2.0, 4.0)


class ForwardingRefused(Unreachable):
    """The node's sshd forwards no ports, or not this one."""


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


@dataclass(slots=True, eq=False)
class Connection:
    """A connection that is open within its ``with`` block.

    Attributes:
        facts: what the holding session said: each first word with what followed it.
        config: what ssh's own configuration makes of the host: ``hostname``, ``port``, ``user``
            and more, as ``ssh -G`` says; empty where it does not.
    """

    ssh: Ssh
    host: Host
    facts: dict[str, list[str]] = field(default_factory=dict, init=False)
    config: dict[str, str] = field(default_factory=dict, init=False)
    _master: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _err: IO[bytes] | None = field(default=None, init=False)
    _control: str = field(default="", init=False)
    _is_cut: bool = field(default=False, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _report: Report = field(default=ignore, init=False)
    _sharing: set[subprocess.Popen[bytes]] = field(default_factory=set, init=False)
    _apart: set[subprocess.Popen[bytes]] = field(default_factory=set, init=False)
    _most_sharing: int | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def open(self, session: str, report: Report = ignore, timeout_s: float = CONNECT_S) -> None:
        """Connect, and run the holding session; see `SESSION`.

        Where an sshd on the way drops us because too many connect at once, again some seconds
        later. ``report`` is told that, and what else is not as it should be.

        Raises:
            Unreachable, AccessDenied: ssh's own last words say why.
        """
        self._report = report
        for pause_s in _AGAIN_S:
            try:
                self._open(session, timeout_s)
            except Unreachable as error:
                if self._is_cut or not _is_dropped(error.message):
                    raise
                self.close()
                # Not together with all the others that were dropped.
                wait_s = pause_s * (0.5 + random.random())  # noqa: S311 - no secret
                report(Retried("connecting", error.message, wait_s))
                if self._stopped.wait(wait_s):
                    raise
            else:
                return
        self._open(session, timeout_s)

    def _open(self, session: str, timeout_s: float) -> None:
        self._control = str(self.ssh.folder / os.urandom(4).hex())
        self._err = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self.config = self._configured()
        words = (
            *self.ssh.command,
            *("-o", "ControlMaster=yes", "-o", f"ControlPath={self._control}"),
            *("-o", "ControlPersist=no", "-o", "BatchMode=yes", "-T"),
            *self._alive(),
            *self.host.words,
            f"exec sh -c {shlex.quote(session)}",
        )
        self._master = _start(words, subprocess.PIPE, subprocess.PIPE, self._err)
        self._listen(monotonic() + timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection, and what still runs over it; a second time is harmless."""
        master, self._master = self._master, None
        if master is None:
            return
        if master.stdin is not None:
            with contextlib.suppress(OSError):
                master.stdin.close()
        try:
            # The session's trap runs now; commands that still run would keep the connection.
            master.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            master.terminate()
            master.wait()
        for pipe in (master.stdout, self._err):
            if pipe is not None:
                pipe.close()

    def cut(self) -> None:
        """End it now: whatever runs over it fails; `close` is still to be called."""
        self._is_cut = True
        self._stopped.set()
        if self._master is not None:
            self._master.terminate()
        with self._lock:
            # What shares the connection ends with it, unless ssh connected anew by itself.
            for process in (*self._sharing, *self._apart):
                process.terminate()

    @property
    def folder(self) -> str:
        """The folder on the node: mode 0700, and gone with the connection."""
        return self.facts["folder"][0]

    def words(self, command: str, *, apart: bool = False) -> tuple[str, ...]:
        """The words that run a line of shell on the node, ``apart`` by a connection of its own."""
        return (
            *self.ssh.command,
            *("-o", "ControlMaster=no"),
            *("-o", f"ControlPath={'none' if apart else self._control}"),
            *("-o", "BatchMode=yes", "-T", *(self._alive() if apart else ())),
            *(*self.host.words, command),
        )

    def start(
        self,
        command: str,
        *,
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> subprocess.Popen[bytes]:
        """The line runs on the node; whoever started it waits for it.

        Raises:
            Unreachable: the connection has ended.
        """
        self._check()
        with self._lock:
            for group in (self._sharing, self._apart):
                group -= {process for process in group if process.poll() is not None}
            most = self._most_sharing
            is_apart = most is not None and len(self._sharing) >= most
            process = _start(self.words(command, apart=is_apart), stdin, stdout, stderr)
            (self._apart if is_apart else self._sharing).add(process)
        return process

    def heard(self, process_said: str) -> str:
        """What a command said, without what ssh said of its connection; that is taken to heart.

        Where sshd allows a connection no further session, further commands connect anew; so they
        can be ended with the connection, and nobody wonders at words about sessions.
        """
        if _REFUSED not in process_said:
            return process_said
        with self._lock:
            n_sharing = sum(1 for process in self._sharing if process.poll() is None)
            is_news = self._most_sharing is None
            if is_news or n_sharing < (self._most_sharing or 0):
                self._most_sharing = n_sharing
        if is_news:
            text = (
                "the node's sshd allows few sessions for a connection (MaxSessions); further "
                "commands connect anew, which takes longer"
            )
            self._report(Noted(text, "warning"))
        lines = process_said.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(_SHARING))

    def start_with_agent(
        self, command: str, *, stdin: IO[bytes], stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """The line runs on the node, may use the operator's agent, and is read from.

        Not over our connection: what an agent is lent to can use it as long as that lasts.

        Raises:
            Unreachable: there is no ssh here.
        """
        words = (
            *self.ssh.command,
            *("-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "BatchMode=yes", "-T"),
            *self._alive(),
            *("-A", *self.host.words, command),
        )
        return _start(words, stdin, subprocess.PIPE, stderr)

    def write(self, name: str, data: bytes) -> str:
        """Put a small file into the folder on the node; gives its path.

        Raises:
            ContainerdError: it could not be written there.
        """
        path = f"{self.folder}/{name}"
        folder, file = shlex.quote(path.rpartition("/")[0]), shlex.quote(path)
        self._check()
        ended = subprocess.run(
            self.words(f"umask 077; mkdir -p {folder} && exec cat > {file}"),
            input=data,
            capture_output=True,
            check=False,
            timeout=_SMALL_S,
            env=environment(),
        )
        if ended.returncode != 0:
            msg = f"{path} cannot be written: {_last(ended.stderr)}"
            raise ContainerdError(msg)
        return path

    def forward(self, port: int) -> int:
        """Let a port of the node's loopback lead to ours on this host; gives the node's port.

        Raises:
            ForwardingRefused: the node's sshd does not let us.
        """
        ended = self._control_command("forward", "-R", f"127.0.0.1:0:127.0.0.1:{port}")
        found = re.search(rb"\d+", ended.stdout)
        if ended.returncode != 0 or found is None:
            raise ForwardingRefused("the node's sshd forwards no port")
        return int(found[0])

    def _check(self) -> None:
        """A control socket that is gone is no error to ssh: it would connect anew, by itself."""
        if self._is_cut or self._master is None or self._master.poll() is not None:
            raise Unreachable("the connection to the node has ended")

    def _control_command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = (*self.ssh.command, "-o", f"ControlPath={self._control}", "-O", *words)
        return subprocess.run(
            (*command, *self.host.words),
            capture_output=True,
            check=False,
            timeout=_SMALL_S,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )

    def _configured(self) -> dict[str, str]:
        words = (*self.ssh.command, "-G", *self.host.words)
        try:
            shown = subprocess.run(
                words, capture_output=True, check=False, timeout=_SMALL_S, env=environment()
            )
        except (OSError, subprocess.TimeoutExpired):
            return {}
        lines = (line.partition(" ") for line in shown.stdout.decode(errors="replace").splitlines())
        return {key: value for key, _, value in lines}

    def _alive(self) -> tuple[str, ...]:
        """Notice a dead line within a minute, unless the operator's configuration says how."""
        return ALIVE if self.config.get("serveraliveinterval") == "0" else ()

    def _listen(self, deadline: float) -> None:
        master = self._master
        assert master is not None  # noqa: S101 - see `open`
        out = master.stdout
        assert out is not None  # noqa: S101 - it was started with a pipe
        said = b""
        while f"{_READY}\n".encode() not in said:
            ready, _, _ = select.select([out], [], [], max(0.0, deadline - monotonic()))
            part = os.read(out.fileno(), 4096) if ready else b""
            said += part
            if not part or len(said) > _MOST_BYTES:
                raise self._refused(timed_out=not ready)
        for line in said.decode(errors="replace").splitlines():
            word, _, rest = line.partition(" ")
            self.facts.setdefault(word, []).append(rest)

    def _refused(self, *, timed_out: bool) -> Unreachable | AccessDenied:
        master, err = self._master, self._err
        assert master is not None and err is not None  # noqa: S101, PT018 - see `open`
        if timed_out:
            master.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            master.wait(_STOP_S)
        err.seek(0)
        text = _last(err.read())
        if timed_out:
            return Unreachable(f"no answer within {CONNECT_S:.0f} s{': ' if text else ''}{text}")
        lower = text.lower()
        if "permission denied" in lower or "too many authentication" in lower:
            hint = "keys come from ssh's own configuration and agent; try: ssh HOST true"
            return AccessDenied(f"ssh: {text}", hint=hint)
        hint = ""
        if "host key verification" in lower:
            hint = "log in once by hand to see and take its key, or add it to known_hosts"
        elif _is_dropped(lower):
            hint = (
                "an sshd on the way takes no more at once (MaxStartups)? fewer nodes at once: -j 2"
            )
        return Unreachable(f"ssh: {text or f'status {master.returncode}'}", hint=hint)


def _is_dropped(message: str) -> bool:
    lower = message.lower()
    return any(text in lower for text in _DROPPED)


def _start(
    words: tuple[str, ...],
    stdin: int | IO[bytes],
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is for us, and we end what we started."""
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


def _last(stderr: bytes) -> str:
    """The last line that ssh said, without its decoration."""
    lines = [line.strip() for line in stderr.decode(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "").removeprefix("ssh: ")
