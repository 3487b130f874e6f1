"""The command inspect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from imgsync.cli import main
from tests.bundles import write_bundle
from tests.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Images
    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

APP = "registry.example/team/app:1.0"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_a_table_of_images(tmp_path: Path, fixture_images: Images) -> None:
    ended = run("inspect", write_bundle(tmp_path / "site.tar", fixture_images))
    assert ended.exit_code == 0, ended.output
    for name in fixture_images.names:
        assert name in ended.stdout
    assert "linux/amd64, linux/arm64, linux/arm/v7" in ended.stdout
    assert "docker load does not see" in ended.stdout
    index = fixture_images.names[APP]["digest"]
    for kind in ("signature", "SBOM"):
        assert f"{kind} of {index[:19]}" in ended.stdout
    assert "imgsync bundle (archive)" in ended.stdout


def test_some_images_as_json(tmp_path: Path, fixture_images: Images) -> None:
    path = write_bundle(tmp_path / "site.tar", fixture_images)
    ended = run("ls", path, "--format", "json", "--image", APP, "--platform", "linux/arm64")
    images = json.loads(ended.stdout)["images"]
    (app,) = (image for image in images if image["name"] == APP)
    assert app["platforms"] == ["linux/arm64"]
    assert all(image["name"] in {APP, None} for image in images)


def test_nothing_of_others_moves_the_cursor(tmp_path: Path, fixture_images: Images) -> None:
    fixture_images.write_layout(tmp_path)
    index = tmp_path / "index.json"
    index.write_bytes(index.read_bytes().replace(APP.encode(), b"\\u001b[2Jevil"))
    ended = run("inspect", tmp_path)
    assert ended.exit_code == 0
    assert "\x1b" not in ended.output
    assert "evil" in ended.output


@pytest.mark.real
def test_an_image_of_a_registry(
    registry: Registry, repository: str, fixture_images: Images
) -> None:
    name = upload(registry.url, fixture_images, names=[APP], prefix=f"{repository}/")[APP]
    ended = run("--plain-http", "inspect", name)
    assert ended.exit_code == 0, ended.output
    assert "linux/amd64, linux/arm64, linux/arm/v7" in ended.stdout


@pytest.mark.real
def test_a_namespace(
    tmp_path: Path, containerd: Containerd, namespace: str, fixture_images: Images
) -> None:
    path = fixture_images.write_archive(tmp_path / "a.tar", [APP])
    containerd.ctr(
        "images", "import", "--all-platforms", "--no-unpack", str(path), namespace=namespace
    )
    ended = run("inspect", "containerd:", "-n", namespace, "--address", containerd.socket)
    assert ended.exit_code == 0, ended.output
    assert APP in ended.stdout
    assert "containerd namespace" in ended.stdout
