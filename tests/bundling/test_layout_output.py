"""A bundle as an OCI layout folder (``-o oci:DIR``): with its lock, and all that it declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.bundling.bundle import bundle_to_store
from imgsync.bundling.request import BundleOptions
from imgsync.errors import Conflict
from imgsync.events import ignore
from imgsync.model.lock import DOCKER_PLATFORM
from imgsync.model.platform import PlatformChoice
from imgsync.stores.layout import Layout
from imgsync.verify import verify
from tests.bundling.stores import memory_of, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from imgsync.bundling.bundle import Bundled
    from tests.images import Images

APP = "registry.example/team/app:1.0"
OTHER = "registry.example/team/app:1.1"


def make(folder: Path, images: Images, names: Iterable[str], choice: str = "all") -> Bundled:
    requests = requests_of(memory_of(images), names, PlatformChoice.parse([choice]))
    layout = Layout(folder, create=True)
    return bundle_to_store(requests, layout, DOCKER_PLATFORM, BundleOptions(), ignore)


def test_it_is_a_bundle(tmp_path: Path, fixture_images: Images) -> None:
    made = make(tmp_path, fixture_images, fixture_images.names)
    layout = Layout(tmp_path)
    assert layout.lock() == made.prepared.lock
    assert {root.label for root in layout.bundle().roots} == set(fixture_images.names)
    assert verify(layout, deep=True).findings == ()


def test_what_was_left_out_is_declared(tmp_path: Path, fixture_images: Images) -> None:
    make(tmp_path, fixture_images, [APP], "linux/amd64")
    found = verify(Layout(tmp_path))
    assert found.findings == ()
    assert found.partial == ("linux/amd64",)


def test_the_same_again_writes_nothing(tmp_path: Path, fixture_images: Images) -> None:
    make(tmp_path, fixture_images, [APP])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    made = make(tmp_path, fixture_images, [APP])
    assert made.made.unchanged
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after


def test_another_list_makes_it_another_bundle(tmp_path: Path, fixture_images: Images) -> None:
    make(tmp_path, fixture_images, [APP])
    make(tmp_path, fixture_images, [OTHER])
    layout = Layout(tmp_path)
    assert [root.label for root in layout.bundle().roots] == [OTHER]
    assert verify(layout).is_ok


def test_images_of_others_are_not_lost(tmp_path: Path, fixture_images: Images) -> None:
    fixture_images.write_layout(tmp_path, [OTHER])
    before = (tmp_path / "index.json").read_bytes()
    with pytest.raises(Conflict, match="holds other images"):
        make(tmp_path, fixture_images, [APP])
    assert (tmp_path / "index.json").read_bytes() == before
