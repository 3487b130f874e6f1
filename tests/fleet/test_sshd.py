"""Nodes whose sshd gives little, and operators at a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from tests.images import sized_image
from tests.servers.node_files import PASSWORD
from tests.servers.nodes import NodeOptions, Nodes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

IMAGES = sized_image(1, 2_000_000, name="registry.example/team/app:1")
FEW = "the node's sshd allows few sessions for a connection (MaxSessions)"
_PATIENCE_S = 60


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return IMAGES.write_archive(tmp_path_factory.mktemp("sshd") / "site.tar")


def test_sshds_that_allow_few_sessions(archive: Path) -> None:
    few = [NodeOptions(sshd=(f"MaxSessions {most}",)) for most in (1, 2)]
    with Nodes(few) as nodes:
        words = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh)
        ran = nodes.imgsync(*words, "--carrier", "loopback")
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.count("forwarded") == 2
        assert f"{nodes[0].target}: warning: {FEW}" in ran.stderr
        assert ran.stderr.count(FEW) <= 2, "once a node"
        assert "refused by peer" not in ran.stderr
        for node in nodes.nodes:
            assert node.containerd.blobs("k8s.io") == IMAGES.digests()
        # What has a connection of its own ends with the others.
        slow = nodes.command(
            sys.executable, "-m", "imgsync", *map(str, words), "-n", "slow", "--rate", "30K/s"
        )
        with subprocess.Popen(slow, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if b"to go" in line:
                    break
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=_PATIENCE_S)
        assert process.returncode == 130, err.decode()
        assert b"Traceback" not in err
        for number in range(2):
            assert "imgsync-" not in nodes.on_node(number, "ls -A /dev/shm")


def test_an_sshd_that_drops_who_comes_at_once(archive: Path) -> None:
    """One who connects and says nothing takes the only place; after some seconds he goes."""
    with Nodes([NodeOptions(sshd=("MaxStartups 1:100:1",))]) as nodes:
        code = (
            "import socket, sys\n"
            f"found = socket.create_connection(({nodes[0].address!r}, 22))\n"
            "found.recv(1); print('there', flush=True); sys.stdin.read()"
        )
        holder = nodes.command(sys.executable, "-c", code)
        words = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh)
        command = nodes.command(sys.executable, "-m", "imgsync", *map(str, words))
        with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as silent:
            assert silent.stdout is not None
            assert silent.stdout.readline() == b"there\n"
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                assert process.stderr is not None
                first = process.stderr.readline()
                silent.communicate()
                out, err = process.communicate(timeout=_PATIENCE_S)
        assert b"again" in first
        assert b"connecting: ssh: " in first
        assert process.returncode == 0, err.decode()
        assert b"seeded" in out


def _at_terminal(nodes: Nodes, *words: str | Path, keys: bytes) -> tuple[int, str]:
    """What happens when somebody types these keys at the question for a password."""
    ours, theirs = pty.openpty()
    command = nodes.command(sys.executable, "-m", "imgsync", *words)
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - a terminal
    ) as process:
        os.close(theirs)
        seen, has_typed = b"", False
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.2)
            try:
                seen += os.read(ours, 4096) if ready else b""
            except OSError:
                break  # nobody has it open any more
            echoes = termios.tcgetattr(ours)[3] & termios.ECHO
            if b"password on the nodes" in seen and not echoes and not has_typed:
                os.write(ours, keys)
                has_typed = True
        status = process.wait(_PATIENCE_S)
    os.close(ours)
    return status, seen.decode()


def test_sudos_password_at_a_terminal(archive: Path) -> None:
    with Nodes([NodeOptions(sudo="password"), NodeOptions(sudo="password")]) as nodes:
        words = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, "-K")
        status, seen = _at_terminal(nodes, *words, keys=b"not this one\n")
        assert status == 5, seen
        assert seen.count("sudo password on the nodes") == 1, "for both nodes"
        assert "1 incorrect password attempt" in seen
        status, seen = _at_terminal(nodes, *words, keys=b"\x03")
        assert (status, "interrupted" in seen) == (130, True)
        status, seen = _at_terminal(nodes, *words, keys=f"{PASSWORD}\n".encode())
        assert status == 0, seen
        assert PASSWORD not in seen
        for node in nodes.nodes:
            assert node.containerd.blobs("k8s.io") == IMAGES.digests()
        command = nodes.command("setsid", sys.executable, "-m", "imgsync", *map(str, words))
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert ran.returncode == 2, ran.stderr
        assert b"--become-password-stdin" in ran.stderr
