"""Nodes of a cluster, as far as a seeding host sees them: sshd, a shell, ctr and containerd.

Each is a network namespace with an address of its own and a `/run` of its own; a bridge in one
more namespace, the hub, joins them, and a seeding host runs there. Nothing is added to the
machine's own network, and everything goes with the `with` block. Addresses are made up, other ones
for each `Nodes` (what runs on a node is locked by its address), and mean something within these
namespaces alone.
"""

import itertools
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.containerd import Containerd
from tests.servers.node_files import accounts, sshd_config, write_accounts
from tests.servers.process import Process, clean_environment
from tests.servers.programs import program, require, require_root

_PREFIX = 24
_START_S = 30.0
_numbers = itertools.count(1)


@dataclass(frozen=True)
class NodeOptions:
    """How one node is.

    Attributes:
        forwarding: whether its sshd lets ports be forwarded.
        disk_bytes: the size of the disk that containerd has; 0 is the machine's own.
        unreachable: nobody answers at its address.
        sudo: ``none``: the user is root; ``free``: a user who may become root without a password;
            ``password``: one who must give `PASSWORD`.
        containerd: whether containerd runs there.
        sshd: more lines of its sshd's configuration.
    """

    forwarding: bool = True
    disk_bytes: int = 0
    unreachable: bool = False
    sudo: str = "none"
    containerd: bool = True
    sshd: tuple[str, ...] = ()


class Node:
    """One host; `Nodes` makes them."""

    def __init__(self, namespace: str, address: str, folder: Path, options: NodeOptions) -> None:
        self.namespace = namespace
        self.address = address
        self.folder = folder
        self.options = options
        self.user = "root" if options.sudo == "none" else "operator"
        self.containerd = Containerd(prefix=("ip", "netns", "exec", namespace))
        self._sshd = Process(folder / "sshd.log")

    @property
    def target(self) -> str:
        """What `ssh` is given, and an inventory has."""
        return f"{self.user}@{self.address}"

    @property
    def log(self) -> str:
        """What its sshd has written."""
        return self._sshd.log.read_text(errors="replace")

    def start(self) -> None:
        """Its containerd and its sshd answer."""
        if self.options.disk_bytes:
            disk = self.containerd.root / "root"
            disk.mkdir(exist_ok=True)
            size = f"size={self.options.disk_bytes}"
            _run("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk))
        if self.options.containerd:
            self.containerd.start()
        if not self.options.unreachable:
            self.start_sshd()

    def start_sshd(self) -> None:
        """Its sshd listens; where `ctr` looks for containerd, it finds this node's."""
        mounts = [
            "mount -t tmpfs -o mode=755 tmpfs /run",
            "mount -t tmpfs tmpfs /dev/shm",
            "mkdir -p /run/sshd /run/containerd /run/lock /run/user",
            "install -d -m 700 -o 4242 -g 4242 /run/user/4242",
            f"ln -s {self.containerd.socket} /run/containerd/containerd.sock",
            "mount -t tmpfs tmpfs /etc/ssh",
            f"cp {self.folder}/host_key.pub /etc/ssh/ssh_host_ed25519_key.pub",
            *(f"mount --bind {path} /etc/{path.name}" for path in accounts(self.folder)),
            # sshd and sudo have a PATH of their own.
            f"mount --bind {program('ctr')} {program('ctr', of_system=True)}",
        ]
        command = f"{program('sshd')} -D -e -f {self.folder / 'sshd_config'}"
        script = " && ".join([*mounts, f"exec {command}"])
        self._sshd.start(
            ["ip", "netns", "exec", self.namespace, "sh", "-c", script], cwd=self.folder
        )
        self._sshd.wait_until(lambda: "Server listening" in self.log, timeout_s=_START_S)

    def kill_sshd(self) -> None:
        """Its sshd is gone, with every connection."""
        self._sshd.kill()
        # Its children have sessions of their own, and do not notice that nobody answers.
        _run("ip", "-n", self.namespace, "link", "set", "eth0", "down")

    def stop(self) -> None:
        """Nothing of it runs, sessions of its users included."""
        self._sshd.stop()
        listed = subprocess.run(
            ["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=True
        )
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        self.containerd.remove()


@dataclass
class Nodes:
    """Several nodes and the hub that reaches them; ``with Nodes(3) as nodes:``.

    Attributes:
        wanted: how many ordinary nodes, or how each one is.
    """

    wanted: int | Sequence[NodeOptions]
    nodes: list[Node] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        require_root("network namespaces")
        require("ip", "openssl", "sshd", "ssh", "ssh-keygen", "containerd", "ctr")
        if isinstance(self.wanted, int):
            self.wanted = [NodeOptions()] * self.wanted
        if any(options.sudo != "none" for options in self.wanted):
            require("sudo")
        self.folder = Path(tempfile.mkdtemp(prefix="nodes-"))
        self._network = f"10.{128 + secrets.randbelow(128)}.{secrets.randbelow(256)}"
        self._name = f"img-{os.getpid():x}-{next(_numbers)}{secrets.token_hex(2)}"
        self._stack = ExitStack()

    @property
    def hub_address(self) -> str:
        """Where nodes reach the hub."""
        return f"{self._network}.1"

    @property
    def hub(self) -> str:
        """The namespace of the host that reaches all nodes."""
        return f"{self._name}-hub"

    @contextmanager
    def agent(self, *, has_key: bool = True) -> Iterator[dict[str, str]]:
        """An environment with an agent of the operator's, which has the key of all nodes."""
        socket = self.folder / f"agent-{secrets.token_hex(4)}"
        env = clean_environment() | {"SSH_AUTH_SOCK": str(socket)}
        with subprocess.Popen(
            [program("ssh-agent"), "-D", "-a", str(socket)], stdout=subprocess.DEVNULL, env=env
        ) as agent:
            try:
                deadline = time.monotonic() + _START_S
                while not socket.exists() and time.monotonic() < deadline:
                    time.sleep(0.05)
                if has_key:
                    words = ["ssh-add", "-q", str(self.folder / "id")]
                    subprocess.run(words, check=True, env=env)
                yield env
            finally:
                agent.terminate()

    @property
    def ssh(self) -> str:
        """The command by which the nodes are reached: the words of an operator's own setup."""
        return f"ssh -F {self.folder / 'ssh_config'}"

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def inventory(self, *numbers: int) -> Path:
        """A list of hosts: of these nodes, or of all."""
        chosen = [self.nodes[number] for number in numbers] if numbers else self.nodes
        path = self.folder / f"hosts-{secrets.token_hex(4)}"
        path.write_text("# nodes\n" + "".join(f"{node.target}\n" for node in chosen))
        return path

    def command(self, *words: str | Path) -> list[str]:
        """A command as it is run on the hub."""
        return ["ip", "netns", "exec", self.hub, *(str(word) for word in words)]

    def imgsync(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`imgsync` on the hub, to its end, whatever its status."""
        return self.run(sys.executable, "-m", "imgsync", *words, env=env)

    def run(
        self, *words: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the hub, to its end, whatever its status."""
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, check=False, env=env, timeout=300
        )

    def on_node(self, number: int, command: str) -> str:
        """What a command prints that an operator types at a node's shell."""
        ran = self.run(*self.ssh.split(), self.nodes[number].target, command)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def _start(self) -> None:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._add_namespace(self.hub)
        _run("ip", "-n", self.hub, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", self.hub, "link", "set", "br0", "up")
        _run("ip", "-n", self.hub, "address", "add", f"{self.hub_address}/{_PREFIX}", "dev", "br0")
        _key(self.folder / "id")
        assert not isinstance(self.wanted, int)
        for number, options in enumerate(self.wanted):
            self.nodes.append(self._node(number, options))
        self._write_client_files()
        for node in self.nodes:
            self._stack.callback(node.stop)
        with ThreadPoolExecutor(8, "nodes") as pool:
            list(pool.map(Node.start, self.nodes))

    def _node(self, number: int, options: NodeOptions) -> Node:
        namespace, link = f"{self._name}-{number}", f"n{number}"
        address = f"{self._network}.{number + 2}"
        self._add_namespace(namespace)
        _run("ip", "-n", self.hub, "link", "add", link, "type", "veth", "peer", "name", "eth0",
             "netns", namespace)  # fmt: skip
        _run("ip", "-n", self.hub, "link", "set", link, "master", "br0", "up")
        _run("ip", "-n", namespace, "address", "add", f"{address}/{_PREFIX}", "dev", "eth0")
        if not options.unreachable:
            _run("ip", "-n", namespace, "link", "set", "eth0", "up")
        folder = self.folder / f"node-{number}"
        folder.mkdir()
        _key(folder / "host_key")
        shutil.copy(self.folder / "id.pub", folder / "authorized_keys")
        config = sshd_config(folder, address, forwarding=options.forwarding, more=options.sshd)
        (folder / "sshd_config").write_text(config)
        write_accounts(folder, options.sudo)
        return Node(namespace, address, folder, options)

    def _write_client_files(self) -> None:
        """What an operator has in `~/.ssh`; no test reads the real one."""
        known = [
            f"{node.address} {' '.join((node.folder / 'host_key.pub').read_text().split()[:2])}\n"
            for node in self.nodes
        ]
        (self.folder / "known_hosts").write_text("".join(known))
        (self.folder / "ssh_config").write_text(
            f"IdentityFile {self.folder / 'id'}\nIdentitiesOnly yes\nConnectTimeout 3\n"
            f"UserKnownHostsFile {self.folder / 'known_hosts'}\nStrictHostKeyChecking yes\n"
        )

    def _add_namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._stack.callback(_run, "ip", "netns", "delete", name)
        _run("ip", "-n", name, "link", "set", "lo", "up")


def _key(path: Path) -> None:
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path))


def _run(*words: str) -> None:
    ran = subprocess.run(
        words, capture_output=True, text=True, check=False, env=clean_environment()
    )
    if ran.returncode != 0:
        raise OSError(f"{' '.join(words)}: {ran.stderr.strip()}")


def targets(nodes: Iterable[Node]) -> list[str]:
    """How each is called in results."""
    return [node.target for node in nodes]
