"""One connection to a node: plain OpenSSH, as the operator has set it up.

Keys, agent, jump hosts, known hosts and ``~/.ssh/config`` are ssh's affair. We add a control
socket of our own in a folder that nobody else may read, so that all commands of a run share one
connection, and a session that holds it (`imgsync.fleet.session`). However we end, the connection
goes, and nothing is left behind, on either side.
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

from imgsync.errors import AccessDenied, ContainerdError, Unreachable
from imgsync.events import Noted, Report, Retried, ignore
from imgsync.fleet.complaints import (
    is_dropped,
    is_out_of_sessions,
    last_line,
    refusal,
    without_sharing,
)
from imgsync.fleet.session import facts_of, is_ready
from imgsync.fleet.ssh import ALIVE, SMALL_S, start_ssh
from imgsync.stores.containerd.command import environment

if TYPE_CHECKING:
    from imgsync.fleet.host import Host
    from imgsync.fleet.ssh import Ssh

CONNECT_S: Final = 30.0
_AGAIN_S: Final = (1.0, 2.0, 4.0)
_STOP_S: Final = 5.0
_MOST_BYTES: Final = 64 * 1024


class ForwardingRefused(Unreachable):
    """The node's sshd forwards no ports, or not this one."""


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
        """Connect, and run the session that holds the connection; see `imgsync.fleet.session`.

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
                if self._is_cut or not is_dropped(error.message):
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
        self.config = self.ssh.configuration(self.host)
        words = (
            *self.ssh.command,
            *("-o", "ControlMaster=yes", "-o", f"ControlPath={self._control}"),
            *("-o", "ControlPersist=no", "-o", "BatchMode=yes", "-T"),
            *self._alive(),
            *self.host.words,
            f"exec sh -c {shlex.quote(session)}",
        )
        self._master = start_ssh(words, subprocess.PIPE, subprocess.PIPE, self._err)
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

    def words(
        self, command: str, *, apart: bool = False, with_agent: bool = False
    ) -> tuple[str, ...]:
        """The words that run a line of shell on the node, ``apart`` by a connection of its own.

        That alone may be lent the operator's agent.
        """
        return (
            *self.ssh.command,
            *("-o", "ControlMaster=no"),
            *("-o", f"ControlPath={'none' if apart else self._control}"),
            *("-o", "BatchMode=yes", "-T", *(self._alive() if apart else ())),
            *(("-A",) if with_agent else ()),
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
            process = start_ssh(self.words(command, apart=is_apart), stdin, stdout, stderr)
            (self._apart if is_apart else self._sharing).add(process)
        return process

    def heard(self, process_said: str) -> str:
        """What a command said, without what ssh said of its connection; that is taken to heart.

        Where sshd allows a connection no further session, further commands connect anew; so they
        can be ended with the connection, and nobody wonders at words about sessions.
        """
        if not is_out_of_sessions(process_said):
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
        return without_sharing(process_said)

    def start_with_agent(
        self, command: str, *, stdin: IO[bytes], stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """The line runs on the node, may use the operator's agent, and is read from.

        Not over our connection: what an agent is lent to can use it as long as that lasts.

        Raises:
            Unreachable: there is no ssh here.
        """
        words = self.words(command, apart=True, with_agent=True)
        return start_ssh(words, stdin, subprocess.PIPE, stderr)

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
            timeout=SMALL_S,
            env=environment(),
        )
        if ended.returncode != 0:
            msg = f"{path} cannot be written: {last_line(ended.stderr)}"
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
            timeout=SMALL_S,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )

    def _alive(self) -> tuple[str, ...]:
        """Notice a dead line within a minute, unless the operator's configuration says how."""
        return ALIVE if self.config.get("serveraliveinterval") == "0" else ()

    def _listen(self, deadline: float) -> None:
        master = self._master
        assert master is not None  # noqa: S101 - see `open`
        out = master.stdout
        assert out is not None  # noqa: S101 - it was started with a pipe
        said = b""
        while not is_ready(said):
            ready, _, _ = select.select([out], [], [], max(0.0, deadline - monotonic()))
            part = os.read(out.fileno(), 4096) if ready else b""
            said += part
            if not part or len(said) > _MOST_BYTES:
                raise self._refused(timed_out=not ready)
        self.facts.update(facts_of(said))

    def _refused(self, *, timed_out: bool) -> Unreachable | AccessDenied:
        master, err = self._master, self._err
        assert master is not None and err is not None  # noqa: S101, PT018 - see `open`
        if timed_out:
            master.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            master.wait(_STOP_S)
        err.seek(0)
        text = last_line(err.read())
        if timed_out:
            return Unreachable(f"no answer within {CONNECT_S:.0f} s{': ' if text else ''}{text}")
        return refusal(text, master.returncode)
