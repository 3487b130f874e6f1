"""Layout: the contract, what others wrote, and what is on disk at every moment."""

from __future__ import annotations

import fcntl
import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from imgsync.content import VerifiedStream, read_verified
from imgsync.documents import reader_of
from imgsync.errors import (
    Conflict,
    ContentError,
    InvalidArchive,
    InvalidManifest,
    NotFound,
    StoreError,
)
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.model.lock import Lock
from imgsync.model.reference import Reference
from imgsync.stores import Listing, Resuming
from imgsync.stores.layout import Layout
from imgsync.walk import walk
from tests.store_contract import (
    BothAndHolding,
    DestinationContract,
    HoldingContract,
    blob,
    put,
    put_image,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.images import Images

NAME = Reference.parse("registry.example/team/app:1")


class TestLayout(DestinationContract, HoldingContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Layout:
        return Layout(tmp_path / "layout", create=True)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout", create=True)


def test_it_is_every_kind_of_store(layout: Layout) -> None:
    _both: BothAndHolding = layout
    _listing: Listing = layout
    _resuming: Resuming = layout
    assert isinstance(layout, Resuming)


def test_a_finished_layout_holds_nothing_but_a_layout(layout: Layout) -> None:
    root, items = put_image(layout)
    layout.name(NAME, root)
    assert sorted(path.name for path in layout.path.iterdir()) == [
        "blobs",
        "index.json",
        "oci-layout",
    ]
    files = [path.name for path in (layout.path / "blobs" / "sha256").iterdir()]
    assert sorted(files) == sorted(item.digest.hex for item in items)
    assert (layout.path / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    (entry,) = json.loads((layout.path / "index.json").read_bytes())["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": str(NAME),
        "org.opencontainers.image.ref.name": str(NAME),
    }
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in layout.path.rglob("*.json"))


def test_other_digest_algorithms_have_their_own_folder(layout: Layout) -> None:
    descriptor = blob(b"long", algorithm="sha512")
    put(layout, descriptor, b"long")
    assert read_verified(layout.open(descriptor), descriptor) == b"long"
    assert layout.sizes() == {descriptor.digest: 4}


def test_two_layouts_of_one_folder_do_not_disturb_each_other(layout: Layout) -> None:
    other = Layout(layout.path)
    root, _ = put_image(layout)
    layout.name(NAME, root)
    other.name(NAME.with_tag("2"), root)
    assert {str(item.name) for item in layout.bundle().roots} == {
        str(NAME),
        str(NAME.with_tag("2")),
    }


def test_somebody_else_writing_the_same_content_is_not_disturbed(layout: Layout) -> None:
    descriptor = blob(b"shared")
    growing = layout.path / ".imgsync" / f"sha256-{descriptor.digest.hex}"
    growing.parent.mkdir()
    with growing.open("wb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        theirs.write(b"sha")
        theirs.flush()
        put(layout, descriptor, b"shared")
        assert growing.read_bytes() == b"sha"
    assert layout.missing([descriptor]) == set()
    assert [path.name for path in growing.parent.iterdir()] == [growing.name]


def test_all_bytes_kept_without_a_rename_are_a_beginning(layout: Layout) -> None:
    descriptor = blob(b"whole")
    growing = layout.path / ".imgsync" / f"sha256-{descriptor.digest.hex}"
    growing.parent.mkdir()
    growing.write_bytes(b"whole")
    kept = layout.kept(descriptor)
    assert kept is not None
    with VerifiedStream(io.BytesIO(b"e"), descriptor, prefix=kept) as stream:
        layout.put(descriptor, stream)
    assert read_verified(layout.open(descriptor), descriptor) == b"whole"


def test_bytes_that_were_wrong_are_not_kept(layout: Layout) -> None:
    descriptor = blob(b"right")
    with pytest.raises(ContentError):
        put(layout, descriptor, b"wrong")
    assert layout.kept(descriptor) is None


def test_a_blob_of_another_size_is_missing(layout: Layout) -> None:
    descriptor = blob(b"data")
    put(layout, descriptor, b"data")
    (layout.path / "blobs" / "sha256" / descriptor.digest.hex).write_bytes(b"dat")
    assert layout.missing([descriptor]) == {descriptor.digest}


def test_a_bundle_in_a_folder_has_its_lock(layout: Layout) -> None:
    root, items = put_image(layout)
    roots = (Root(NAME, root, origin=f"{NAME}@{root.digest}", platforms="linux/amd64"),)
    graph = walk([root], reader_of(layout))
    absent = {items[1].digest: AbsentReason.PLATFORM}
    lock = Lock.make(Bundle(roots, absent), graph)
    layout.finish(roots, lock)
    assert layout.lock() == lock
    assert layout.bundle() == Bundle(roots, absent)
    layout.name(NAME.with_tag("moved"), root)
    other, _ = put_image(layout, b"other")
    with pytest.raises(Conflict):
        layout.name(NAME, other)


def test_an_extra_root_stands_beside_the_names(layout: Layout) -> None:
    root, _ = put_image(layout)
    signature, _ = put_image(layout, b"signature")
    extra = Root(None, signature, extra=f"{NAME.name}@{signature.digest}", subject=root.digest)
    layout.add_root(extra)
    layout.add_root(extra)
    layout.name(NAME, root)
    assert layout.bundle().roots == (Root(NAME, root), extra)


def test_entries_of_others_stay_as_they_are(layout: Layout, fixture_images: Images) -> None:
    fixture_images.write_layout(layout.path)
    before = json.loads((layout.path / "index.json").read_bytes())["manifests"]
    root, _ = put_image(layout)
    layout.name(NAME, root)
    after = json.loads((layout.path / "index.json").read_bytes())["manifests"]
    assert len(after) == len(before) + 1
    for entry in before:
        assert entry in after


def test_the_names_of_another_tool_are_read(tmp_path: Path, fixture_images: Images) -> None:
    layout = Layout(fixture_images.write_layout(tmp_path))
    names = {str(root.name) for root in layout.bundle().roots if root.name is not None}
    assert names == set(fixture_images.names)
    for name, root in fixture_images.names.items():
        assert str(layout.resolve(Reference.parse(name)).descriptor.digest) == root["digest"]
    unnamed = [root for root in layout.bundle().roots if root.name is None]
    assert len(unnamed) == len(fixture_images.unnamed)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', InvalidArchive),
        ("oci-layout", b"nonsense", InvalidArchive),
        ("index.json", b"nonsense", InvalidManifest),
        ("index.json", b'{"schemaVersion":2,"manifests":[],"layers":[]}', InvalidManifest),
        ("index.json", b'{"schemaVersion":2,"manifests":[{}]}', InvalidManifest),
        ("index.json", b'{"schemaVersion":2,"config":{},"layers":[]}', InvalidManifest),
    ],
)
def test_a_damaged_layout_is_refused(
    layout: Layout, name: str, data: bytes, error: type[ContentError]
) -> None:
    (layout.path / name).write_bytes(data)
    with pytest.raises(error):
        Layout(layout.path).bundle()


def test_a_digest_with_a_path_in_it_is_refused(layout: Layout) -> None:
    entry = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:../../../../etc/passwd",
        "size": 1,
    }
    value = {"schemaVersion": 2, "manifests": [entry]}
    (layout.path / "index.json").write_text(json.dumps(value))
    with pytest.raises(InvalidManifest, match="64 lower-case hex digits"):
        layout.bundle()


def test_a_folder_that_is_none_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file oci-layout"):
        Layout(tmp_path)
    with pytest.raises(NotFound):
        Layout(tmp_path / "absent")


def test_a_folder_with_other_things_is_not_made_a_layout(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    with pytest.raises(StoreError, match="neither empty nor"):
        Layout(tmp_path, create=True)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_pipe_in_place_of_a_blob_does_not_hang(layout: Layout) -> None:
    descriptor = blob(b"pipe")
    os.mkfifo(layout.path / "blobs" / "sha256" / descriptor.digest.hex)
    with pytest.raises(StoreError):
        layout.open(descriptor)
    assert layout.sizes() == {}
