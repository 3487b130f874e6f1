"""A server as a plain child process: started, waited for, ended by its own id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_STOP_S = 10.0  # a server that ignores SIGTERM this long is killed
_POLL_S = 0.01


class ServerFailed(Exception):
    """A server ended, or was not ready in time; the message ends with its last lines."""


class Process:
    """One child process in a session of its own, with all its output in one file."""

    def __init__(self, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._env = {**clean_environment(), **(env or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self._child is None:
            raise ServerFailed("not started")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self, command: Sequence[str | Path], *, cwd: Path) -> None:
        """The command runs; it may not be ready yet."""
        if self.running:
            raise ServerFailed(f"already running: {command[0]}")
        with self.log.open("ab") as output:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                cwd=cwd,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the tests; they end the server
            )

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """`ready` answered True.

        Raises:
            ServerFailed: the process ended first, or `timeout_s` seconds passed.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise ServerFailed(f"ended while starting:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"not ready after {timeout_s:.0f} s:\n{self.last_lines()}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """The process has ended; asked first, then killed. Harmless when it is not running."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._kill_session(child)

    def kill(self) -> None:
        """The process is gone as after a power cut: no handler of its own has run."""
        child, self._child = self._child, None
        if child is not None:
            self._kill_session(child)

    @staticmethod
    def _kill_session(child: subprocess.Popen[bytes]) -> None:
        """The child and what it started are gone: the session is its own, so the id is safe."""
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(_STOP_S)

    def last_lines(self, count: int = 20) -> str:
        """The end of what the server wrote."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-count:])


def clean_environment() -> dict[str, str]:
    """What a server may know of our environment: nothing about proxies, tokens or users."""
    kept = ("PATH", "TMPDIR", "TZ", "GOCOVERDIR")
    env = {name: os.environ[name] for name in kept if name in os.environ}
    # containerd and dockerd look for their helpers in folders that cron leaves out.
    env["PATH"] = env.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return {**env, "LC_ALL": "C", "HOME": "/nonexistent"}


def accepts_tcp(port: int) -> bool:
    """Whether something on loopback takes connections on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def accepts_unix(path: Path) -> bool:
    """Whether something takes connections on this socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        return path.exists() and probe.connect_ex(str(path)) == 0


def free_port() -> int:
    """A loopback port that was free a moment ago, for servers that cannot choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
