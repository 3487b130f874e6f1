"""`imgsync check` as a user runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.run import imgsync
from tests.images import Images

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd

pytestmark = pytest.mark.real

NAMES = [f"registry.example/team/app{number}:1" for number in range(5)]


@pytest.fixture
def node(containerd: Containerd, namespace: str) -> list[str]:
    return ["--address", str(containerd.socket), "-n", namespace]


@pytest.fixture
def images(namespace: str) -> Images:
    images = Images()
    for name in NAMES:
        children = [
            images.image([images.layer({"n": f"{name} {platform} {namespace}".encode()})])
            if platform == "linux/amd64"
            else images.image([images.layer({"m": name.encode()})], platform=platform)
            for platform in ("linux/amd64", "linux/arm64")
        ]
        images.name(name, images.index(children))
    return images


@pytest.fixture
def bundle(images: Images, tmp_path: Path) -> Path:
    archive = images.write_archive(tmp_path / "all.tar")
    imgsync("bundle", f"oci-archive:{archive}", "-o", tmp_path / "site.tar")
    return tmp_path / "site.tar"


def test_a_node_and_a_lock(
    bundle: Path,
    node: list[str],
    containerd: Containerd,
    namespace: str,
    images: Images,
) -> None:
    lock = ["--lock", f"{bundle}.lock.json", "--to", "h.example/x"]
    nothing = imgsync("check", *node, *lock, code=4)
    assert nothing.out.count("missing") == len(NAMES)
    imgsync("import", bundle, *node, "--to", "h.example/x")
    assert imgsync("check", *node, "--require", "whole").out.count("runs here, whole") == len(NAMES)
    assert imgsync("check", *node, *lock, "--require", "whole").out.count("right") >= len(NAMES)
    new = [f"h.example/x/team/app{number}:1" for number in range(5)]
    roots = [images.names[name]["digest"] for name in NAMES]
    # app0 stays; app1 is damaged, app2 loses its name, app3 means app4, app4 goes altogether.
    layer = images.children(images.children(images.names[NAMES[1]])[0])[1]["digest"]
    containerd.damage_blob(layer)
    containerd.ctr("images", "tag", new[2], "other.example/app:2", namespace=namespace)
    containerd.ctr("images", "tag", "--force", new[4], new[3], namespace=namespace)
    gone = [new[2], f"h.example/x/team/app2@{roots[2]}", new[4]]
    containerd.ctr("images", "rm", *gone, namespace=namespace)
    told = imgsync("check", *node, *lock, "--hash", "--format", "json", code=4).json
    verdicts = {image["name"]: image["verdict"] for image in told["images"]}
    assert verdicts == dict(
        zip(new, ["right", "damaged", "wrong name", "other content", "wrong name"], strict=True)
    )
    text = imgsync("check", *node, *lock, "--hash", code=4)
    assert "it is called other.example/app:2" in text.out
    assert "2 are right" not in text.out
    assert "4 of 5 images" in text.err
    plain = imgsync("check", *node, "--hash", code=4)
    assert f"damaged: {layer}" in plain.out
    assert "no-digest-twin" in plain.out
    whole = imgsync("check", *node, "--format", "json").json
    assert {image["runs_here"] for image in whole["images"]} == {True}
    assert whole["kubelet"] is None


def test_what_plain_ctr_left(
    bundle: Path, node: list[str], containerd: Containerd, namespace: str
) -> None:
    containerd.ctr("images", "import", "--no-unpack", bundle, namespace=namespace)
    containerd.collect_garbage(namespace)
    ran = imgsync("check", *node)
    assert ran.out.count("runs here, partial") == len(NAMES)
    assert f"{NAMES[0]}: not brought: linux/arm64" in ran.out
    assert "0 are whole" in ran.out
    imgsync("check", *node, "--require", "whole", code=4)
    lock = imgsync("check", *node, "--lock", f"{bundle}.lock.json")
    assert lock.out.count("lacks") == len(NAMES)


def test_a_namespace_that_is_not_there(node: list[str]) -> None:
    ran = imgsync("check", *node[:-1], "k8s.oi")
    assert "containerd has no namespace k8s.oi" in ran.err


def test_a_lock_that_is_none(node: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    imgsync("check", *node, "--lock", tmp_path / "x.json", code=2)
    imgsync("check", *node, "--lock", tmp_path / "nowhere.json", code=2)
