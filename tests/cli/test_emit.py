"""`imgsync emit`, and whether those it is written for find what they ask for."""

from __future__ import annotations

import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cli.run import imgsync
from tests.servers.programs import program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Images
    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

APP = "registry.example/team/app:1.0"


@pytest.fixture
def archive(fixture_images: Images, tmp_path: Path) -> Path:
    return fixture_images.write_archive(tmp_path / "site.tar")


@pytest.fixture
def pushed(new_registry: Registry, archive: Path) -> list[str]:
    """The options of a push that was made; `emit` gets the same."""
    options = ["--to", f"{new_registry.host}/mirror/x", "--keep-registry"]
    imgsync("push", archive, *options, "--image", "*/team/app:1.0")
    return options


@pytest.mark.real
def test_containerd_pulls_the_original_name_from_the_private_registry(
    pushed: list[str],
    new_registry: Registry,
    containerd: Containerd,
    namespace: str,
    archive: Path,
    fixture_images: Images,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "certs.d"
    plain = ("--plain-http-host", new_registry.host)
    ran = imgsync("emit", "containerd-hosts", archive, *pushed, *plain, "-o", folder)
    assert f"{folder}/registry.example/hosts.toml" in ran.out.splitlines()
    new_registry.forget()
    containerd.ctr("images", "pull", "--hosts-dir", folder, APP, namespace=namespace)
    assert containerd.images(namespace)[APP] == fixture_images.names[APP]["digest"]
    # A HEAD at least: content that another namespace has is not asked for.
    asked = {logged.path.partition("?")[0] for logged in new_registry.requests("", "")}
    assert any("/manifests/" in path for path in asked)
    assert all(path.startswith("/v2/mirror/x/registry.example/team/app/") for path in asked)


@pytest.mark.real
def test_skopeo_reads_the_original_name_from_the_private_registry(
    pushed: list[str],
    new_registry: Registry,
    archive: Path,
    fixture_images: Images,
    tmp_path: Path,
) -> None:
    file = tmp_path / "registries.conf"
    plain = ("--plain-http-host", new_registry.host)
    imgsync("emit", "registries.conf", archive, *pushed, *plain, "-o", file)
    skopeo = (program("skopeo"), "--registries-conf", file)
    done = subprocess.run(
        (*skopeo, "inspect", "--raw", f"docker://{APP}"), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == fixture_images.blobs[fixture_images.names[APP]["digest"]]


def test_of_a_list(tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text("redis:7\nquay.io/team/app:1\n")
    ran = imgsync("emit", "kustomize", names, "--to", "harbor.example.com/site")
    value = yaml.safe_load(ran.out)
    assert {"name": "redis", "newName": "harbor.example.com/site/redis"} in value["images"]


@pytest.mark.real
def test_of_a_bundle_that_was_renamed_and_of_its_lock(
    pushed: list[str], new_registry: Registry, tmp_path: Path
) -> None:
    old = f"{pushed[1]}/registry.example/team/app"
    bundle = tmp_path / "bundle.tar"
    imgsync("bundle", f"{old}:1.0", "--to", "harbor.example.com/site", "-o", bundle)
    for source in (bundle, f"{bundle}.lock.json"):
        ran = imgsync("emit", "registries.conf", source)
        assert tomllib.loads(ran.out)["registry"] == [
            {"prefix": new_registry.host, "location": "harbor.example.com/site"}
        ]


def test_what_cannot_be_said_is_refused(tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text("redis:7\n")
    ran = imgsync("emit", "containerd-hosts", names, "--to", "h.example/x", code=2)
    assert "docker.io/library/redis -> h.example/x/redis" in ran.err
    assert "--keep-registry" in ran.err
