"""``.tar.zst`` on the command line: made, shown, imported, retagged; and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.run import imgsync

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Images
    from tests.servers.containerd import Containerd


@pytest.fixture(scope="module")
def layout(fixture_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fixture_images.write_layout(tmp_path_factory.mktemp("source") / "layout")


@pytest.fixture
def site(layout: Path, tmp_path: Path) -> Path:
    path = tmp_path / "site.tar.zst"
    imgsync("bundle", f"oci:{layout}", "-o", path)
    return path


def test_it_is_told_how_large_it_is(site: Path, layout: Path) -> None:
    again = imgsync("bundle", f"oci:{layout}", "-o", site)
    assert "unchanged" in again.out
    assert f"({site.stat().st_size} bytes)" in again.out


def test_the_name_says_so_in_capitals_too(site: Path, layout: Path, tmp_path: Path) -> None:
    imgsync("bundle", f"oci:{layout}", "-o", tmp_path / "SITE.TAR.ZST")
    assert (tmp_path / "SITE.TAR.ZST").read_bytes() == site.read_bytes()


def test_it_shows_the_same_as_the_plain_one(site: Path, layout: Path, tmp_path: Path) -> None:
    plain = tmp_path / "site.tar"
    imgsync("bundle", f"oci:{layout}", "-o", plain)
    shown = [imgsync("inspect", path, "--format", "json").out for path in (plain, site)]
    assert shown[1].replace(".tar.zst", ".tar") == shown[0]
    imgsync("diff", plain, site)
    assert "temporary" not in imgsync("verify", site).err
    assert "decompressing" not in imgsync("verify", site).err


@pytest.mark.real
def test_it_is_imported(
    site: Path, containerd: Containerd, namespace: str, fixture_images: Images
) -> None:
    imgsync("import", site, "--address", containerd.socket, "-n", namespace)
    name = "registry.example/team/app:1.0"
    assert containerd.images(namespace)[name] == fixture_images.names[name]["digest"]


def test_it_is_retagged(site: Path, tmp_path: Path) -> None:
    out = tmp_path / "moved.tar.zst"
    imgsync("retag", site, "--to", "harbor.example.com/tmp", "-o", out)
    assert "harbor.example.com/tmp/team/app:1.0" in imgsync("verify", out).out


@pytest.mark.parametrize("name", ["site.tar.gz", "site.tgz", "site.tar.xz", "site.tar.bz2"])
def test_other_compressions_are_not_written(layout: Path, tmp_path: Path, name: str) -> None:
    refused = imgsync("bundle", f"oci:{layout}", "-o", tmp_path / name, code=2)
    assert "is read and not written" in refused.err
    assert "site.tar.zst" in refused.err


def test_volumes_are_plain_tars(layout: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.tar.zst"
    refused = imgsync("bundle", f"oci:{layout}", "-o", site, "--volume-size", "1M", code=2)
    assert "cannot be cut into volumes" in refused.err


@pytest.mark.parametrize("command", [["repair"], ["verify", "--request", "want.json"]])
def test_it_is_not_healed_in_place(site: Path, command: list[str]) -> None:
    before = site.read_bytes()
    refused = imgsync(*command, site, code=2)
    assert "is compressed" in refused.err
    assert f"-f {site}.lock.json" in refused.err
    assert site.read_bytes() == before


def test_a_damaged_frame_is_told(site: Path) -> None:
    data = bytearray(site.read_bytes())
    data[len(data) // 2] ^= 1
    site.write_bytes(data)
    told = imgsync("verify", site, code=4)
    assert "the zstd frame at byte" in told.out + told.err
    assert f"{site}: {site}" not in told.out + told.err


def test_a_wrong_seek_table_is_told_with_a_way_out(site: Path) -> None:
    data = bytearray(site.read_bytes())
    data[-20] ^= 1
    site.write_bytes(data)
    refused = imgsync("verify", site, code=4)
    assert "seek table" in refused.err
    assert f"zstd -d {site}" in refused.err
