"""`imgsync seed --relay`: nodes that are done serve others, from containerd to containerd."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import Images, sized_image
from tests.servers.nodes import NodeOptions, Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.nodes import Node

pytestmark = pytest.mark.real

LAYER_BYTES = 700_000


class Site:
    """A bundle that no other test has brought to the nodes, and what a node needs of it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.name = f"registry.example/team/app{seed}:1"
        self.images: Images = sized_image(
            3, LAYER_BYTES, platforms=("linux/amd64", "linux/arm64"), seed=seed, name=self.name
        )
        self.archive = self.images.write_archive(folder / "site.tar")
        self.root = self.images.names[self.name]
        own, other = self.images.children(self.root)
        items = (self.root, other, *self.images.closure(own))
        self.needed = {item["digest"]: item["size"] for item in items}
        self.layer = self.images.children(own)[1]["digest"]

    @property
    def n_bytes(self) -> int:
        return sum(self.needed.values())

    def is_on(self, node: Node) -> bool:
        node.containerd.collect_garbage("k8s.io")
        return (
            node.containerd.blobs("k8s.io") >= self.needed.keys()
            and node.containerd.images("k8s.io").get(self.name) == self.root["digest"]
        )


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with Nodes(3) as nodes:
        yield nodes


@pytest.fixture
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    return Site(tmp_path, seed=zlib.crc32(request.node.name.encode()))


def _seed(
    nodes: Nodes, site: Site, *more: str, agent: bool = True, code: int = 0
) -> tuple[list[dict[str, Any]], str]:
    words = ("seed", site.archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, "--relay", "1")
    with nodes.agent(has_key=agent) as env:
        ran = nodes.imgsync(*words, "--format", "json", *more, env=env)
    assert "Traceback" not in ran.stderr, ran.stderr
    assert ran.returncode == code, ran.stderr
    found = json.loads(ran.stdout)["nodes"]
    seeded = {item["node"] for item in found}
    assert all(site.is_on(node) for node in nodes.nodes if node.target in seeded)
    return found, ran.stderr


def test_content_leaves_this_host_once(nodes: Nodes, site: Site, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    first, *others = _seed(nodes, site, "-j", "1", "--receipt", str(receipt))[0]
    assert (first["status"], first["by"], first["sent_bytes"]) == (
        "seeded",
        "forwarded",
        site.n_bytes,
    )
    for item in others:
        assert (item["status"], item["by"], item["sent_bytes"]) == ("seeded", "relayed", 0)
        assert item["lacked_bytes"] == item["relayed_bytes"] == site.n_bytes
    assert [item["peer"] for item in others] == [nodes[0].target] * 2
    told = json.loads(receipt.read_text())
    assert told["sent"]["bytes"] == site.n_bytes
    assert [item["sent"]["bytes"] for item in told["nodes"]] == [site.n_bytes] * 3
    assert [item.get("peer") for item in told["nodes"]] == [None, *[nodes[0].target] * 2]
    for number in range(3):
        assert not nodes.on_node(number, "ls -A /dev/shm")
    again, _ = _seed(nodes, site)
    assert {(item["status"], item["sent_bytes"]) for item in again} == {("unchanged", 0)}
    assert not any("peer" in item for item in again)


def test_without_the_key_everything_comes_from_here(nodes: Nodes, site: Site) -> None:
    found, err = _seed(nodes, site, "-j", "1", agent=False)
    assert {item["sent_bytes"] for item in found} == {site.n_bytes}
    assert not any("peer" in item for item in found)
    first, second = (line for line in err.splitlines() if "could not send" in line)
    assert first.startswith(f"{nodes[1].target}: warning: {nodes[0].target} could not send: ")
    assert second.startswith(f"{nodes[2].target}: warning: {nodes[1].target} could not send: ")
    assert "Permission denied" in first
    assert first.endswith("sent from here instead")


@pytest.mark.parametrize("damage", ["a bit", "the end"])
def test_what_a_peer_has_damaged_comes_from_here(damage: str, nodes: Nodes, site: Site) -> None:
    nodes[0].containerd.import_archive(site.archive, "k8s.io")
    path = nodes[0].containerd.path_of(site.layer)
    data = path.read_bytes()
    path.write_bytes(data[:-1000] if damage == "the end" else b"\0" + data[1:])
    nodes[0].containerd.collect_garbage("k8s.io")
    found, _ = _seed(nodes, site, "-j", "1", "--limit", f"!{nodes[2].target}")
    assert found[0]["sent_bytes"] == 0
    assert found[1]["sent_bytes"] >= site.needed[site.layer]
    assert nodes[1].containerd.path_of(site.layer).read_bytes() == site.images.blobs[site.layer]


def test_a_full_disk_is_no_fault_of_the_peer(site: Site) -> None:
    with Nodes([NodeOptions(), NodeOptions(disk_bytes=1_000_000), NodeOptions()]) as nodes:
        words = ("seed", site.archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, "-j", "1")
        with nodes.agent() as env:
            ran = nodes.imgsync(*words, "--relay", "1", "--format", "json", env=env)
        assert ran.returncode == 3, ran.stderr
        found = json.loads(ran.stdout)["nodes"]
        assert [item["status"] for item in found] == ["seeded", "failed", "seeded"]
        assert found[1]["exit_code"] == 9
        assert found[1]["sent_bytes"] == 0
        assert found[2]["peer"] == nodes[0].target


def test_through_sudo(site: Site) -> None:
    with Nodes([NodeOptions(sudo="free")] * 2) as nodes:
        found, _ = _seed(nodes, site, "-j", "1", "--become")
        assert [item["by"] for item in found] == ["forwarded", "relayed"]
