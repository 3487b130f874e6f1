"""RemoteCtr: the ``ctr`` of a node, run there by ssh; to everybody else a `Ctr` like ours.

So the code that imports, checks and walks is the same, wherever containerd is.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Final

from imgsync.fleet.node_lock import node_locked
from imgsync.stores.containerd.command import Ctr, Ended

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from imgsync.events import Report
    from imgsync.fleet.connection import Connection
    from imgsync.fleet.host import Become

_QUIET: Final = ("env", "LC_ALL=C", "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1")


class RemoteCtr(Ctr):
    """One ``ctr`` on a node; used by several threads at once, each command a session."""

    def __init__(
        self, connection: Connection, address: str, command: str, become: Become | None = None
    ) -> None:
        """Run ``command`` on the node, through sudo where one has to become root first."""
        super().__init__(address, command)
        self._connection = connection
        self._become = become

    @property
    def is_elsewhere(self) -> bool:
        """It is: our loopback and our files are not the node's."""
        return True

    @property
    def place(self) -> str:
        """Which containerd this is: the same name for every run of this user."""
        host = self._connection.host
        return f"/ssh/{host.user}@{host.name}:{host.port}{self.address}"

    def locked(self, namespace: str, report: Report) -> AbstractContextManager[None]:
        """See `Ctr.locked`; the lock is on the node."""
        become = self._become is not None
        return node_locked(self._begin, self.address, self.place, namespace, report, become=become)

    def shell(self, script: str, *args: str) -> bytes | None:
        """See `Ctr.shell`."""
        with self._begin(("sh", "-c", script, "sh", *args), self._become is not None) as process:
            out, _ = process.communicate()
        return out if process.returncode == 0 else None

    def words(self, namespace: str, *args: str) -> tuple[str, ...]:
        """The whole command as the node's shell gets it, without ssh's own words."""
        words = (*self.command, "--address", self.address, "--namespace", namespace, *args)
        return (*self._sudo(), *words) if self._become else (*_QUIET, *words)

    def ended(self, namespace: str, *args: str, stdin: IO[bytes] | None = None) -> Ended:
        """See `Ctr.ended`; without what ssh says of its own affairs."""
        ended = super().ended(namespace, *args, stdin=stdin)
        return replace(ended, err=self._connection.heard(ended.err))

    def start(
        self,
        namespace: str,
        *args: str,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """The command runs on the node; see `Ctr.start`."""
        return self._start(self.words(namespace, *args), stdin, stdout, stderr)

    def ended_with_empty_file(self, namespace: str, *args: str) -> Ended:
        """Run a command there whose standard input is an empty file there."""
        empty = f"{self._connection.folder}/empty"
        words = (*self.command, "--address", self.address, "--namespace", namespace, *args)
        # The file is opened by the shell that sudo starts: its own input has the password.
        inner = ("sh", "-c", 'file=$1; shift; exec "$@" <"$file"', "sh", empty, *words)
        whole = (*self._sudo(), *inner) if self._become else (*_QUIET, *inner)
        with self._start(whole, subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE) as process:
            out, err = process.communicate()
        return Ended(
            args, process.returncode, out, self._connection.heard(err.decode(errors="replace"))
        )

    def can_become(self) -> Ended:
        """Try sudo with a command that does nothing; only with ``become``."""
        words = (*self._sudo(), *self.command, "--version")
        with self._start(words, subprocess.DEVNULL, subprocess.PIPE, subprocess.PIPE) as process:
            out, err = process.communicate()
        return Ended(
            ("--version",),
            process.returncode,
            out,
            self._connection.heard(err.decode(errors="replace")),
        )

    def _begin(self, words: tuple[str, ...], become: bool) -> subprocess.Popen[bytes]:
        """Any command runs on the node, with pipes; its standard error is nobody's."""
        pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
        if become:
            return self._start((*self._sudo(), *words), pipe, pipe, quiet)
        command = shlex.join(words)
        return self._connection.start(command, stdin=pipe, stdout=pipe, stderr=quiet)

    def _sudo(self) -> tuple[str, ...]:
        if self._become is not None and self._become.password:
            # -k: it asks every time, so that a password never ends up as input of ctr.
            return ("sudo", "-k", "-S", "-p", "", "--")
        return ("sudo", "-n", "--")

    def _start(
        self,
        words: tuple[str, ...],
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
    ) -> subprocess.Popen[bytes]:
        command = shlex.join(words)
        password = self._become.password if self._become is not None else ""
        if not password:
            return self._connection.start(command, stdin=stdin, stdout=stdout, stderr=stderr)
        line = f"{password}\n".encode()
        if stdin == subprocess.PIPE:
            process = self._connection.start(command, stdin=stdin, stdout=stdout, stderr=stderr)
            assert process.stdin is not None  # noqa: S101 - it was started with one
            process.stdin.write(line)
            process.stdin.flush()
            return process
        # A pipe holds far more than a password, so this does not wait for a reader.
        ours, theirs = os.pipe()
        try:
            os.write(theirs, line)
            os.close(theirs)
            return self._connection.start(command, stdin=ours, stdout=stdout, stderr=stderr)
        finally:
            os.close(ours)
