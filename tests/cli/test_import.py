"""`imgsync import` as a user runs it, into a real containerd."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.run import Ran, imgsync
from tests.images import Images
from tests.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

pytestmark = pytest.mark.real

APP = "registry.example/team/app:1.0"
Import = "Callable[..., Ran]"


@pytest.fixture
def node(containerd: Containerd, namespace: str) -> list[str]:
    """The options that say which containerd."""
    return ["--address", str(containerd.socket), "-n", namespace]


@pytest.fixture
def load(node: list[str]) -> Callable[..., Ran]:
    """`imgsync import` into a namespace of this test."""

    def run(*arguments: str | Path, code: int | None = 0) -> Ran:
        return imgsync("import", *arguments, *node, code=code)

    return run


@pytest.fixture
def archive(fixture_images: Images, tmp_path: Path) -> Path:
    return fixture_images.write_archive(tmp_path / "site.tar")


def _images(ran: Ran) -> dict[str, dict[str, Any]]:
    return {image["names"][0]: image for image in ran.json["images"]}


def test_a_bundle_into_a_node(
    load: Callable[..., Ran],
    node: list[str],
    containerd: Containerd,
    namespace: str,
    fixture_images: Images,
    archive: Path,
    tmp_path: Path,
) -> None:
    bundle = tmp_path / "bundle.tar"
    imgsync("bundle", f"oci-archive:{archive}", "-o", bundle)
    ran = load(bundle, "--to", "harbor.example.com/tmp")
    digest = fixture_images.names[APP]["digest"]
    assert f"harbor.example.com/tmp/team/app:1.0 {digest} imported, whole" in ran.out.splitlines()
    records = containerd.images(namespace)
    assert records["harbor.example.com/tmp/team/app:1.0"] == digest
    assert records[f"harbor.example.com/tmp/team/app@{digest}"] == digest
    assert not [name for name in records if "registry.example" in name]
    assert "containerd has no place for it" in ran.err
    verified = imgsync("verify", "containerd:", "--require", "whole", *node)
    imgsync("bundle", "containerd:", *node, "-o", tmp_path / "node.tar")
    imgsync("repair", tmp_path / "node.tar", "--from", "containerd:", *node, "--offline")
    assert "harbor.example.com/tmp/team/app:1.0" in verified.out
    again = load(bundle, "--to", "harbor.example.com/tmp")
    assert f"harbor.example.com/tmp/team/app:1.0 {digest} unchanged, whole" in again.out
    assert "sent 0 objects, 0 B" in again.out


def test_as_json(load: Callable[..., Ran], archive: Path, fixture_images: Images) -> None:
    ran = load(archive, "--image", "*/team/app:1.0", "--format", "json")
    (image,) = ran.json["images"]
    assert image["digest"] == fixture_images.names[APP]["digest"]
    assert image["status"] == "imported"
    assert (image["whole"], image["runs_here"], image["before"]) == (True, True, {})
    assert {"platform": "linux/arm64", "whole": True} in image["platforms"]


def test_original_names_can_be_kept(
    load: Callable[..., Ran], containerd: Containerd, namespace: str, archive: Path
) -> None:
    load(
        archive, "--image", "*/team/app:1.1", "--to", "h.example/x", "--keep-names", "--no-digests"
    )
    assert set(containerd.images(namespace)) == {
        "h.example/x/team/app:1.1",
        "registry.example/team/app:1.1",
    }


def test_some_platforms(
    load: Callable[..., Ran],
    containerd: Containerd,
    namespace: str,
    archive: Path,
    fixture_images: Images,
) -> None:
    ran = load(archive, "--image", "*/team/app:1.0", "--platform", "linux/amd64")
    assert "partial: linux/amd64" in ran.out
    assert "linux/arm64" in ran.err
    missing = fixture_images.digests(APP) - containerd.blobs(namespace)
    arm64, armv7 = fixture_images.children(fixture_images.names[APP])[1:3]
    own = {part["digest"] for part in (arm64, armv7) for part in fixture_images.children(part)}
    assert missing
    assert missing <= own | {
        part["digest"]
        for child in fixture_images.children(fixture_images.names[APP])
        for part in fixture_images.children(child)
    }
    # Another platform on purpose, which this node cannot run.
    other = load(archive, "--image", "*/team/app:1.1", "--platform", "linux/arm64")
    assert "partial: linux/arm64" in other.out


def test_images_without_the_platform_that_was_chosen_have_failed(
    load: Callable[..., Ran], containerd: Containerd, namespace: str, archive: Path
) -> None:
    arm = ("--platform", "linux/arm64", "--image", "*/team/app:1.1", "--image", "*/layers/zstd:1")
    for more in (("--dry-run",), ("--format", "json")):
        ran = load(archive, *arm, *more, code=3)
        assert "1 of 2 images" in ran.err
        assert "registry.example/layers/zstd:1: has no linux/arm64; it has linux/amd64" in ran.err
        assert "--platform-missing" not in ran.err
    statuses = {image["names"][0]: image["status"] for image in ran.json["images"]}
    assert statuses["registry.example/layers/zstd:1"] == "failed"
    assert "registry.example/team/app:1.1" in containerd.images(namespace)
    s390x = ("--platform", "linux/s390x", *arm[2:])
    assert "no image has the platforms that were chosen" in load(archive, *s390x, code=5).err


def test_a_rate_is_for_plans_only(load: Callable[..., Ran], archive: Path) -> None:
    assert "--dry-run" in load(archive, "--rate", "20MB/s", code=2).err


def test_from_a_registry(
    load: Callable[..., Ran],
    containerd: Containerd,
    namespace: str,
    registry: Registry,
    repository: str,
    fixture_images: Images,
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    load(name, "--to", "harbor.example.com/tmp", "--carrier", "loopback")
    assert fixture_images.digests(APP) == containerd.blobs(namespace)
    assert f"harbor.example.com/tmp/{repository}/team/app:1.0" in containerd.images(namespace)


@pytest.mark.parametrize(
    ("file", "name", "verdict"),
    [
        ("almostempty.tar", "docker.io/library/emptyimage:latest", "whole"),
        ("hello-world.tar", "docker.io/library/hello-world:latest", "partial: linux/amd64"),
        ("hello-world-prefixed-path.tar", "docker.io/library/hello-world:latest", "partial: "),
        ("docker-containerd-image-store", "docker.io/library/hello-world:linux", "partial: "),
        ("docker-graph-driver-image-store", "docker.io/library/hello-world:linux", "whole"),
    ],
)
def test_archives_of_others(
    load: Callable[..., Ran], pytestconfig: pytest.Config, file: str, name: str, verdict: str
) -> None:
    ran = load(pytestconfig.rootpath / "fixtures/foreign" / file)
    assert ran.out.startswith(f"{name} sha256:")
    assert f"imported, {verdict}" in ran.out


def test_over_a_pipe_like_ssh(
    containerd: Containerd, namespace: str, archive: Path, fixture_images: Images, tmp_path: Path
) -> None:
    """What stands for ssh runs one line of a shell, as sshd does, and knows no loopback of ours."""
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nshift\nunset http_proxy\nexec /bin/sh -c "$*"\n')
    ssh.chmod(0o755)
    ran = imgsync(
        "import",
        archive,
        "--image",
        "*/team/app:1.0",
        "--ctr",
        f"{ssh} node {shutil.which('ctr')}",
        "--address",
        containerd.socket,
        "-n",
        namespace,
    )
    assert "imported, whole" in ran.out
    assert containerd.blobs(namespace) == fixture_images.digests(APP)


# --- what goes wrong --------------------------------------------------------------------------


def test_a_damaged_image_among_others(
    load: Callable[..., Ran],
    containerd: Containerd,
    namespace: str,
    fixture_images: Images,
    tmp_path: Path,
) -> None:
    bad = fixture_images.children(
        fixture_images.children(fixture_images.names["registry.example/docker/list:1"])[1]
    )[1]["digest"]
    archive = fixture_images.write_archive(tmp_path / "bad.tar", replace={bad: b"not it"})
    ran = load(archive, code=3)
    assert "registry.example/docker/list:1" in ran.err
    assert bad.partition(":")[2][:12] in ran.err
    records = containerd.images(namespace)
    assert "registry.example/docker/list:1" not in records
    assert "registry.example/team/app:1.0" in records
    alone = load(archive, "--image", "*/docker/list*", code=4)
    assert "bad.tar" in alone.err


def test_a_name_that_stands(
    load: Callable[..., Ran], fixture_images: Images, tmp_path: Path
) -> None:
    old, new = Images(), Images()
    for images, text in ((old, b"old"), (new, b"new")):
        images.name(APP, images.image([images.layer({"f": text})]))
    load(old.write_archive(tmp_path / "old.tar"))
    archive = new.write_archive(tmp_path / "new.tar")
    refused = load(archive, "--on-existing-name", "error", code=2)
    for images in (old, new):
        assert images.names[APP]["digest"] in refused.err
    ran = load(archive)
    assert f"replacing {APP}: {old.names[APP]['digest']} -> {new.names[APP]['digest']}" in ran.err
    del fixture_images


def test_the_nodes_platform_is_missing(
    load: Callable[..., Ran],
    containerd: Containerd,
    namespace: str,
    fixture_images: Images,
    tmp_path: Path,
) -> None:
    amd64 = fixture_images.children(fixture_images.names[APP])[0]
    config = fixture_images.children(amd64)[0]["digest"]
    archive = fixture_images.write_archive(tmp_path / "arm.tar", [APP], leave_out=[config])
    ran = load(archive, code=4)
    assert "linux/amd64" in ran.err
    assert "linux/arm64" in ran.err
    assert containerd.blobs(namespace) == set()


def test_nothing_with_a_name(
    load: Callable[..., Ran], fixture_images: Images, tmp_path: Path
) -> None:
    archive = fixture_images.write_archive(tmp_path / "none.tar", [])
    assert "holds no image" in load(archive, code=5).err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--address", "/nonexistent.sock"], 7, "there is no socket /nonexistent.sock"),
        (["--ctr", "/nonexistent/ctr"], 7, "no such program"),
        (["-n", "not a namespace"], 2, "is not a containerd namespace"),
        (["--carrier", "pigeon"], 2, "pigeon"),
    ],
)
def test_one_clear_line(
    containerd: Containerd, archive: Path, options: list[str], code: int, message: str
) -> None:
    ran = imgsync("import", archive, "--address", containerd.socket, *options, code=code)
    assert message in ran.err


def test_containerd_that_stops_in_between(
    new_containerd: Containerd, archive: Path, namespace: str
) -> None:
    script = new_containerd.root / "ctr"
    # It ends the daemon when the first content goes in.
    stops = f'case "$*" in *--help*) ;; *"images import"*) kill -9 {new_containerd.pid};; esac'
    runs = f'exec {shutil.which("ctr")} --connect-timeout 1s "$@"'
    script.write_text(f"#!/bin/sh\n{stops}\n{runs}\n")
    script.chmod(0o755)
    where: list[str | Path] = ["--address", new_containerd.socket, "-n", namespace]
    ran = imgsync("import", archive, *where, "--ctr", script, code=7)
    assert "ctr" in ran.err
    new_containerd.kill()
    new_containerd.start()
    assert "imported, whole" in imgsync("import", archive, *where).out
