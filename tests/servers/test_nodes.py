"""The nodes that seeding is tested with are what they claim to be."""

import pytest

from tests.servers.node_files import PASSWORD
from tests.servers.nodes import NodeOptions, Nodes

pytestmark = pytest.mark.real


def test_nodes_are_apart_and_reached_by_ssh() -> None:
    with Nodes([NodeOptions(), NodeOptions(sudo="free"), NodeOptions(sudo="password")]) as nodes:
        assert "namespaces" in nodes.on_node(0, "ctr --help")
        assert nodes.on_node(0, "id -un") == "root\n"
        assert "Server:" in nodes.on_node(0, "ctr version")
        assert nodes.on_node(1, "id -un; sudo -n id -un") == "operator\nroot\n"
        given = f"printf '%s\\n' \"{PASSWORD.replace('$', chr(92) + '$')}\""
        assert nodes.on_node(2, f"{given} | sudo -k -S -p '' id -un") == "root\n"
        namespaces = {nodes.on_node(number, "readlink /proc/self/ns/net") for number in range(3)}
        assert len(namespaces) == 3
        nodes[0].containerd.ctr("namespaces", "create", "only-here")
        assert "only-here" in nodes.on_node(0, "ctr namespaces ls -q")
        assert "only-here" not in nodes.on_node(1, "sudo ctr namespaces ls -q")


def test_a_node_that_is_not_there_and_one_with_a_small_disk() -> None:
    with Nodes([NodeOptions(unreachable=True), NodeOptions(disk_bytes=2**24)]) as nodes:
        assert nodes.run(*nodes.ssh.split(), nodes[0].target, "true").returncode == 255
        size = nodes.on_node(1, f"df -B1 --output=size {nodes[1].containerd.root}/root | tail -1")
        assert int(size) == 2**24
