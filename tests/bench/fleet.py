"""`make fleet`: twenty nodes that begin in different states are seeded, proved, and seeded again.

Writes `docs/fleet.md`. Needs root, OpenSSH, iproute2 and containerd; some minutes, and two
gigabytes in the temporary folder.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.images import Images, sized_image
from tests.servers.nodes import Node, NodeOptions, Nodes

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
TO = ("--to", "harbor.example.com/site")
BOTH = ("linux/amd64", "linux/arm64")
SIZES = (
    ("big", 4, 6_000_000),
    ("middle", 3, 1_500_000),
    *((f"small{n}", 2, 60_000) for n in range(8)),
)
HALF_S = 9.0
"""How long the run lasts that is killed; at its rate it would take a half longer."""

STATES = {
    "empty": 8,
    "whole": 4,
    "one broken image": 3,
    "killed half-way": 2,
    "no forwarding": 1,
    "full disk": 1,
    "unreachable": 1,
}
FAILING = ("full disk", "unreachable")

TEXT = """\
# Twenty nodes

What `make fleet` found. Each node is a network namespace with its own sshd and containerd \
({version}), all on one machine with {cores} cores ({machine}), so the times say more of that \
machine than of a network. The bundle has {n_images} images of two platforms, {size} in all; every \
node wants one of the platforms. What a node lacked and what was sent to it are counted apart: the \
one before anything moves, by what containerd says that it has, the other as bytes pass.

| node begins | seeded by | lacked | sent | seconds | proved by `check --hash` | sent again |
|---|---|---|---|---|---|---|
{rows}

- The first run took {first_s:.1f} s for all nodes at once (`-j 20`) and sent {sent}. The whole \
archive into each of the {n_good} nodes that can take it would have been {plain}.
- To read and hash everything on all nodes from here (`check -i --hash`) took {proof_s:.1f} s.
- The same command again took {again_s:.1f} s. It sent nothing to any node that was right, and \
tried the two others once more.
- Both runs end with 3, because a full disk and a node that is not there cannot be seeded.
- The nodes of the run that was killed with `kill -9` keep what had arrived whole; it is not sent \
again.

## Behind a thin line

{n_thin} empty nodes get the same bundle over a line of 10 MB/s (`--rate 10MB/s`, `-j 20`): \
once all of them from this host, once with `--relay 2`. All are proved by `check --hash` after that.

| | left this host | from node to node | seconds |
|---|---|---|---|
{thin}
"""

N_THIN = 12


def make_images() -> Images:
    """Ten images of two platforms."""
    images = Images()
    for seed, (name, n_layers, layer_bytes) in enumerate(SIZES):
        one = sized_image(
            n_layers,
            layer_bytes,
            platforms=BOTH,
            seed=seed,
            name=f"registry.example/fleet/{name}:1",
        )
        images.blobs.update(one.blobs)
        images.names.update(one.names)
    return images


class Run:
    """One run of the fleet."""

    def __init__(self, nodes: Nodes, states: list[str], folder: Path) -> None:
        self.nodes = nodes
        self.states = dict(zip([node.target for node in nodes.nodes], states, strict=True))
        self.images = make_images()
        self.archive = self.images.write_archive(folder / "site.tar")
        self.bundle = folder / "bundle.tar"
        self._imgsync("bundle", f"oci-archive:{self.archive}", "-o", self.bundle)

    def of(self, state: str) -> list[Node]:
        """The nodes that begin in this state."""
        return [node for node in self.nodes.nodes if self.states[node.target] == state]

    def prepare(self) -> None:
        """Bring the nodes into their states, without imgsync where it is not the point."""
        for node in self.of("whole") + self.of("one broken image"):
            node.containerd.import_archive(self.archive, "k8s.io")
        amd64 = self.images.children(self.images.names["registry.example/fleet/big:1"])[0]
        for node in self.of("one broken image"):
            lost = self.images.children(amd64)[1]["digest"]
            node.containerd.ctr("content", "rm", lost, namespace="k8s.io")
        half = [self.nodes.nodes.index(node) for node in self.of("killed half-way")]
        size = sum(item["size"] for item in self.images.closure(amd64))
        rate = f"{int(len(half) * size / HALF_S / 1.5)}"
        words = ("seed", self.bundle, "-i", self.nodes.inventory(*half), *TO, "--rate", rate)
        command = self.nodes.command(sys.executable, "-m", "imgsync", *words, *self._ssh())
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            time.sleep(HALF_S)
            os.kill(process.pid, signal.SIGKILL)

    def seed(self, *more: str) -> tuple[dict[str, Any], float, int]:
        """Seed all; gives the result, the seconds, and the exit code."""
        begun = time.monotonic()
        words: list[str | Path] = ["seed", self.bundle, "-i", self.nodes.inventory(), *TO]
        words += ["-j", "20", *more]
        with self.nodes.agent() as env:
            ran = self._imgsync(
                *words, "--format", "json", *self._ssh(), code=None, env={**os.environ, **env}
            )
        seconds = time.monotonic() - begun
        return json.loads(ran.stdout), seconds, ran.returncode

    def check(self) -> tuple[dict[str, Any], float]:
        """Compare all with the lock, every byte read."""
        begun = time.monotonic()
        lock = f"{self.bundle}.lock.json"
        words = ("check", "-i", self.nodes.inventory(), "--lock", lock, *TO, "--hash", "-j", "20")
        ran = self._imgsync(*words, "--format", "json", *self._ssh(), code=None)
        return json.loads(ran.stdout), time.monotonic() - begun

    def _ssh(self) -> tuple[str, str]:
        return ("--ssh", self.nodes.ssh)

    def _imgsync(
        self, *words: str | Path, code: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        ran = self.nodes.imgsync(*words, env=env)
        if "Traceback" in ran.stderr or code not in (None, ran.returncode):
            sys.exit(ran.stderr)
        return ran


def thin_line(*more: str) -> str:
    """A row of the second table: empty nodes, at a rate."""
    with tempfile.TemporaryDirectory() as folder, Nodes(N_THIN) as nodes:
        run = Run(nodes, ["empty"] * N_THIN, Path(folder))
        found, seconds, code = run.seed("--rate", "10MB/s", *more)
        proof, _ = run.check()
    if code or not all(node["right"] for node in proof["nodes"]):
        sys.exit(f"not as promised: {found}")
    relayed = sum(node.get("relayed_bytes", 0) for node in found["nodes"])
    label = f"`{' '.join(more)}`" if more else "all from this host"
    return f"| {label} | {_mb(found['sent_bytes'])} | {_mb(relayed)} | {seconds:.1f} |"


def measure(run: Run, thin: list[str]) -> str:
    """Everything, as the page."""
    run.prepare()
    first, first_s, first_code = run.seed()
    proof, proof_s = run.check()
    again, again_s, again_code = run.seed()
    sent_again = {node["node"]: node["sent_bytes"] for node in again["nodes"]}
    right = {node["node"]: node["right"] for node in proof["nodes"]}
    rows = [_row(run, node, sent_again, right) for node in first["nodes"]]
    good = [node for node in first["nodes"] if run.states[node["node"]] not in FAILING]
    problems = [
        node["node"]
        for node in good
        if not right[node["node"]]
        or node["sent_bytes"] != node["lacked_bytes"]
        or sent_again[node["node"]]
    ]
    if problems or (first_code, again_code) != (3, 3):
        sys.exit(f"not as promised: {problems}, exit codes {first_code} and {again_code}")
    whole = run.archive.stat().st_size
    version = run.nodes[0].containerd.ctr("--version").split()[2]
    return TEXT.format(
        version=version,
        cores=os.cpu_count(),
        machine=platform.machine(),
        n_images=len(SIZES),
        size=_mb(whole),
        rows="\n".join(rows),
        first_s=first_s,
        sent=_mb(first["sent_bytes"]),
        n_good=len(good),
        plain=_mb(whole * len(good)),
        proof_s=proof_s,
        again_s=again_s,
        n_thin=N_THIN,
        thin="\n".join(thin),
    )


def _row(run: Run, node: dict[str, Any], sent_again: dict[str, int], right: dict[str, bool]) -> str:
    name = node["node"]
    is_good = run.states[name] not in FAILING
    cells = (
        run.states[name],
        node["by"] or "-",
        f"{node['lacked_bytes']:,}" if node["by"] else "-",
        f"{node['sent_bytes']:,}",
        f"{node['seconds']:.1f}",
        "right" if right[name] else "no",
        f"{sent_again[name]:,}" if is_good else "fails again",
    )
    return f"| {' | '.join(cells)} |"


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"


def main() -> None:
    """Measure, and write the page."""
    kinds = {
        "no forwarding": NodeOptions(forwarding=False),
        "full disk": NodeOptions(disk_bytes=10_000_000),
        "unreachable": NodeOptions(unreachable=True),
    }
    states = [state for state, count in STATES.items() for _ in range(count)]
    options = [kinds.get(state, NodeOptions()) for state in states]
    thin = [thin_line(), thin_line("--relay", "2")]
    with tempfile.TemporaryDirectory() as folder, Nodes(options) as nodes:
        text = measure(Run(nodes, states, Path(folder)), thin)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{PAGE} written")


if __name__ == "__main__":
    main()
