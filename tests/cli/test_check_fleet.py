"""`imgsync check -i`: what is told of nodes whose state is known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.run import imgsync
from tests.images import Images, sized_image
from tests.servers.nodes import NodeOptions, Nodes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

ONE, TWO = "registry.example/team/one:1", "registry.example/team/two:1"
TO = ("--to", "harbor.example.com/site")


def _images() -> Images:
    images = sized_image(1, 10_000, name=ONE)
    other = sized_image(1, 10_000, name=TWO, seed=1)
    images.blobs.update(other.blobs)
    images.names.update(other.names)
    return images


def test_a_matrix_of_nodes_and_images(tmp_path: Path) -> None:
    images = _images()
    archive = images.write_archive(tmp_path / "site.tar")
    bundle = tmp_path / "bundle.tar"
    imgsync("bundle", f"oci-archive:{archive}", "-o", bundle)
    unreachable = NodeOptions(unreachable=True)
    with Nodes([NodeOptions(), NodeOptions(), NodeOptions(), unreachable]) as nodes:
        whole, damaged, wrong, gone = nodes.nodes
        ssh = ("--ssh", nodes.ssh)
        first = nodes.inventory(0, 1)
        ran = nodes.imgsync("seed", bundle, "-i", first, *TO, *ssh)
        assert ran.returncode == 0, ran.stderr
        layer = images.children(images.names[ONE])[1]["digest"]
        damaged.containerd.damage_blob(layer)
        wrong.containerd.import_archive(archive, "k8s.io")
        words = ("-i", nodes.inventory(), "--lock", f"{bundle}.lock.json", *ssh, *TO)
        ran = nodes.imgsync("check", *words, "--hash", "--format", "json")
        assert ran.returncode == 3, ran.stderr
        found = {node["node"]: node for node in json.loads(ran.stdout)["nodes"]}
        verdicts = {
            name: [image["verdict"] for image in node["images"]] for name, node in found.items()
        }
        assert verdicts == {
            whole.target: ["right", "right"],
            damaged.target: ["damaged", "right"],
            wrong.target: ["wrong name", "wrong name"],
            gone.target: [],
        }
        assert found[gone.target]["verdict"] == "unreachable"
        assert found[damaged.target]["images"][0]["missing"] == [layer]
        text = nodes.imgsync("check", *words)
        assert "one:1" in text.stdout.splitlines()[0]
        assert "2 of 4 nodes are right, of 2 images each" in text.stdout
        assert gone.target in text.stderr
        good = nodes.imgsync("check", *words, "--limit", whole.target)
        assert good.returncode == 0, good.stderr
        both = nodes.imgsync("check", *words, "--html", tmp_path / "fleet.html", "--format", "json")
    alone = (tmp_path / "fleet.html").read_text()
    assert f"{gone.target}: unreachable" in alone
    (tmp_path / "check.json").write_text(both.stdout)
    fleet = ("--fleet", tmp_path / "check.json")
    imgsync("report", bundle, "-o", tmp_path / "site.html", *fleet)
    page = (tmp_path / "site.html").read_text()
    assert "2 of 4" in page
    assert f"{gone.target}: unreachable" in page
    imgsync("report", bundle, "-o", tmp_path / "site.json", *fleet)
    told = json.loads((tmp_path / "site.json").read_bytes())
    assert told["fleet"] == json.loads(both.stdout)
    other = tmp_path / "other.tar"
    first = images.write_archive(tmp_path / "first.tar", [ONE])
    imgsync("bundle", f"oci-archive:{first}", "-o", other)
    ran_other = imgsync("report", other, "-o", tmp_path / "no.html", *fleet, code=2)
    assert "compares nodes with another lock" in ran_other.err
    assert "no place" in imgsync("report", bundle, "-o", "x.csv", *fleet, code=2).err


def test_a_lock_is_needed() -> None:
    ran = imgsync("check", "-i", "host1,host2", code=2)
    assert "--lock" in ran.err


def test_a_page_is_about_many_nodes() -> None:
    assert "-i FILE" in imgsync("check", "--html", "x.html", code=2).err
