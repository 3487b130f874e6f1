"""Real SSH keys for tests, lists of who may sign with them, and an agent."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def new_key(folder: Path, name: str, *, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A private key; the public one stands beside it."""
    path = folder / name
    command = [program("ssh-keygen"), "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", path]
    subprocess.run([str(part) for part in command], check=True)
    return path


def allow(path: Path, who: dict[str, Path], options: str = "") -> Path:
    """A file of allowed signers, principal by principal."""
    lines = []
    for principal, key in who.items():
        public = key.with_name(f"{key.name}.pub").read_text().split()
        lines.append(" ".join(part for part in (principal, options, *public[:2]) if part))
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def agent_with(key: Path, folder: Path) -> Iterator[str]:
    """An agent that holds a key; its socket."""
    socket = folder / "a"
    agent = subprocess.Popen(
        [str(program("ssh-agent")), "-D", "-a", str(socket)], stdout=subprocess.DEVNULL
    )
    try:
        while not socket.exists():
            time.sleep(0.01)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
        add = str(program("ssh-keygen").with_name("ssh-add"))
        subprocess.run([add, "-q", str(key)], check=True, env=environment)
        yield str(socket)
    finally:
        agent.terminate()
        agent.wait()
