"""Archives that other tools write here and now: opened, proved, and read as what they are."""

from __future__ import annotations

import json
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import NotFound, StoreError
from imgsync.inspect import inspect
from imgsync.model.reference import Reference
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.docker_save import DockerArchive
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.docker_daemon import save_from_daemon
from imgsync.stores.layout import Layout
from imgsync.verify import verify
from imgsync.verifying.findings import Level
from tests.images import Images
from tests.servers.programs import program
from tests.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.stores import Holding
    from imgsync.verifying.verdicts import Verification
    from tests.servers.containerd import Containerd
    from tests.servers.docker import Docker
    from tests.servers.registry import Registry

pytestmark = pytest.mark.real

APP = "registry.example/team/app:1"


@pytest.fixture(scope="module")
def images() -> Images:
    images = Images()
    base = images.layer({"base": bytes(20_000)}, docker=True)
    children = [
        images.image(
            [base, images.layer({"own": name.encode()}, docker=True)],
            platform=name,
            docker=True,
            entrypoint=name,
        )
        for name in ("linux/amd64", "linux/arm64")
    ]
    images.name(APP, images.index(children, docker=True))
    return images


@pytest.fixture(scope="module")
def uploaded(registry: Registry, images: Images) -> str:
    """The image in a registry."""
    return upload(registry.url, images, prefix="archives-of-others/")[APP]


def run(*command: str | Path) -> str:
    ended = subprocess.run(
        [str(program(str(command[0]))), *map(str, command[1:])],
        capture_output=True,
        check=False,
        timeout=110,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def errors(found: Verification) -> list[str]:
    return [str(item) for item in found.findings if item.level is Level.ERROR]


def check(holding: Holding) -> list[str]:
    """It is proved without errors; the labels of its images."""
    assert errors(verify(holding, deep=True)) == []
    return [root.label for root in holding.bundle().roots]


@pytest.mark.parametrize("everything", [True, False])
def test_skopeo_writes_oci(tmp_path: Path, uploaded: str, *, everything: bool) -> None:
    path = tmp_path / "skopeo.tar"
    what = ["--all"] if everything else ["--override-arch", "arm64"]
    source = f"docker://{uploaded}"
    run("skopeo", "copy", "--src-tls-verify=false", *what, source, f"oci-archive:{path}:latest")
    archive = open_archive(path)
    assert isinstance(archive, Archive)
    assert check(archive) == ["latest"]
    expected = ("linux/amd64", "linux/arm64") if everything else ("linux/arm64",)
    assert inspect(archive).images[0].platforms == expected
    run("skopeo", "copy", "--src-tls-verify=false", *what, source, f"oci:{tmp_path}/layout:{APP}")
    assert check(Layout(tmp_path / "layout")) == [APP]


def test_skopeo_writes_docker(tmp_path: Path, uploaded: str) -> None:
    path = tmp_path / "skopeo.tar"
    target = f"docker-archive:{path}:{APP}"
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{uploaded}", target)
    archive = open_archive(path)
    assert isinstance(archive, DockerArchive)
    assert check(archive) == [APP]


def test_docker_saves(tmp_path: Path, docker: Docker, uploaded: str) -> None:
    docker.docker("pull", uploaded)
    docker.docker("tag", uploaded, "app:1")
    path = tmp_path / "docker.tar"
    docker.docker("save", "--output", path, uploaded, "app:1")
    archive = open_archive(path)
    assert sorted(check(archive)) == sorted(
        [str(Reference.parse(uploaded)), "docker.io/library/app:1"]
    )


def test_docker_and_skopeo_are_the_same_image(
    tmp_path: Path, docker: Docker, uploaded: str
) -> None:
    """Two tools, two archives with different bytes, one digest."""
    docker.docker("pull", uploaded)
    docker.docker("save", "--output", tmp_path / "docker.tar", uploaded)
    run(
        "skopeo",
        "copy",
        "--src-tls-verify=false",
        f"docker://{uploaded}",
        f"docker-archive:{tmp_path}/skopeo.tar:{uploaded}",
    )
    one, two = (open_archive(tmp_path / name) for name in ("docker.tar", "skopeo.tar"))
    if isinstance(one, DockerArchive):  # docker 25 and newer write their own manifests
        assert one.bundle() == two.bundle()
    assert (tmp_path / "docker.tar").read_bytes() != (tmp_path / "skopeo.tar").read_bytes()


def test_an_image_of_the_daemon(
    docker: Docker, uploaded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{docker.socket}")
    docker.docker("pull", uploaded)
    assert check(save_from_daemon(uploaded)) == [str(Reference.parse(uploaded))]
    with pytest.raises(NotFound, match=r"no\.such/image"):
        save_from_daemon("no.such/image:1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(StoreError, match="docker save"):
        save_from_daemon(uploaded)
    with pytest.raises(StoreError, match="cannot be run"):
        save_from_daemon(uploaded, docker="no-such-docker")


@pytest.mark.parametrize("everything", [True, False])
def test_ctr_exports(
    tmp_path: Path,
    containerd: Containerd,
    namespace: str,
    images: Images,
    *,
    everything: bool,
) -> None:
    source = images.write_archive(tmp_path / "in.tar")
    containerd.import_archive(source, namespace)
    path = tmp_path / "export.tar"
    what = ["--all-platforms"] if everything else ["--platform", "linux/amd64"]
    containerd.ctr("images", "export", *what, str(path), APP, namespace=namespace)
    archive = open_archive(path)
    assert isinstance(archive, Archive)
    assert [root.label for root in archive.bundle().roots] == [APP]
    found = errors(verify(archive, deep=True))
    if everything:
        assert found == []
    else:
        (line,) = found
        assert line.endswith("only linux/amd64 is whole; absent: linux/arm64")
    assert inspect(archive).images[0].docker.sees == "linux/amd64"


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_podman_saves(tmp_path: Path, uploaded: str, form: str) -> None:
    path = tmp_path / "podman.tar"
    # podman wants a path of at most 50 characters
    with tempfile.TemporaryDirectory(prefix="pm-") as folder:
        storage = [f"--root={folder}/root", f"--runroot={folder}/run", "--storage-driver=vfs"]
        run("podman", *storage, "pull", "--tls-verify=false", uploaded)
        run("podman", *storage, "save", "--format", form, "--output", path, uploaded)
    assert check(open_archive(path)) == [str(Reference.parse(uploaded))]


def test_umoci_changes_a_layout(tmp_path: Path) -> None:
    single = Images()
    layer = single.layer({"a": b"b"})
    single.name("one", single.image([layer]))
    folder = single.write_layout(tmp_path / "layout")
    run("umoci", "config", "--image", f"{folder}:one", "--tag", "two", "--config.user", "nobody")
    layout = Layout(folder)
    assert sorted(check(layout)) == ["one", "two"]
    assert len({root.descriptor.digest for root in layout.bundle().roots}) == 2
    assert json.loads((folder / "index.json").read_bytes())["manifests"]
