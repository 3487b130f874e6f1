"""The role `imgsync_import`, run by ansible-core against nodes that it reaches by ssh."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.fleet.host import Become
from imgsync.fleet.inventory import read_inventory
from tests.images import Images, sized_image
from tests.servers.node_files import PASSWORD
from tests.servers.nodes import NodeOptions, Nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.real

ROLES = Path(__file__).parents[2] / "ansible" / "roles"
BIN = Path(sys.executable).parent
APP = "registry.example/team/app:1"
PLAYBOOK = [
    {
        "hosts": "nodes",
        "gather_facts": False,
        "roles": [{"role": "imgsync_import"}],
    }
]


@pytest.fixture(scope="module")
def images() -> Images:
    return sized_image(2, 50_000, platforms=("linux/amd64", "linux/arm64"), name=APP)


def _inventory(nodes: Nodes, folder: Path, variables: Mapping[str, Any]) -> Path:
    """An inventory as an operator has it, with everything that leads to the nodes."""
    hosts = {
        f"node{number}": {"ansible_host": node.address, "ansible_user": node.user}
        | (
            {"ansible_become": True, "ansible_become_password": PASSWORD}
            if node.options.sudo == "password"
            else {}
        )
        for number, node in enumerate(nodes.nodes)
    }
    config = nodes.folder / "ssh_config"
    common = {"ansible_connection": "ssh", "ansible_ssh_common_args": f"-F {config}"}
    path = folder / "inventory.yml"
    path.write_text(json.dumps({"nodes": {"hosts": hosts, "vars": {**common, **variables}}}))
    return path


def _play(
    nodes: Nodes, inventory: Path, folder: Path, *more: str
) -> tuple[dict[str, dict[str, int]], subprocess.CompletedProcess[str]]:
    """Run the playbook on the hub; gives Ansible's own statistics of each node."""
    playbook = folder / "site.yml"
    playbook.write_text(json.dumps(PLAYBOOK))
    env = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_ROLES_PATH": str(ROLES),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "LC_ALL": "C.UTF-8",
    }
    ran = nodes.run(BIN / "ansible-playbook", "-i", inventory, playbook, *more, env=env)
    _, _, recap = ran.stdout.partition("PLAY RECAP")
    stats = {
        line.split()[0]: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
        for line in recap.splitlines()
        if "changed=" in line
    }
    assert stats, ran.stdout + ran.stderr
    return stats, ran


@pytest.fixture
def variables(images: Images, tmp_path: Path) -> dict[str, Any]:
    return {
        "imgsync_source": str(images.write_archive(tmp_path / "site.tar")),
        "imgsync_command": str(BIN / "imgsync"),
        "imgsync_to": "harbor.example.com/site",
    }


def test_nodes_are_seeded_and_the_second_time_nothing_changes(
    images: Images, variables: dict[str, Any], tmp_path: Path
) -> None:
    with Nodes([NodeOptions(), NodeOptions(sudo="password"), NodeOptions()]) as nodes:
        inventory = _inventory(nodes, tmp_path, variables)
        stats, ran = _play(nodes, inventory, tmp_path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert PASSWORD not in ran.stdout + ran.stderr
        assert [node["changed"] for node in stats.values()] == [1, 1, 1]
        for node in nodes.nodes:
            names = node.containerd.images("k8s.io")
            assert names["harbor.example.com/site/team/app:1"] == images.names[APP]["digest"]
        stats, ran = _play(nodes, inventory, tmp_path, "--forks", "2")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert [node["changed"] for node in stats.values()] == [0, 0, 0]


def test_one_bad_node_stops_no_other_and_limit_is_ansible_s(
    variables: dict[str, Any], tmp_path: Path
) -> None:
    with Nodes([NodeOptions(), NodeOptions(containerd=False)]) as nodes:
        inventory = _inventory(nodes, tmp_path, variables)
        stats, ran = _play(nodes, inventory, tmp_path)
        assert ran.returncode == 2
        assert stats["node0"]["changed"] == 1
        assert stats["node1"]["failed"] == 1
        stats, ran = _play(nodes, inventory, tmp_path, "--limit", "node0")
        assert ran.returncode == 0, ran.stdout
        assert list(stats) == ["node0"]


def test_imgsync_on_the_node(images: Images, variables: dict[str, Any], tmp_path: Path) -> None:
    with Nodes([NodeOptions()]) as nodes:
        inventory = _inventory(nodes, tmp_path, variables | {"imgsync_by": "node"})
        for changed in (1, 0):
            stats, ran = _play(nodes, inventory, tmp_path)
            assert ran.returncode == 0, ran.stdout
            assert stats["node0"]["changed"] == changed
        assert images.names[APP]["digest"] in nodes[0].containerd.images("k8s.io").values()


def test_seed_reads_an_ansible_inventory(
    variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    with Nodes([NodeOptions(), NodeOptions(sudo="password")]) as nodes:
        inventory = _inventory(nodes, tmp_path, {})
        first, second = read_inventory(str(inventory))
        assert (first.label, first.name, first.become) == ("node0", nodes[0].address, None)
        assert second.become == Become(PASSWORD)
        assert PASSWORD not in repr(second)
        ran = nodes.imgsync("seed", variables["imgsync_source"], "-i", inventory)
        assert ran.returncode == 0, ran.stderr
        assert "node1" in ran.stdout
        assert PASSWORD not in ran.stdout + ran.stderr
