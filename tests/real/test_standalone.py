"""The standalone file, in a root with nothing but the file, /proc and /tmp."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.run import imgsync
from tests.images import Images
from tests.servers.programs import require
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.timeout(600),  # the first test has the file built
]

APP = "registry.example/team/app:1.0"


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("patchelf")
    require("objdump")
    require("strip")
    path = tmp_path_factory.mktemp("standalone") / "imgsync"
    said = imgsync("standalone", "-o", path)
    assert str(path) in said.out
    assert os.access(path, os.X_OK)
    assert path.stat().st_size < 20_000_000
    return path


@pytest.fixture
def root(tmp_path: Path, standalone: Path) -> Iterator[Path]:
    """An empty root that has what the docs state, and nothing else."""
    if os.geteuid() != 0:
        pytest.fail("chroot needs root")
    folder = tmp_path / "root"
    (folder / "proc").mkdir(parents=True)
    (folder / "tmp").mkdir()
    shutil.copy(standalone, folder / "imgsync")
    subprocess.run(["mount", "-t", "proc", "proc", str(folder / "proc")], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder / "proc")], check=True)


def run(root: Path, *arguments: str, code: int = 0) -> str:
    chroot = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin") or "chroot"
    command = [chroot, str(root), "/imgsync", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_it_works_where_there_is_nothing_else(
    root: Path, registry: Registry, repository: str, fixture_images: Images
) -> None:
    assert "imgsync" in run(root, "--version")
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    run(root, "bundle", name, "-o", "/site.tar")
    assert "ok" in run(root, "verify", "/site.tar")
    run(root, "report", "/site.tar", "-o", "/site.html")
    with Registry() as private:
        run(root, "push", "/site.tar", "--to", f"{private.host}/site")
        assert private.tags(f"site/{repository}/team/app")["1.0"]
    refused = run(root, "import", "/site.tar", code=7)
    assert "Traceback" not in refused


def test_it_can_copy_itself(root: Path) -> None:
    run(root, "standalone", "-o", "/copy")
    assert (root / "copy").read_bytes() == (root / "imgsync").read_bytes()


def test_a_bundle_can_bring_it_along(
    registry: Registry, repository: str, fixture_images: Images, root: Path
) -> None:
    name = upload(registry.url, fixture_images, [APP], prefix=f"{repository}/")[APP]
    (root / "out").mkdir()
    run(root, "bundle", name, "-o", "/out/site.tar", "--with-imgsync")
    assert (root / "out/imgsync").read_bytes() == (root / "imgsync").read_bytes()


def test_what_is_carried_installs_without_a_network(standalone: Path, tmp_path: Path) -> None:
    require("dpkg-deb")
    root = Path(__file__).parents[2]
    subprocess.run(
        ["sh", "scripts/dist.sh", sys.executable, str(tmp_path / "dist")],
        check=True, cwd=root, capture_output=True,
        env={**os.environ, "IMGSYNC_STANDALONE": str(standalone)},
    )  # fmt: skip
    wheelhouse = next((tmp_path / "dist").glob("*-wheelhouse.tar"))
    subprocess.run(["tar", "-xf", wheelhouse, "-C", tmp_path], check=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [str(tmp_path / "venv/bin/pip"), "install", "--quiet", "--no-index", "--find-links"]
    subprocess.run([*pip, str(tmp_path / "wheelhouse"), "imgsync"], check=True)
    said = subprocess.run(
        [tmp_path / "venv/bin/imgsync", "--version"], check=True, capture_output=True, text=True
    ).stdout
    package = next((tmp_path / "dist").glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", package, tmp_path / "root"], check=True)
    packaged = subprocess.run(
        [tmp_path / "root/usr/bin/imgsync", "--version"], check=True, capture_output=True, text=True
    ).stdout
    assert said == packaged
    subprocess.run(["sha256sum", "-c", "sha256sums"], check=True, cwd=tmp_path / "dist")
