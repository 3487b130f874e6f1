"""``imgsync diff``: whatever is compared, the result is on standard output and in the status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from imgsync.cli import main
from imgsync.cli.targets import Target
from imgsync.errors import InvalidImageList
from tests.bundles import lock_of, memory_of, write_bundle
from tests.images import Images
from tests.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

APP = "registry.example/team/app:1"


def _images(app: bytes = b"app") -> Images:
    images = Images()
    base = images.layer({"base": b"base"})
    children = [
        images.image([base, images.layer({"app": app + name.encode()})], platform=f"linux/{name}")
        for name in ("amd64", "arm64")
    ]
    images.name(APP, images.index(children))
    images.name("registry.example/team/tool:1", images.image([base]))
    return images


def _diff(*args: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, args)])


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "old.tar", _images())


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "new.tar", _images(b"better"))


def test_nothing_differs(old: Path, tmp_path: Path) -> None:
    lock = tmp_path / "old.tar.lock.json"
    lock.write_bytes(lock_of(memory_of(_images())).to_bytes())
    layout = tmp_path / "layout"
    _images().write_layout(layout)
    archive = _images().write_archive(tmp_path / "foreign.tar")
    for other in (lock, layout, f"oci:{layout}", archive):
        result = _diff(old, other)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout.startswith("the same: 2 images, 10 objects, ")


def test_what_runs_nowhere_has_its_tag_as_its_name_in_a_bundle_too(tmp_path: Path) -> None:
    images = _images()
    images.name("registry.example/charts/app:1", images.artifact("application/x", b"chart"))
    layout = images.write_layout(tmp_path / "layout")
    made = CliRunner().invoke(main, ["bundle", f"oci:{layout}", "-o", str(tmp_path / "a.tar")])
    assert made.exit_code == 0, made.output
    result = _diff(layout, tmp_path / "a.tar")
    assert result.exit_code == 0, result.output


def test_what_differs_is_a_table_and_status_10(old: Path, new: Path) -> None:
    result = _diff(old, new)
    assert (result.exit_code, result.stderr) == (10, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["CHANGE", "IMAGE", "BEFORE", "AFTER", "PLATFORMS", "NEW"]
    assert lines[1].split()[:2] == ["moved", APP]
    assert "images: 1 same, 1 moved" in lines
    assert "tool" not in result.stdout, "what is the same is not told one by one"
    assert not any(line.startswith("new: 0 ") for line in lines)


def test_verbose_shows_the_layers(old: Path, new: Path) -> None:
    lines = _diff(old, new, "-v").stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("  linux/amd64:"))
    assert " -> " in lines[start]
    marks = [line[4] for line in lines[start + 1 : start + 4]]
    assert marks == [" ", "-", "+"]
    assert lines[start + 3].endswith("  new")


def test_verbose_tells_a_new_configuration(old: Path, tmp_path: Path) -> None:
    images = _images()
    base = images.layer({"base": b"base"})
    images.name("registry.example/team/tool:1", images.image([base], entrypoint="/bin/other"))
    result = _diff(old, write_bundle(tmp_path / "new.tar", images), "--verbose")
    assert "the layers are the same, the configuration is another" in result.stdout


def test_json(old: Path, new: Path) -> None:
    result = _diff(old, new, "--format", "json")
    assert result.exit_code == 10
    value = json.loads(result.stdout)
    assert (value["first"], value["second"], value["same"]) == (str(old), str(new), False)
    assert [image["change"] for image in value["images"]] == ["moved", "same"]


def test_fewer_platforms(old: Path, tmp_path: Path) -> None:
    part = write_bundle(tmp_path / "part.tar", _images(), "linux/amd64")
    result = _diff(old, part)
    assert result.exit_code == 10
    assert "-linux/arm64" in result.stdout
    assert _diff(old, part, "--platform", "linux/amd64").exit_code == 0


def test_images_are_compared_under_new_names(old: Path, tmp_path: Path) -> None:
    images = _images()
    for name in list(images.names):
        new_name = name.replace("registry.example", "harbor.example/project")
        images.names[new_name] = images.names.pop(name)
    moved = write_bundle(tmp_path / "moved.tar", images)
    assert "renamed" in _diff(old, moved).stdout
    assert _diff(old, moved, "--to", "harbor.example/project").exit_code == 0
    chosen = _diff(old, moved, "--to", "harbor.example/project", "--image", "*/tool:1")
    assert chosen.stdout.startswith("the same: 1 image, ")


def test_a_glob_that_means_nothing_is_an_error(old: Path, new: Path) -> None:
    result = _diff(old, new, "--image", "nginx*")
    assert result.exit_code == 5
    assert "has an image nginx*" in result.stderr


def test_hostile_names_move_no_cursor(old: Path, tmp_path: Path) -> None:
    images = _images()
    folder = tmp_path / "layout"
    images.write_layout(folder)
    index = folder / "index.json"
    index.write_text(index.read_text().replace(APP, "\\u001b[2J" + APP))
    result = _diff(old, folder)
    assert result.exit_code == 10
    assert "\x1b" not in result.stdout


@pytest.mark.real
def test_a_registry_by_one_reference_and_by_a_list(
    old: Path, registry: Registry, repository: str, tmp_path: Path
) -> None:
    uploaded = upload(registry.url, _images(), prefix=f"{repository}/")
    to = ("--to", f"{registry.host}/{repository}")
    listing = tmp_path / "images.txt"
    listing.write_text("# ours\n" + "\n".join(uploaded.values()) + "\n")
    result = _diff(old, listing, *to)
    assert (result.exit_code, result.stdout[:9]) == (0, "the same:")
    named = tmp_path / "named.txt"
    named.write_text("".join(f"{there} {name}\n" for name, there in uploaded.items()))
    assert _diff(old, named).exit_code == 0
    one = _diff(old, uploaded[APP], *to)
    assert "images: 1 same, 1 removed" in one.stdout


@pytest.mark.real
def test_what_a_list_names_and_the_registry_lacks_differs(
    old: Path, registry: Registry, repository: str, tmp_path: Path
) -> None:
    images = _images()
    uploaded = upload(registry.url, images, names=[APP], prefix=f"{repository}/")
    listing = tmp_path / "images.txt"
    missing = uploaded[APP].replace("/app:1", "/tool:1")
    listing.write_text(f"{uploaded[APP]}\n{missing}\n")
    result = _diff(old, listing, "--to", f"{registry.host}/{repository}")
    assert result.exit_code == 10
    assert f"removed  {missing}" in result.stdout
    assert "tool" in result.stderr
    assert _diff(old, missing).exit_code == 5


@pytest.mark.real
def test_a_namespace(old: Path, new_containerd: Containerd, namespace: str) -> None:
    ctr = ("-n", namespace, "--address", str(new_containerd.socket))
    assert "images: 2 removed" in _diff(old, "containerd:", *ctr).stdout
    new_containerd.import_archive(old, namespace)
    result = _diff(old, "containerd:", *ctr)
    assert (result.exit_code, result.stdout[:9]) == (0, "the same:")


def test_what_an_argument_is(tmp_path: Path, old: Path) -> None:
    assert not Target.read(str(old)).is_list
    listing = tmp_path / "images.txt"
    listing.write_text("quay.io/a/b:1\nredis:7\n")
    target = Target.read(str(listing))
    assert target.is_list
    assert list(target.hosts) == ["quay.io", "docker.io"]
    listing.write_text("{}")
    with pytest.raises(InvalidImageList):
        Target.read(str(listing))
