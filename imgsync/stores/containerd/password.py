"""Giving ``ctr`` a password as a person would: at a terminal, when it asks.

``ctr`` takes a password from its command line, where every user of the host can read it, or from
a terminal. So it gets one, that nobody else sees: a pseudo-terminal for its standard input.
"""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import termios
import time
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContainerdError
from imgsync.stores.containerd.command import Ended

if TYPE_CHECKING:
    from imgsync.stores.containerd.command import Ctr

_ASK_S: Final = 30.0
"""How long ``ctr`` may take until it asks; it does so before anything else."""

_PROMPT: Final = b"assword"


def run_with_password(ctr: Ctr, namespace: str, password: str, *args: str) -> Ended:
    """Run a command that asks for a password once, to its end.

    Raises:
        ContainerdError: it cannot be given one, or does not ask.
    """
    if ctr.is_elsewhere:
        msg = "a password cannot be given to a ctr on another host"
        raise ContainerdError(msg, hint="run imgsync there, or push over HTTP, without --via ctr")
    if "\n" in password or "\r" in password:
        msg = "a password of several lines cannot be typed at ctr's terminal"
        raise ContainerdError(msg, hint="push over HTTP, without --via ctr")
    ours, theirs = os.openpty()
    try:
        _make_raw(theirs)
        with (
            tempfile.TemporaryFile() as err,
            ctr.start(namespace, *args, stdin=theirs, stderr=err) as process,
        ):
            try:
                _answer(process, ours, password)
                status = process.wait()
            except BaseException:
                process.terminate()
                raise
            err.seek(0)
            message = err.read().decode(errors="replace")
    finally:
        os.close(ours)
        os.close(theirs)
    return Ended(args, status, b"", message)


def _answer(process: subprocess.Popen[bytes], terminal: int, password: str) -> None:
    """Wait for the prompt, type, and read on: progress must not fill the pipe."""
    out = process.stdout
    assert out is not None  # noqa: S101 - it was started with a pipe
    said = b""
    deadline = time.monotonic() + _ASK_S
    while _PROMPT not in said:
        left = deadline - time.monotonic()
        ready, _, _ = select.select([out], [], [], max(0.0, left))
        part = os.read(out.fileno(), 4096) if ready else b""
        said += part
        if not part:
            if ready:
                return  # it ended, and its message says why
            process.kill()
            msg = "ctr did not ask for the password"
            raise ContainerdError(msg)
    os.write(terminal, password.encode() + b"\n")
    while os.read(out.fileno(), 65536):
        pass


def _make_raw(terminal: int) -> None:
    """No echo, and no limit of 4096 bytes for a line: tokens can be longer."""
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
