"""``imgsync retag`` on bundles, folders, and what cannot be retagged as it is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from imgsync.bundling.bundle import bundle_to_file
from imgsync.bundling.request import BundleOptions
from imgsync.cli import main
from imgsync.events import ignore
from imgsync.model.lock import DOCKER_PLATFORM
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from tests.bundling.stores import memory_of, requests_of
from tests.images import Images
from tests.servers.containerd import Containerd

if TYPE_CHECKING:
    from imgsync.stores import Holding

TO = "harbor.example.com/tmp"


def _retag(*args: object) -> Result:
    return CliRunner().invoke(main, ["retag", *map(str, args)])


def _labels(holding: Holding) -> list[str]:
    return [root.label for root in holding.bundle().roots]


def _contents(holding: Holding) -> list[str]:
    return sorted(str(root.descriptor.digest) for root in holding.bundle().roots)


@pytest.fixture
def bundle(tmp_path: Path, fixture_images: Images) -> Path:
    path = tmp_path / "site.tar"
    requests = requests_of(memory_of(fixture_images), fixture_images.names)
    bundle_to_file(requests, path, DOCKER_PLATFORM, BundleOptions(), ignore)
    return path


def test_a_new_bundle_gets_the_names_and_the_old_one_keeps_its_own(
    bundle: Path, tmp_path: Path
) -> None:
    before = bundle.read_bytes()
    result = _retag(bundle, "--to", TO, "-o", tmp_path / "moved.tar")
    assert result.exit_code == 0, result.output
    assert f"registry.example/team/app:1.0 -> {TO}/team/app:1.0" in result.stdout.splitlines()
    old, new = open_archive(bundle), open_archive(tmp_path / "moved.tar")
    assert bundle.read_bytes() == before
    assert all(label.startswith(f"{TO}/") for label in _labels(new))
    assert _contents(new) == _contents(old)


def test_in_place_twice_is_in_place_once(bundle: Path) -> None:
    first = _retag(bundle, "--to", TO, "--in-place", "--format", "json")
    after = bundle.read_bytes()
    assert {"from": "registry.example/team/app:1.0", "to": f"{TO}/team/app:1.0"} in json.loads(
        first.stdout
    )["renamed"]
    second = _retag(bundle, "--to", TO, "--in-place")
    assert second.stdout == "unchanged: every image has its name already\n"
    assert bundle.read_bytes() == after


def test_one_image_gets_a_name_and_its_signatures_follow_the_last_of_a_repository(
    bundle: Path,
) -> None:
    def signature() -> str:
        return next(label for label in _labels(open_archive(bundle)) if label.endswith(".sig"))

    first = _retag(bundle, "--image", "*/team/app:1.0", "new.example/x/app:2", "--in-place")
    assert first.exit_code == 0, first.output
    labels = _labels(open_archive(bundle))
    assert "new.example/x/app:2" in labels
    assert "registry.example/team/app:latest" in labels
    assert signature().startswith("registry.example/team/app:sha256-")
    _retag(bundle, "--image", "*/team/app:1.1", "new.example/x/app:3", "--in-place")
    _retag(bundle, "--image", "*/team/app:latest", "new.example/x/app:latest", "--in-place")
    assert signature().startswith("new.example/x/app:sha256-")


def test_only_chosen_images_are_renamed(bundle: Path) -> None:
    result = _retag(bundle, "--to", TO, "--in-place", "--image", "*/docker/*")
    assert result.exit_code == 0, result.output
    labels = _labels(open_archive(bundle))
    assert f"{TO}/docker/list:1" in labels
    assert "registry.example/team/app:1.0" in labels


def test_a_dry_run_changes_nothing(bundle: Path) -> None:
    before = bundle.read_bytes()
    result = _retag(bundle, "--to", TO, "--dry-run")
    assert result.stdout.splitlines()[-1].endswith("names would change")
    assert bundle.read_bytes() == before


def test_a_conflict_is_told_before_anything_is_written(bundle: Path, tmp_path: Path) -> None:
    before = bundle.read_bytes()
    result = _retag(bundle, "--map", "**=h.example/all/one:1", "-o", tmp_path / "x.tar")
    assert result.exit_code == 2
    assert "would both be called h.example/all/one:1" in result.stderr
    assert bundle.read_bytes() == before
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "the new names are missing"),
        (("--to", TO, "a:1"), "NAME and --to exclude each other"),
        (("--to", TO), "where to is missing"),
        (("--to", TO, "-o", "x.tar", "--in-place"), "-o and --in-place exclude each other"),
        (("a:1", "--in-place"), "one name, and"),
        (("--to", TO, "--in-place", "--image", "nothing*"), "has no such image"),
    ],
)
def test_what_is_unclear_is_asked_back(bundle: Path, args: tuple[str, ...], said: str) -> None:
    result = _retag(bundle, *args)
    assert result.exit_code in {2, 5}
    assert said in result.stderr


def test_a_foreign_layout_keeps_what_else_its_index_says(
    tmp_path: Path, fixture_images: Images
) -> None:
    folder = tmp_path / "layout"
    fixture_images.write_layout(folder)
    index = json.loads((folder / "index.json").read_text())
    index["annotations"] = {"org.example.note": "kept"}
    index["manifests"][0]["annotations"]["org.example.part"] = "kept too"
    (folder / "index.json").write_text(json.dumps(index))
    old = _contents(Layout(folder))
    assert _retag(f"oci:{folder}", "--to", TO, "-o", "x").exit_code == 2
    result = _retag(f"oci:{folder}", "--to", TO, "--in-place")
    assert result.exit_code == 0, result.output
    after = json.loads((folder / "index.json").read_text())
    assert after["annotations"] == {"org.example.note": "kept"}
    assert after["manifests"][0]["annotations"]["org.example.part"] == "kept too"
    layout = Layout(folder)
    assert _contents(layout) == old
    assert f"{TO}/team/app:1.0" in _labels(layout)
    assert [path.name for path in sorted(folder.iterdir())] == [
        "blobs",
        "index.json",
        "oci-layout",
    ]


def test_an_image_of_an_archive_is_named_behind_its_path(bundle: Path) -> None:
    source = f"oci-archive:{bundle}:registry.example/docker/list:1"
    result = _retag(source, "new.example/list:2", "--in-place")
    assert result.stdout == "registry.example/docker/list:1 -> new.example/list:2\n"
    result = _retag(f"oci-archive:{bundle}:nothing", "new.example/list:2", "--in-place")
    assert result.exit_code == 5


def test_what_others_wrote_becomes_a_bundle_first(
    tmp_path: Path, bundle: Path, fixture_images: Images
) -> None:
    foreign, old = tmp_path / "foreign.tar", tmp_path / "old.tar"
    fixture_images.write_archive(foreign)
    fixture_images.write_docker_save(old, "registry.example/layers/none:1")
    compressed = tmp_path / "site.tar.gz"
    compressed.write_bytes(gzip.compress(bundle.read_bytes()))
    for path in (foreign, old, compressed):
        before = path.read_bytes()
        result = _retag(path, "--to", TO, "--in-place")
        assert result.exit_code == 2, (path, result.output)
        assert "imgsync bundle" in result.stderr
        assert path.read_bytes() == before


def test_registries_are_not_retagged() -> None:
    result = _retag("docker://quay.io/a/b:1", "--to", TO, "--in-place")
    assert result.exit_code == 2
    assert "imgsync push quay.io/a/b:1 --to" in result.stderr


# --- containerd -------------------------------------------------------------------------------

OLD, NEW = "registry.example/team/app:1.0", "harbor.example.com/tmp/team/app:1.0"


def _in(containerd: Containerd, namespace: str, *args: object) -> Result:
    return _retag(*args, "--address", containerd.socket, "-n", namespace)


@pytest.mark.real
def test_in_containerd_a_name_is_added(
    containerd: Containerd, namespace: str, fixture_images: Images, tmp_path: Path
) -> None:
    containerd.import_archive(fixture_images.write_archive(tmp_path / "a.tar", [OLD]), namespace)
    digest = fixture_images.names[OLD]["digest"]
    dry = _in(containerd, namespace, f"containerd:{OLD}", "--to", TO, "--dry-run")
    assert dry.stdout == f"{OLD} -> {NEW}\n1 name would change\n"
    assert set(containerd.images(namespace)) == {OLD}
    result = _in(containerd, namespace, f"containerd:{OLD}", "--to", TO)
    assert result.stdout == f"{OLD} -> {NEW}\n", result.output
    twin = f"harbor.example.com/tmp/team/app@{digest}"
    assert containerd.images(namespace) == {OLD: digest, NEW: digest, twin: digest}
    again = _in(containerd, namespace, f"containerd:{OLD}", "--to", TO)
    assert again.stdout == "unchanged: every image has its name already\n"


@pytest.mark.real
def test_in_containerd_a_name_is_taken_away_only_by_force(
    containerd: Containerd, namespace: str, fixture_images: Images, tmp_path: Path
) -> None:
    other = "registry.example/team/app:1.1"
    archive = fixture_images.write_archive(tmp_path / "a.tar", [OLD, other])
    containerd.import_archive(archive, namespace)
    digests = [fixture_images.names[name]["digest"] for name in (OLD, other)]
    refused = _in(containerd, namespace, f"containerd:{OLD}", other)
    assert refused.exit_code == 2
    assert all(digest in refused.stderr for digest in digests)
    assert containerd.images(namespace)[other] == digests[1]
    forced = _in(containerd, namespace, f"containerd:{OLD}", other, "--force")
    assert forced.exit_code == 0, forced.output
    assert f"meant {digests[1]}, and now {digests[0]}" in forced.stderr
    assert containerd.images(namespace)[other] == digests[0]


@pytest.mark.real
def test_in_containerd_one_image_is_named(containerd: Containerd, namespace: str) -> None:
    whole = _in(containerd, namespace, "containerd:", "--to", TO)
    assert whole.exit_code == 2
    assert "names no image" in whole.stderr
    to_file = _in(containerd, namespace, f"containerd:{OLD}", "--to", TO, "-o", "x.tar")
    assert to_file.exit_code == 2
    absent = _in(containerd, namespace, f"containerd:{OLD}", "--to", TO)
    assert absent.exit_code == 5
