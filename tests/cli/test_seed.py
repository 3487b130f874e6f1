"""`imgsync seed` as an operator runs it: over ssh, into nodes with containerd of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.run import imgsync
from tests.images import Images, sized_image
from tests.servers.node_files import PASSWORD
from tests.servers.nodes import Node, NodeOptions, Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Authority

pytestmark = pytest.mark.real

BIG, SMALL = "registry.example/sized/big:1", "registry.example/sized/small:1"
BOTH = ("linux/amd64", "linux/arm64")
LAYER_BYTES = 10_000_000
TO = ("--to", "harbor.example.com/site")


def _images() -> Images:
    images = sized_image(2, LAYER_BYTES, platforms=BOTH, name=BIG)
    small = sized_image(2, 50_000, platforms=BOTH, seed=1, name=SMALL)
    images.blobs.update(small.blobs)
    images.names.update(small.names)
    return images


IMAGES = _images()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return IMAGES.write_archive(tmp_path_factory.mktemp("seed") / "site.tar")


@pytest.fixture
def three() -> Iterator[Nodes]:
    with Nodes(3) as nodes:
        yield nodes


def _needs(name: str, platform: str) -> dict[str, int]:
    """What a node of this platform needs of an image: digests with sizes in bytes.

    The manifests of the others are a part of that: containerd wants to see them.
    """
    index = IMAGES.names[name]
    own = [
        child
        for child in IMAGES.children(index)
        if f"linux/{child['platform']['architecture']}" == platform
    ]
    return {
        item["digest"]: item["size"]
        for item in (index, *IMAGES.children(index), *IMAGES.closure(*own))
    }


ALL = _needs(BIG, "linux/amd64") | _needs(SMALL, "linux/amd64")


def _seed(nodes: Nodes, archive: Path, *more: str | Path, code: int = 0) -> dict[str, Any]:
    inventory = () if "-i" in more else ("-i", nodes.inventory())
    ran = nodes.imgsync(
        "seed", archive, *inventory, "--ssh", nodes.ssh, *TO, "--format", "json", *more
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    assert ran.returncode == code, ran.stderr
    return {node["node"]: node for node in json.loads(ran.stdout)["nodes"]}


def _has_all(node: Node) -> bool:
    node.containerd.collect_garbage("k8s.io")
    names = node.containerd.images("k8s.io")
    return (
        node.containerd.blobs("k8s.io") >= ALL.keys()
        and names["harbor.example.com/site/sized/big:1"] == IMAGES.names[BIG]["digest"]
        and names["harbor.example.com/site/sized/small:1"] == IMAGES.names[SMALL]["digest"]
    )


def test_each_node_gets_exactly_what_it_lacks(three: Nodes, archive: Path) -> None:
    empty, whole, broken = three.nodes
    for node in (whole, broken):
        node.containerd.import_archive(archive, "k8s.io")
    lost = IMAGES.children(IMAGES.children(IMAGES.names[BIG])[0])[1]["digest"]
    broken.containerd.ctr("content", "rm", lost, namespace="k8s.io")
    found = _seed(three, archive)
    assert {name: node["status"] for name, node in found.items()} == {
        node.target: "seeded" for node in three.nodes
    }
    assert {node["by"] for node in found.values()} == {"forwarded"}
    sent = {name: (node["lacked_bytes"], node["sent_bytes"]) for name, node in found.items()}
    assert sent == {
        empty.target: (sum(ALL.values()),) * 2,
        whole.target: (0, 0),
        broken.target: (ALL[lost],) * 2,
    }
    assert empty.containerd.blobs("k8s.io") == ALL.keys()
    assert all(_has_all(node) for node in three.nodes)
    again = _seed(three, archive)
    assert {(node["status"], node["sent_bytes"]) for node in again.values()} == {("unchanged", 0)}
    for number in range(3):
        assert "imgsync-" not in three.on_node(number, "ls -A /dev/shm /run $HOME")


BAD = {
    "unreachable": (NodeOptions(unreachable=True), "connect", 6),
    "without containerd": (NodeOptions(containerd=False), "containerd", 7),
    "full disk": (NodeOptions(disk_bytes=6_000_000), "are free on", 9),
    "full disk that nobody sees": (
        NodeOptions(disk_bytes=6_000_000),
        "no space left on device",
        9,
    ),
    "sudo wants a password": (NodeOptions(sudo="password"), "password is required", 5),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_node_stops_no_other(name: str, archive: Path) -> None:
    options, message, exit_code = BAD[name]
    with Nodes([NodeOptions(), options, NodeOptions()]) as nodes:
        if name == "full disk that nobody sees":
            nodes.on_node(1, "mount --bind /dev/null $(command -v df)")
        begun = time.monotonic()
        found = _seed(nodes, archive, "--become", code=3)
        assert time.monotonic() - begun < 60
        good, bad, other = (found[node.target] for node in nodes.nodes)
        assert (good["status"], bad["status"], other["status"]) == ("seeded", "failed", "seeded")
        assert message in json.dumps(bad)
        # Where only containerd can say it: 3 where the small image still had room.
        assert bad["exit_code"] in ((exit_code, 3) if "nobody" in name else (exit_code,))
        if name == "full disk":
            assert not nodes[1].containerd.blobs("k8s.io")
        assert _has_all(nodes[0])
        assert _has_all(nodes[2])
        limit = ("--limit", nodes[1].target)
        alone = _seed(nodes, archive, *limit, "--become", code=exit_code)
        assert list(alone) == [nodes[1].target]


def test_a_receipt_tells_of_every_node(archive: Path, tmp_path: Path) -> None:
    bundle, first, second = (tmp_path / name for name in ("site.tar", "1.json", "2.json"))
    imgsync("bundle", f"oci-archive:{archive}", "-o", bundle)
    keygen = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key")
    subprocess.run(keygen, check=True)
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "signers").write_text(f'far namespaces="imgsync-receipt" {public}')
    check = ("receipt", "check", "--lock", bundle, "--allowed-signers", tmp_path / "signers")
    with Nodes([NodeOptions(), NodeOptions(), NodeOptions(unreachable=True)]) as nodes:
        one, other, gone = nodes.nodes
        _seed(nodes, bundle, "--limit", one.target, "--image", "*/small:1")
        _seed(nodes, bundle, "--receipt", first, "--sign-key", tmp_path / "key", code=3)
        written = json.loads(first.read_bytes())
        reached = {node["node"]: node for node in written["nodes"]}
        small = _needs(SMALL, "linux/amd64")
        big = ALL.keys() - small.keys()
        assert reached[one.target]["had"] == {"objects": len(small), "bytes": sum(small.values())}
        assert reached[one.target]["sent"]["objects"] == len(big)
        assert reached[other.target]["sent"]["bytes"] == sum(ALL.values())
        assert (reached[gone.target]["status"], reached[gone.target]["sent"]["bytes"]) == (
            "failed",
            0,
        )
        said = {(image["node"], image["source"].partition("@")[0]): image["what"]
                for image in written["images"]}  # fmt: skip
        assert said == {
            (one.target, SMALL): "unchanged",
            (one.target, BIG): "imported",
            (other.target, SMALL): "imported",
            (other.target, BIG): "imported",
        }
        shown = imgsync(*check, first, code=10)
        assert f"not on {gone.target}" in shown.out
        assert "signed by far" in shown.out
        limit = ("--limit", f"!{gone.target}")
        _seed(nodes, bundle, *limit, "--receipt", second, "--sign-key", tmp_path / "key")
    assert "2 of 2 images arrived" in imgsync(*check, second).out


def test_where_forwarding_is_refused_a_stream_goes(archive: Path) -> None:
    with Nodes([NodeOptions(forwarding=False)]) as nodes:
        ran = nodes.imgsync("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, *TO)
        assert ran.returncode == 0, ran.stderr
        assert "forwards no port; sent as a stream instead" in ran.stderr
        assert "stream" in ran.stdout
        assert nodes[0].containerd.blobs("k8s.io") == ALL.keys()
        assert _has_all(nodes[0])


@pytest.mark.parametrize("sudo", ["free", "password"])
@pytest.mark.parametrize("carrier", ["loopback", "stream"])
def test_sudo(sudo: str, carrier: str, archive: Path) -> None:
    with Nodes([NodeOptions(sudo=sudo)]) as nodes:
        words = ("-m", "imgsync", "seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh)
        ask = "--become-password-stdin" if sudo == "password" else "--become"
        command = nodes.command(sys.executable, *words, *TO, "--carrier", carrier, ask)
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            out, err = process.communicate(f"{PASSWORD}\n".encode(), timeout=100)
        assert process.returncode == 0, err.decode()
        assert b"seeded" in out
        assert PASSWORD.encode() not in out + err
        assert _has_all(nodes[0])


def test_killed_half_way_and_again(archive: Path) -> None:
    with Nodes(2) as nodes:
        rate = ("--rate", f"{LAYER_BYTES}/s")
        words = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, *TO, *rate)
        command = nodes.command(sys.executable, "-m", "imgsync", *words)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as killed:
            time.sleep(3)
            killed.send_signal(signal.SIGKILL)
            killed.communicate()
        deadline = time.monotonic() + 20
        while "imgsync-" in nodes.on_node(0, "ls -A /dev/shm"):
            assert time.monotonic() < deadline, "the node's folder is still there"
            time.sleep(0.1)
        assert not any(name.endswith("/big:1") for name in nodes[0].containerd.images("k8s.io")), (
            "nothing half has a name"
        )
        found = _seed(nodes, archive)
        assert {node["status"] for node in found.values()} == {"seeded"}
        assert all(_has_all(node) for node in nodes.nodes)


def test_interrupted(archive: Path) -> None:
    with Nodes(2) as nodes:
        rate = ("--rate", f"{LAYER_BYTES // 5}/s")
        words = ("seed", archive, "-i", nodes.inventory(), "--ssh", nodes.ssh, *TO, *rate)
        command = nodes.command(sys.executable, "-m", "imgsync", *words)
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            time.sleep(3)
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err.decode()
        assert time.monotonic() - begun < 20
        assert b"Traceback" not in err
        assert "imgsync-" not in nodes.on_node(0, "ls -A /dev/shm")


def test_a_node_that_goes_away_meanwhile(archive: Path) -> None:
    with Nodes(2) as nodes:
        rate = ("--rate", f"{LAYER_BYTES}/s")
        options = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2")
        ssh = " ".join((nodes.ssh, *options))
        words = ("seed", archive, "-i", nodes.inventory(), "--ssh", ssh, *TO, *rate)
        command = nodes.command(sys.executable, "-m", "imgsync", *words)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(3)
            nodes[1].kill_sshd()
            out, err = process.communicate(timeout=100)
        assert process.returncode == 3, err.decode()
        assert b"failed" in out
        assert nodes[1].target.encode() in err
        assert _has_all(nodes[0])


def test_nodes_fetch_directly_where_the_network_is_trusted(
    three: Nodes, archive: Path, authority: Authority
) -> None:
    certificate = authority.issue(three.hub_address)
    tls = ("--tls-cert", certificate.certificate, "--tls-key", certificate.key)
    found = _seed(
        three, archive, "--listen", f"{three.hub_address}:0", *tls, "--carrier", "loopback"
    )
    assert {(node["by"], node["status"]) for node in found.values()} == {("direct", "seeded")}
    assert all(_has_all(node) for node in three.nodes)
    # What was fetched says where it can be had, which is how Spegel finds it.
    listed = three[0].containerd.ctr("content", "ls", namespace="k8s.io")
    own = IMAGES.children(IMAGES.children(IMAGES.names[BIG])[0])
    for digest in (IMAGES.names[BIG]["digest"], *(item["digest"] for item in own)):
        (line,) = (line for line in listed.splitlines() if line.startswith(digest))
        assert "containerd.io/distribution.source.harbor.example.com=" in line


def test_all_platforms_where_they_are_asked_for(archive: Path) -> None:
    with Nodes(1) as nodes:
        _seed(nodes, archive, "--platform", "all", "--image", "*/small:1")
        assert nodes[0].containerd.blobs("k8s.io") == IMAGES.digests(SMALL)


def test_the_rate_is_that_of_all_nodes_together(three: Nodes, archive: Path) -> None:
    begun = time.monotonic()
    rate = ("--rate", "100K/s", "--image", "*/small:1")
    found = _seed(three, archive, *rate)
    sent = sum(node["sent_bytes"] for node in found.values())
    assert sent == 3 * sum(_needs(SMALL, "linux/amd64").values())
    assert time.monotonic() - begun >= sent / (100 * 1024) * 0.9
