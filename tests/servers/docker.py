"""`dockerd` as a plain process without networks, and its `docker`.

It loads, saves, tags, pulls and pushes images; no container is ever started.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.mounts import unmount_below
from tests.servers.process import Process, accepts_unix, clean_environment
from tests.servers.programs import program, require_root, system_path

_START_S = 60.0
_COMMAND_S = 120


class DockerFailed(Exception):
    """`docker` ended with another status than 0, and the test did not expect that."""


@dataclass
class Docker:
    """One dockerd with its own containerd; `with Docker() as docker:` starts and removes it.

    Attributes:
        insecure_registries: hosts to speak http with (127.0.0.0/8 always is one).
        storage_driver: `vfs` works on every file system.
    """

    insecure_registries: Iterable[str] = ()
    storage_driver: str = "vfs"
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        require_root("dockerd")
        self._dockerd = program("dockerd")
        self._docker = program("docker")
        program("containerd", of_system=True)
        # A socket's path may have 107 bytes, so this stays short.
        self.root = Path(tempfile.mkdtemp(prefix="dkr-"))
        # It starts the containerd that it was packaged with, whichever one the tests are of.
        self._process = Process(self.root / "log", env={"PATH": system_path()})

    @property
    def socket(self) -> Path:
        """What `docker --host unix://` is given."""
        return self.root / "d.sock"

    def start(self) -> None:
        """It answers."""
        (self.root / "daemon.json").write_text("{}")
        insecure = [f"--insecure-registry={host}" for host in self.insecure_registries]
        self._process.start(
            [
                self._dockerd,
                f"--config-file={self.root}/daemon.json",
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                f"--storage-driver={self.storage_driver}",
                f"--data-root={self.root}/data",
                f"--exec-root={self.root}/exec",
                f"--host=unix://{self.socket}",
                f"--pidfile={self.root}/pid",
                *insecure,
            ],
            cwd=self.root,
        )
        self._process.wait_until(self._ready, timeout_s=_START_S)

    def stop(self) -> None:
        """The daemon and its containerd have ended."""
        self._process.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        unmount_below(self.root)
        shutil.rmtree(self.root)

    def run(self, *args: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """One `docker` command, whatever its status."""
        return subprocess.run(
            [self._docker, "--host", f"unix://{self.socket}", *args],
            input=stdin,
            env=clean_environment() | {"DOCKER_CONFIG": str(self.root / "client")},
            capture_output=True,
            check=False,
            timeout=_COMMAND_S,
        )

    def docker(self, *args: str | Path, stdin: bytes = b"") -> str:
        """What one `docker` command printed.

        Raises:
            DockerFailed: its status was not 0.
        """
        ended = self.run(*args, stdin=stdin)
        if ended.returncode != 0:
            command = " ".join(str(part) for part in args)
            error = ended.stderr.decode(errors="replace")
            raise DockerFailed(f"docker {command}: status {ended.returncode}\n{error}")
        return ended.stdout.decode()

    def images(self) -> dict[str, str]:
        """The names that the daemon knows, each with its image's config digest."""
        form = "{{.Repository}}:{{.Tag}} {{.ID}}"
        rows = self.docker("images", "--no-trunc", "--format", form).splitlines()
        return dict(row.split() for row in rows)

    def log(self) -> str:
        """Everything that the daemon has written."""
        return (self.root / "log").read_text(errors="replace")

    def _ready(self) -> bool:
        return accepts_unix(self.socket) and self.run("version").returncode == 0
