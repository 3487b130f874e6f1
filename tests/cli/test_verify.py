"""The command verify: what it prints, and its exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from imgsync.cli import main
from imgsync.cli.host import host_platform
from tests.bundles import write_bundle
from tests.images import Images, digest_of
from tests.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

APP = "registry.example/team/app:1"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def images() -> Images:
    """An image of this host's platform and of another, and a second image."""
    images = Images()
    base = images.layer({"base": b"base"})
    host = str(host_platform())
    children = [
        images.image([base, images.layer({"own": name.encode()})], platform=name, entrypoint=name)
        for name in (host, "linux/s390x")
    ]
    images.name(APP, images.index(children))
    images.name("registry.example/team/other:1", images.image([base], platform=host))
    return images


def _layer_of(images: Images, position: int) -> str:
    child = images.children(images.names[APP])[position]
    digest: str = images.json(child["digest"])["layers"][1]["digest"]
    return digest


def test_what_is_whole_is_ok(tmp_path: Path, images: Images) -> None:
    ended = run("verify", write_bundle(tmp_path / "site.tar", images))
    assert ended.exit_code == 0
    assert f"ok       {APP} " in ended.stdout
    assert "site.tar: ok: " in ended.stdout


def test_a_partial_bundle_is_ok_and_says_so(tmp_path: Path, images: Images) -> None:
    ended = run("verify", write_bundle(tmp_path / "site.tar", images, str(host_platform())))
    assert ended.exit_code == 0
    assert f"partial: {host_platform()}" in ended.stdout.splitlines()


def test_all_findings_are_told(tmp_path: Path, images: Images) -> None:
    path = images.write_archive(
        tmp_path / "a.tar",
        replace={_layer_of(images, 0): b"damaged"},
        leave_out=[_layer_of(images, 1)],
    )
    ended = run("verify", "--deep", path)
    assert ended.exit_code == 4
    assert ended.stdout.count("error: ") == 2
    assert "2 problems, 1 of 2 images affected" in ended.stderr


def test_several_targets(tmp_path: Path, images: Images) -> None:
    good = write_bundle(tmp_path / "good.tar", images)
    bad = images.write_archive(tmp_path / "bad.tar", leave_out=[_layer_of(images, 0)])
    ended = run("verify", good, bad, tmp_path / "absent.tar")
    assert ended.exit_code == 4
    assert "good.tar: ok" in ended.stdout
    assert "bad.tar: not ok" in ended.stdout
    assert "absent.tar: " in ended.stderr
    assert run("verify", good, tmp_path / "absent.tar").exit_code == 5
    assert run("verify", tmp_path / "absent.tar").exit_code == 5


def test_images_and_platforms_can_be_chosen(tmp_path: Path, images: Images) -> None:
    bad = images.write_archive(tmp_path / "bad.tar", leave_out=[_layer_of(images, 1)])
    assert run("verify", bad).exit_code == 4
    assert run("verify", bad, "--image", "*other*").exit_code == 0
    assert run("verify", bad, "--platform", "host", "--image", "*app*").exit_code == 0
    ended = run("verify", bad, "--image", "nothing*")
    assert ended.exit_code == 5


def test_json_for_programs(tmp_path: Path, images: Images) -> None:
    ended = run("verify", "--format", "json", write_bundle(tmp_path / "site.tar", images))
    (target,) = json.loads(ended.stdout)["targets"]
    assert target["ok"] is True
    assert [image["name"] for image in target["images"]] == list(images.names)


@pytest.mark.parametrize("data", [b"", b"nonsense" * 1000])
def test_what_is_no_archive_is_one_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "site.tar"
    path.write_bytes(data)
    ended = run("verify", path)
    assert ended.exit_code == 4
    assert "Traceback" not in ended.output
    assert "hint: " in ended.stderr


def test_a_damaged_header_is_one_of_all_findings(tmp_path: Path, images: Images) -> None:
    path = write_bundle(tmp_path / "site.tar", images)
    data = bytearray(path.read_bytes())
    layer = images.blobs[_layer_of(images, 0)]
    data[data.index(layer) - 400] ^= 1  # the header of the layer
    data[data.index(images.blobs[_layer_of(images, 1)])] ^= 1
    path.write_bytes(data)
    ended = run("verify", path)
    assert ended.exit_code == 4
    assert "has a wrong checksum" in ended.stdout
    assert "is corrupt: its bytes hash to" in ended.stdout
    assert f"or the header of blobs/sha256/{digest_of(layer).removeprefix('sha256:')}" in (
        ended.stdout
    )
    assert f"hint: imgsync repair {path} heals it" in ended.stderr
    (target,) = json.loads(run("verify", "--format", "json", path).stdout)["targets"]
    assert [image["ok"] for image in target["images"]] == [False, True]
    # Some of the images are no proof that everybody can read the file.
    assert run("verify", path, "--image", "*other*").exit_code == 4
    for command in ("inspect", path), ("push", path, "--to", "127.0.0.1:9/never"):
        refused(path, *command)


def refused(bundle: Path, *command: str | Path) -> None:
    """Assert that a damaged header is told, with the way on."""
    ended = run(*command)
    assert ended.exit_code == 4, ended.output
    assert "has a wrong checksum" in ended.stderr
    assert f"imgsync verify {bundle} lists all that is damaged" in ended.stderr
    assert f"imgsync repair {bundle} heals it" in ended.stderr


@pytest.mark.real
def test_import_tells_a_damaged_header_likewise(
    tmp_path: Path, containerd: Containerd, namespace: str, images: Images
) -> None:
    path = write_bundle(tmp_path / "site.tar", images)
    data = bytearray(path.read_bytes())
    data[data.index(images.blobs[_layer_of(images, 0)]) - 400] ^= 1
    path.write_bytes(data)
    refused(path, "import", path, "--address", containerd.socket, "-n", namespace)
    assert not containerd.images(namespace)


def test_a_lost_lock_is_a_finding_that_says_what_to_carry(tmp_path: Path, images: Images) -> None:
    path = write_bundle(tmp_path / "site.tar", images)
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    ended = run("verify", path)
    assert ended.exit_code == 4
    assert ended.stdout.count("error: ") == 1
    assert "put a copy of site.tar.lock.json beside it" in ended.stderr
    data[600 + len(data) // 2 :] = b""
    path.write_bytes(data)
    ended = run("verify", path)
    assert ended.exit_code == 4
    assert "put a copy of site.tar.lock.json beside it" in ended.stderr


@pytest.mark.real
def test_an_image_of_a_registry(new_registry: Registry, repository: str, images: Images) -> None:
    name = upload(new_registry.url, images, prefix=f"{repository}/")[APP]
    ended = run("--plain-http", "verify", name)
    assert ended.exit_code == 0, ended.output
    new_registry.damage_blob(_layer_of(images, 1))
    ended = run("--plain-http", "verify", name)
    assert ended.exit_code == 4, ended.output
    assert f"layer {_layer_of(images, 1)[:19]}" in ended.stdout


@pytest.mark.real
def test_two_verdicts_in_containerd(
    tmp_path: Path, new_containerd: Containerd, namespace: str, images: Images
) -> None:
    def verify(*args: str) -> Result:
        socket = str(new_containerd.socket)
        return run("verify", "--address", socket, "-n", namespace, *args)

    path = images.write_archive(tmp_path / "a.tar", leave_out=[_layer_of(images, 1)])
    new_containerd.ctr(
        "images", "import", "--all-platforms", "--no-unpack", str(path), namespace=namespace
    )
    ended = verify(f"containerd:{APP}")
    assert ended.exit_code == 0, ended.output
    assert "runs here, not whole" in ended.stdout
    assert "linux/s390x" in ended.stdout
    assert verify(f"containerd:{APP}", "--require", "whole").exit_code == 4
    ended = verify("containerd:")
    assert ended.exit_code == 0, ended.output
    assert "runs here, whole" in ended.stdout
    found = json.loads(verify("containerd:", "--format", "json").stdout)["targets"][0]["images"]
    assert {image["name"]: (image["runsHere"], image["whole"]) for image in found} == {
        APP: (True, False),
        "registry.example/team/other:1": (True, True),
    }
    new_containerd.damage_blob(_layer_of(images, 0))
    ended = verify(f"containerd:{APP}")
    assert ended.exit_code == 4, ended.output
    assert "does not run here" in ended.stdout
