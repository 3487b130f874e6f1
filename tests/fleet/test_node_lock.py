"""Several hosts, and the node itself, at work on one node at the same time."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import imgsync
from tests.images import sized_image
from tests.servers.node_files import PASSWORD
from tests.servers.nodes import NodeOptions, Nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.real

IMAGES = sized_image(1, 2_000_000, name="registry.example/team/app:1")
PACKAGE = Path(imgsync.__file__).parents[1]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return IMAGES.write_archive(tmp_path_factory.mktemp("locks") / "site.tar")


@contextmanager
def _slow_seed(nodes: Nodes, archive: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A host that is at work on all nodes, and will be for a minute; it has their locks."""
    words = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, "--rate", "30K/s")
    command = nodes.command(sys.executable, "-m", "imgsync", *words, *more)
    log = nodes.folder / "slow.log"
    with (
        log.open("wb") as err,
        subprocess.Popen(command, stdout=err, stderr=err, stdin=subprocess.DEVNULL) as process,
    ):
        try:
            for number in range(len(nodes.nodes)):
                _until(lambda n=number: _is_held(nodes, n), log)  # type: ignore[misc]
            yield process
        finally:
            process.kill()


def _is_held(nodes: Nodes, number: int) -> bool:
    places = "/run/imgsync/*.lock /run/user/4242/imgsync/*.lock"
    return "process" in nodes.on_node(number, f"cat {places} 2>/dev/null || true")


def _until(done: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def _on_node(nodes: Nodes, number: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """`imgsync` on the node itself."""
    command = " ".join(str(word) for word in words)
    line = f"PYTHONPATH={PACKAGE} {sys.executable} -m imgsync {command}"
    return nodes.run(*nodes.ssh.split(), nodes[number].target, line)


def test_two_hosts_and_the_node_itself(archive: Path) -> None:
    with Nodes(1) as nodes:
        seed = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh)
        with _slow_seed(nodes, archive) as first:
            ran = nodes.imgsync(*seed)
            assert ran.returncode == 8, ran.stderr
            assert f"works on namespace k8s.io: process {first.pid} on " in ran.stderr
            ran = _on_node(nodes, 0, "import", archive, "-n", "k8s.io")
            assert ran.returncode == 8, ran.stderr
            assert f"process {first.pid} on " in ran.stderr
            other = nodes.imgsync(*seed, "-n", "moby")
            assert other.returncode == 0, other.stderr
            first.kill()
        # It went with the connection, and nothing has to be cleared away.
        _until(
            lambda: _on_node(nodes, 0, "import", archive, "-n", "k8s.io").returncode == 0,
            nodes.folder / "slow.log",
        )
        code = (
            "import sys; from imgsync.stores.containerd.lock import locked\n"
            "import os; place = os.path.realpath('/run/containerd/containerd.sock')\n"
            "with locked(place, 'k8s.io'): print('held', flush=True); sys.stdin.read()"
        )
        line = f'PYTHONPATH={PACKAGE} {sys.executable} -c "{code}"'
        command = nodes.command(*nodes.ssh.split(), nodes[0].target, line)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            ran = nodes.imgsync(*seed)
            assert ran.returncode == 8, ran.stderr
            assert ", since " in ran.stderr
            process.communicate()
        ran = nodes.imgsync(*seed)
        assert ran.returncode == 0, ran.stderr


def test_through_sudo(archive: Path) -> None:
    with Nodes([NodeOptions(sudo="password"), NodeOptions(sudo="free")]) as nodes:
        rights = "root ALL=(ALL:ALL) ALL\noperator ALL=(root) NOPASSWD: /usr/bin/ctr\n"
        (nodes[1].folder / "sudoers").write_text(rights)
        seed = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh)
        password = nodes.folder / "password"
        password.write_text(f"{PASSWORD}\n")
        ask = ("sh", "-c", f'exec "$@" <{password}', "sh", sys.executable, "-m", "imgsync")
        command = nodes.command(*ask, *seed, "--become-password-stdin", "--rate", "30K/s")
        log = nodes.folder / "slow.log"
        with log.open("wb") as err, subprocess.Popen(command, stdout=err, stderr=err) as first:
            _until(lambda: log.read_bytes().count(b"sudo lets us take no lock") == 1, log)
            _until(lambda: _is_held(nodes, 1), log)
            ran = nodes.run(*ask, *seed, "--become-password-stdin", "--format", "json")
            assert ran.returncode == 8, ran.stderr
            assert ran.stdout.count(f"process {first.pid} on ") == 2
            assert PASSWORD not in ran.stdout + ran.stderr + log.read_text()
            first.kill()


def test_a_node_without_flock(archive: Path) -> None:
    with Nodes(1) as nodes:
        nodes.on_node(0, "mount --bind /dev/null $(command -v flock)")
        ran = nodes.imgsync("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh)
        assert ran.returncode == 0, ran.stderr
        assert "the node has no flock; runs on it and from other hosts are not seen" in ran.stderr
