"""`containerd` as a plain process, with its own root, state and socket; and its `ctr`."""

import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.servers.mounts import unmount_below
from tests.servers.process import Process, accepts_unix, clean_environment, free_port
from tests.servers.programs import program, require_root

_START_S = 30.0
_COMMAND_S = 120


class CtrFailed(Exception):
    """`ctr` ended with another status than 0, and the test did not expect that."""


def version() -> str:
    """What the containerd of the tests says that it is.

    Raises:
        Unavailable: there is none.
    """
    words = [str(program("containerd")), "--version"]
    said = subprocess.run(
        words, env=clean_environment(), capture_output=True, text=True, check=True
    )
    _, _, number, *_ = said.stdout.split()
    return str(number)


@dataclass
class Containerd:
    """One containerd; `with Containerd() as containerd:` starts it and removes it afterwards.

    Attributes:
        cri: also offers the kubelet's side, which adds records of its own in `k8s.io`.
        snapshotter: what `ctr` unpacks into; `native` works on every file system.
        disabled: plugins to leave out.
        settings: TOML that goes behind the configuration, for tables that are not in it.
        prefix: words before the command, such as those that run it in a network namespace.
    """

    cri: bool = False
    snapshotter: str = "native"
    disabled: Iterable[str] = ()
    settings: str = ""
    prefix: Sequence[str] = ()
    root: Path = field(init=False)

    def __post_init__(self) -> None:
        require_root("containerd")
        self._containerd = program("containerd")
        self._ctr = program("ctr")
        # A socket's path may have 107 bytes, so this stays short.
        self.root = Path(tempfile.mkdtemp(prefix="ctrd-"))
        self._process = Process(self.root / "log")

    @property
    def socket(self) -> Path:
        """What `ctr --address` is given."""
        return self.root / "c.sock"

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def start(self) -> None:
        """It answers; after a stop with what it held."""
        config = self.root / "config.toml"
        config.write_text(self._configuration())
        self._process.start([*self.prefix, self._containerd, "--config", config], cwd=self.root)
        self._process.wait_until(self._ready, timeout_s=_START_S)

    def stop(self) -> None:
        """The process has ended; its content stays until the `with` block is left."""
        self._process.stop()

    def kill(self) -> None:
        """The process is gone, as after a power cut."""
        self._process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """It has ended, and its files are gone."""
        self.stop()
        unmount_below(self.root)
        shutil.rmtree(self.root)

    def run(
        self,
        *args: str | Path,
        namespace: str = "default",
        stdin: bytes | IO[bytes] | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """One `ctr` command, whatever its status; it has ended, or is killed after minutes."""
        given: dict[str, Any] = (
            {"input": stdin or b""} if isinstance(stdin, bytes | None) else {"stdin": stdin}
        )
        return subprocess.run(
            [self._ctr, "--address", self.socket, "--namespace", namespace, *args],
            **given,
            env=clean_environment() | {"CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS": "1"},
            capture_output=True,
            check=False,
            timeout=_COMMAND_S,
        )

    def ctr(
        self,
        *args: str | Path,
        namespace: str = "default",
        stdin: bytes | IO[bytes] | None = None,
    ) -> str:
        """What one `ctr` command printed.

        Raises:
            CtrFailed: its status was not 0.
        """
        ended = self.run(*args, namespace=namespace, stdin=stdin)
        if ended.returncode != 0:
            command = " ".join(str(part) for part in args)
            error = ended.stderr.decode(errors="replace")
            raise CtrFailed(f"ctr {command}: status {ended.returncode}\n{error}")
        return ended.stdout.decode()

    def images(self, namespace: str = "default") -> dict[str, str]:
        """The names of a namespace, each with the digest that it names."""
        rows = self.ctr("images", "ls", namespace=namespace).splitlines()[1:]
        return {row.split()[0]: row.split()[2] for row in rows}

    def blobs(self, namespace: str = "default") -> set[str]:
        """The digests of the content of a namespace."""
        return set(self.ctr("content", "ls", "-q", namespace=namespace).split())

    def read_blob(self, digest: str, namespace: str = "default") -> bytes:
        """The bytes of a blob, as the daemon hands them out."""
        ended = self.run("content", "get", digest, namespace=namespace)
        if ended.returncode != 0:
            raise CtrFailed(ended.stderr.decode(errors="replace"))
        return ended.stdout

    def path_of(self, digest: str) -> Path:
        """Where the blob is on disk."""
        algorithm, _, encoded = digest.partition(":")
        return self.root / "root/io.containerd.content.v1.content/blobs" / algorithm / encoded

    def damage_blob(self, digest: str) -> None:
        """One bit of the blob on disk is flipped, as a bad sector would."""
        path = self.path_of(digest)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o644)
        path.write_bytes(data)

    def import_archive(self, path: Path, namespace: str = "default") -> str:
        """Plain `ctr images import`, all platforms, not unpacked; with no help from imgsync."""
        return self.ctr(
            "images", "import", "--all-platforms", "--no-unpack", path, namespace=namespace
        )

    def name(self, source: str, name: str, namespace: str = "default") -> None:
        """Another name for an image, of whatever form; `images tag` of 2.x takes not all."""
        digest = self.images(namespace)[source]
        raw = self.read_blob(digest, namespace)
        root = {
            "mediaType": json.loads(raw)["mediaType"],
            "digest": digest,
            "size": len(raw),
            "annotations": {"io.containerd.image.name": name},
        }
        path = self.root / "name.tar"
        with tarfile.open(path, "w") as archive:
            for file, value in (
                ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
                ("index.json", {"schemaVersion": 2, "manifests": [root]}),
            ):
                data = json.dumps(value).encode()
                member = tarfile.TarInfo(file)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        self.import_archive(path, namespace)

    def collect_garbage(self, namespace: str = "default") -> None:
        """What nothing refers to is gone from the namespace, now."""
        lease = self.ctr("leases", "create", "--expires", "1m", namespace=namespace).strip()
        self.ctr("leases", "rm", "--sync", lease, namespace=namespace)

    def log(self) -> str:
        """Everything that the daemon has written."""
        return (self.root / "log").read_text(errors="replace")

    def _ready(self) -> bool:
        return accepts_unix(self.socket) and self.run("version").returncode == 0

    def _configuration(self) -> str:
        disabled = set(self.disabled)
        if not self.cri:
            disabled.add("io.containerd.grpc.v1.cri")
        names = ", ".join(f'"{name}"' for name in sorted(disabled))
        return f"""\
version = 2
root = "{self.root}/root"
state = "{self.root}/state"
disabled_plugins = [{names}]
imports = []

[plugins."io.containerd.nri.v1.nri"]
disable = true  # 2.x has one socket for all containerds of a machine

[grpc]
address = "{self.socket}"

[ttrpc]
address = "{self.root}/t.sock"

[plugins."io.containerd.internal.v1.opt"]
path = "{self.root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"
stream_server_port = "{free_port() if self.cri else 0}"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{self.snapshotter}"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{self.root}/cni/bin"
conf_dir = "{self.root}/cni/conf"

{self.settings}
"""
