"""Parity: bad sectors heal with what stands beside the bundle, and nothing from elsewhere."""

from pathlib import Path

import pytest

from tests.cli.run import imgsync
from tests.images import sized_image
from tests.servers.programs import require

pytestmark = pytest.mark.real


@pytest.fixture
def site(tmp_path: Path) -> Path:
    require("par2")
    sized_image(n_layers=6, layer_bytes=100_000).write_archive(tmp_path / "images.tar")
    imgsync("bundle", tmp_path / "images.tar", "-o", tmp_path / "site.tar", "--parity", "20")
    return tmp_path / "site.tar"


def zero(site: Path, begin: int, n_bytes: int) -> bytes:
    right = site.read_bytes()
    site.write_bytes(right[:begin] + bytes(n_bytes) + right[begin + n_bytes :])
    return right


@pytest.mark.parametrize("begin", [0, 100, 300_000])
def test_bad_sectors_heal_alone_even_those_of_the_lock(site: Path, begin: int) -> None:
    right = zero(site, begin, 8 * 512)
    site.with_name("site.tar.lock.json").unlink()
    imgsync("verify", site, code=None)
    said = imgsync("repair", site, "--offline")
    assert "healed by its parity" in said.out
    assert site.read_bytes() == right
    assert not site.with_name("site.tar.1").exists()
    imgsync("verify", site)


def test_more_damage_than_parity_is_told_and_nothing_is_lost(site: Path) -> None:
    size = site.stat().st_size
    zero(site, size // 4, size // 2)
    damaged = site.read_bytes()
    failed = imgsync("repair", site, "--offline", code=4)
    assert "still bad" in failed.out
    assert site.stat().st_size == len(damaged)


def test_parity_of_other_bytes_is_removed(site: Path, tmp_path: Path) -> None:
    assert list(tmp_path.glob("site.tar*.par2"))
    said = imgsync("retag", site, "--to", "harbor.example.com/x", "--in-place")
    assert "parity" in said.err
    assert not list(tmp_path.glob("site.tar*.par2"))


@pytest.mark.parametrize(
    ("more", "code"),
    [(("-o", "site.tar"), 2), (("--in-place", "--image", "none"), 5), (("--in-place",), 0)],
)
def test_a_retag_that_changes_nothing_keeps_the_parity(
    site: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], code: int
) -> None:
    monkeypatch.chdir(site.parent)
    files = sorted(site.parent.glob("site.tar*.par2"))
    # Names that are under the prefix already stay.
    imgsync("retag", "site.tar", "--to", "registry.example", *more, code=code)
    assert sorted(site.parent.glob("site.tar*.par2")) == files


@pytest.mark.parametrize("name", ["below/site.tar", "./-x.tar", "a b/c d.tar"])
def test_parity_by_any_path(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    imgsync("bundle", site, "-o", name, "--parity", "20")
    right = zero(path, 300_000, 8 * 512)
    assert "healed by its parity" in imgsync("repair", name, "--offline").out
    assert path.read_bytes() == right


def test_a_name_with_brackets_gets_parity_too(site: Path, tmp_path: Path) -> None:
    imgsync("bundle", site, "-o", tmp_path / "site[1].tar", "--parity", "20")
    names = {path.name for path in tmp_path.iterdir() if path.name.startswith("site[1].tar")}
    assert "site[1].tar.par2" in names
    assert not [name for name in names if "partial" in name]


def test_an_unchanged_bundle_keeps_its_parity(site: Path, tmp_path: Path) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("site.tar*.par2")}
    imgsync("bundle", tmp_path / "images.tar", "-o", site, "--parity", "20")
    after = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("site.tar*.par2")}
    assert before == after
    assert len(after) == 2
