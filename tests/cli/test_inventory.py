"""``imgsync inventory``: a small file about whatever has content."""

from __future__ import annotations

import gzip
import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from imgsync.cli import main
from imgsync.model.digest import Digest
from imgsync.model.inventory import Inventory, read_have
from tests.bundles import lock_of, memory_of, write_bundle
from tests.images import Images
from tests.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

APP = "registry.example/team/app"


def _images() -> Images:
    images = Images()
    base = images.layer({"base": b"base"})
    children = [
        images.image([base, images.layer({"app": name.encode()})], platform=f"linux/{name}")
        for name in ("amd64", "arm64")
    ]
    images.name(f"{APP}:1", images.index(children))
    images.name("registry.example/other/tool:1", images.image([base]))
    return images


def _digests(images: Images, *names: str) -> frozenset[Digest]:
    return frozenset(Digest.parse(text) for text in images.digests(*names))


def _inventory(*args: object) -> Result:
    return CliRunner().invoke(main, ["inventory", *map(str, args)])


def _read(path: Path) -> Inventory:
    return Inventory.parse(path.read_bytes(), str(path))


def test_a_bundle_its_lock_and_a_folder_have_the_same(tmp_path: Path) -> None:
    images, out = _images(), tmp_path / "far.json"
    lock = tmp_path / "old.tar.lock.json"
    lock.write_bytes(lock_of(memory_of(images)).to_bytes())
    images.write_layout(tmp_path / "layout")
    for target in (write_bundle(tmp_path / "old.tar", images), lock, tmp_path / "layout"):
        result = _inventory(target, "-o", out)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith(f"{out}: 10 objects of 2 repositories, ")
        found = _read(out)
        assert found.digests == _digests(images, *images.names)
        assert found.targets == (str(target),)
        assert found.taken.endswith("Z")
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_several_are_one(tmp_path: Path) -> None:
    one, other = Images(), Images()
    one.name(f"{APP}:1", one.image([one.layer({"a": b"a"})]))
    other.name(f"{APP}:2", other.image([other.layer({"a": b"b"})]))
    paths = [write_bundle(tmp_path / name, images) for name, images in (("1", one), ("2", other))]
    assert _inventory(*paths, "-o", tmp_path / "far.json").exit_code == 0
    assert len(_read(tmp_path / "far.json").digests) == 6


def test_compressed_and_without_names(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "old.tar", _images())
    out = tmp_path / "far.json.gz"
    assert _inventory(path, "-o", out, "--digests-only").exit_code == 0
    assert b"example" not in gzip.decompress(out.read_bytes())
    assert len(read_have(out.read_bytes(), "far")) == 10


def test_standard_output_is_the_file_alone(tmp_path: Path) -> None:
    result = _inventory(write_bundle(tmp_path / "old.tar", _images()), "-o", "-")
    assert json.loads(result.stdout)["format"] == "imgsync.inventory/1"


def test_a_file_that_is_not_there_is_no_registry(tmp_path: Path) -> None:
    result = _inventory(tmp_path / "none.tar", "-o", tmp_path / "far.json")
    assert result.exit_code == 5
    assert not (tmp_path / "far.json").exists()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = write_bundle(tmp_path / "old.tar", _images())
    assert _inventory(path, "-o", tmp_path / "no" / "far.json").exit_code == 5
    assert sorted(item.name for item in tmp_path.iterdir()) == ["old.tar"]


@pytest.mark.real
def test_a_registry_by_its_catalog_a_path_and_a_repository(
    new_registry: Registry, tmp_path: Path
) -> None:
    images, out, host = _images(), tmp_path / "far.json", new_registry.host
    upload(new_registry.url, images)
    assert _inventory(host, "-o", out).exit_code == 0
    whole = _read(out)
    assert whole.digests == _digests(images, *images.names)
    app = _digests(images, f"{APP}:1")
    for target in (f"{host}/team/", f"{host}/team/app", f"{host}/team/app:1"):
        assert _inventory(target, "-o", out).exit_code == 0
        found = _read(out)
        assert found.digests == app
        assert {found.repositories_of(digest) for digest in app} == {(f"{host}/team/app",)}


@pytest.mark.real
def test_a_repository_that_is_not_there(registry: Registry, tmp_path: Path) -> None:
    result = _inventory(f"{registry.host}/nobody/has-this", "-o", tmp_path / "far.json")
    assert result.exit_code == 5
    empty = _inventory(f"{registry.host}/nobody/", "-o", tmp_path / "far.json")
    assert empty.exit_code == 0
    assert "warning: " in empty.stderr
    assert "nothing is there" in empty.stderr
    assert _read(tmp_path / "far.json").digests == frozenset()


@pytest.mark.real
def test_a_repository_that_was_emptied_stays_in_the_catalog(
    new_registry: Registry, tmp_path: Path
) -> None:
    images = _images()
    upload(new_registry.url, images)
    shutil.rmtree(new_registry.storage / "repositories/other/tool/_manifests/tags")
    assert _inventory(new_registry.host, "-o", tmp_path / "far.json").exit_code == 0
    assert _read(tmp_path / "far.json").digests == _digests(images, f"{APP}:1")


@pytest.mark.real
def test_a_node_has_what_its_namespace_has(
    new_containerd: Containerd, namespace: str, tmp_path: Path
) -> None:
    images, out = _images(), tmp_path / "far.json"
    part = write_bundle(tmp_path / "part.tar", images, "linux/amd64")
    new_containerd.run(
        "images", "import", "--platform", "linux/amd64", str(part), namespace=namespace
    )
    ctr = ("-n", namespace, "--address", new_containerd.socket)
    assert _inventory("containerd:", *ctr, "-o", out).exit_code == 0
    blobs = {Digest.parse(text) for text in new_containerd.blobs(namespace)}
    found = _read(out)
    assert found.digests
    assert found.digests <= blobs
    assert found.digests < _digests(images, *images.names)
