"""Bundles are whole, the same bytes every time, and go on where a run stopped."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from imgsync.bundling.bundle import Bundled, bundle_to_file, bundle_to_stream
from imgsync.bundling.request import BundleOptions, Request
from imgsync.errors import AllFailed, Conflict, LockHeld, NotFound, Unreachable
from imgsync.events import Event, Noted, ignore
from imgsync.model.bundle import AbsentReason
from imgsync.model.digest import Digest
from imgsync.model.lock import Lock
from imgsync.model.platform import Platform, PlatformChoice
from imgsync.model.reference import Reference
from imgsync.stores.archive.journal import Journal
from tests.bundling.stores import Breaking, Counting, memory_of, requests_of
from tests.images import INDEX_TYPES, MANIFEST_TYPES, Images, random_images

AMD64 = Platform("linux", "amd64")


def bundle(requests: list[Request], path: Path, **options: object) -> Bundled:
    return bundle_to_file(requests, path, AMD64, BundleOptions(**options), ignore)  # type: ignore[arg-type]


KEY = "io.containerd.image.name"


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            member.name: file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }


def layers_of(images: Images, *names: str) -> list[str]:
    """The digests of all that is no document or config, sorted."""
    return sorted(
        layer["digest"]
        for digest in images.digests(*(names or images.names))
        for layer in _layers(images.blobs[digest])
    )


def _layers(data: bytes) -> list[dict[str, str]]:
    value = json.loads(data) if data.startswith(b"{") else {}
    layers: list[dict[str, str]] = value.get("layers", [])
    return layers


def test_a_bundle_holds_every_child_of_every_root(tmp_path: Path, fixture_images: Images) -> None:
    source = memory_of(fixture_images)
    bundle(requests_of(source, fixture_images.names), tmp_path / "site.tar")
    found = members(tmp_path / "site.tar")
    for digest in fixture_images.digests(*fixture_images.names):
        assert (
            found[f"blobs/sha256/{digest.removeprefix('sha256:')}"] == fixture_images.blobs[digest]
        )
    index = json.loads(found["index.json"])
    notes = [entry["annotations"] for entry in index["manifests"]]
    names = [note[KEY] for note in notes if KEY in note]
    extras = [note["io.imgsync.extra.name"] for note in notes if KEY not in note]
    assert sorted(names + extras) == sorted(fixture_images.names)
    assert [name for name in extras if name.endswith(".sig")]
    assert [*names, *extras] == sorted(names) + sorted(extras)
    assert list(found)[-3:] == ["oci-layout", "manifest.json", "index.json"]
    lock = found[f"blobs/sha256/{index['annotations']['io.imgsync.lock'].removeprefix('sha256:')}"]
    assert (tmp_path / "site.tar.lock.json").read_bytes() == lock
    assert sorted(file.name for file in tmp_path.iterdir()) == ["site.tar", "site.tar.lock.json"]


@pytest.mark.parametrize("jobs", [1, 8])
def test_the_same_images_give_the_same_bytes_whatever_the_order(
    tmp_path: Path, fixture_images: Images, jobs: int
) -> None:
    source = memory_of(fixture_images)
    names = list(fixture_images.names)
    bundle(requests_of(source, names), tmp_path / "a.tar")
    bundle(requests_of(source, reversed(names)), tmp_path / "b.tar", jobs=jobs)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_stream_has_the_same_bytes_as_a_file(tmp_path: Path, fixture_images: Images) -> None:
    source = memory_of(fixture_images)
    requests = requests_of(source, fixture_images.names)
    bundle(requests, tmp_path / "site.tar")
    out = io.BytesIO()
    bundle_to_stream(requests, out, AMD64, BundleOptions(), ignore)
    assert out.getvalue() == (tmp_path / "site.tar").read_bytes()


def test_the_same_plan_again_writes_nothing(tmp_path: Path, fixture_images: Images) -> None:
    source = memory_of(fixture_images)
    requests = requests_of(source, fixture_images.names)
    path = tmp_path / "site.tar"
    bundle(requests, path)
    before = path.stat()
    again = bundle(requests, path)
    assert again.made.unchanged
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(file.name for file in tmp_path.iterdir()) == ["site.tar", "site.tar.lock.json"]


def test_every_object_is_read_once(tmp_path: Path, fixture_images: Images) -> None:
    source = Counting(memory_of(fixture_images))
    bundle(requests_of(source, fixture_images.names), tmp_path / "site.tar")
    wanted = {Digest.parse(text) for text in fixture_images.digests(*fixture_images.names)}
    assert source.opened == dict.fromkeys(wanted, 1)
    assert source.n_resolved == len(fixture_images.names)


def test_a_run_that_stopped_goes_on_and_reads_nothing_twice(tmp_path: Path) -> None:
    images = random_images(7, n_images=4)
    memory = memory_of(images)
    whole = tmp_path / "whole.tar"
    bundle(requests_of(memory, images.names), whole)

    path = tmp_path / "site.tar"
    layers = layers_of(images)
    broken = Digest.parse(layers[0])
    counting = Counting(memory)
    breaking = Breaking(counting, lambda item: item.digest == broken)
    with pytest.raises(AllFailed, match="no bundle was made") as stopped:
        bundle(requests_of(breaking, images.names), path, retries=0)
    assert stopped.value.exit_code == Unreachable.exit_code
    assert not path.exists()
    assert (tmp_path / "site.tar.partial").exists()

    bundle(requests_of(counting, images.names), path)
    assert path.read_bytes() == whole.read_bytes()
    assert set(counting.opened.values()) == {1}
    assert counting.n_resolved == len(images.names)  # by the first run alone
    assert not list(tmp_path.glob("site.tar.partial*"))


def test_going_on_says_how_old_the_digests_are(tmp_path: Path) -> None:
    images = random_images(7, n_images=2)
    path = tmp_path / "site.tar"
    with pytest.raises(AllFailed):
        bundle(
            requests_of(
                Breaking(memory_of(images), lambda item: not item.is_document), images.names
            ),
            path,
            retries=0,
        )
    events: list[Event] = []
    requests = requests_of(memory_of(images), images.names)
    bundle_to_file(requests, path, AMD64, BundleOptions(), events.append)
    notes = [event.message for event in events if isinstance(event, Noted)]
    assert any("an earlier run resolved" in note and "--refresh" in note for note in notes)


def test_damaged_kept_bytes_are_fetched_again(tmp_path: Path) -> None:
    images = random_images(3, n_images=3)
    memory = memory_of(images)
    path = tmp_path / "site.tar"
    bundle(requests_of(memory, images.names), tmp_path / "whole.tar")
    layers = layers_of(images)
    broken = Digest.parse(layers[-1])
    with pytest.raises(AllFailed):
        bundle(
            requests_of(Breaking(memory, lambda item: item.digest == broken), images.names),
            path,
            retries=0,
        )
    partial = tmp_path / "site.tar.partial"
    data = bytearray(partial.read_bytes())
    position = data.index(images.blobs[layers[0]])
    data[position] ^= 1
    partial.write_bytes(data)
    bundle(requests_of(memory, images.names), path)
    assert path.read_bytes() == (tmp_path / "whole.tar").read_bytes()


def test_another_plan_takes_what_the_first_one_fetched(tmp_path: Path) -> None:
    images = random_images(7, n_images=4)
    names = sorted(images.names)
    memory = memory_of(images)
    path = tmp_path / "site.tar"
    layers = layers_of(images)
    broken = Digest.parse(layers[0])
    counting = Counting(memory)
    with pytest.raises(AllFailed):
        bundle(
            requests_of(Breaking(counting, lambda item: item.digest == broken), names),
            path,
            retries=0,
        )
    bundle(requests_of(counting, names[:2]), path)
    assert max(counting.opened.values()) == 1
    bundle(requests_of(memory, names[:2]), tmp_path / "direct.tar")
    assert path.read_bytes() == (tmp_path / "direct.tar").read_bytes()
    assert not list(tmp_path.glob("site.tar.partial*"))


def test_an_update_takes_blobs_from_the_bundle_that_is_there(tmp_path: Path) -> None:
    images = random_images(5, n_images=4)
    names = sorted(images.names)
    path = tmp_path / "site.tar"
    bundle(requests_of(memory_of(images), names[:3]), path)
    counting = Counting(memory_of(images))
    bundle(requests_of(counting, names), path)
    fetched = {str(digest) for digest in counting.opened} & set(layers_of(images))
    assert fetched == set(layers_of(images, names[3])) - set(layers_of(images, *names[:3]))


def test_chosen_platforms_keep_the_digest_and_declare_the_rest(
    tmp_path: Path, fixture_images: Images
) -> None:
    name = "registry.example/team/app:1.0"
    source = memory_of(fixture_images)
    choice = PlatformChoice.parse(["linux/amd64"])
    bundle(requests_of(source, [name], choice), tmp_path / "site.tar")
    lock = json.loads((tmp_path / "site.tar.lock.json").read_bytes())
    found = members(tmp_path / "site.tar")
    absent = set(lock["absent"]["platform-not-chosen"])
    present = {f"sha256:{key.rpartition('/')[2]}" for key in found if key.startswith("blobs/")}
    whole = fixture_images.digests(name)
    assert absent
    assert absent | (present & whole) == whole
    assert not absent & present
    assert lock["images"][0]["root"]["digest"] == fixture_images.names[name]["digest"]


def test_a_platform_that_is_lacking_is_named_with_what_there_is(
    tmp_path: Path, fixture_images: Images
) -> None:
    source = memory_of(fixture_images)
    requests = requests_of(
        source, list(fixture_images.names)[:1], PlatformChoice.parse(["linux/s390x"])
    )
    with pytest.raises(AllFailed) as failed:
        bundle(requests, tmp_path / "site.tar")
    assert "has no linux/s390x; it has linux/amd64" in failed.value.failures[0][1].message
    assert failed.value.exit_code == NotFound.exit_code
    assert not list(tmp_path.iterdir())


def test_all_that_cannot_be_resolved_is_listed_together(
    tmp_path: Path, fixture_images: Images
) -> None:
    source = memory_of(fixture_images)
    good = next(iter(fixture_images.names))
    requests = requests_of(source, ["nowhere.example/a:1", good, "nowhere.example/b:1"])
    with pytest.raises(AllFailed) as failed:
        bundle(requests, tmp_path / "site.tar")
    assert [label for label, _ in failed.value.failures] == [
        "nowhere.example/a:1",
        "nowhere.example/b:1",
    ]
    assert not list(tmp_path.iterdir())
    made = bundle(requests, tmp_path / "site.tar", keep_going=True)
    assert len(made.prepared.failures) == 2
    lock = json.loads((tmp_path / "site.tar.lock.json").read_bytes())
    assert lock["failed"] == ["nowhere.example/a:1", "nowhere.example/b:1"]


def test_one_name_for_two_images_is_refused(tmp_path: Path) -> None:
    images = random_images(2, n_images=2)
    source = memory_of(images)
    name = Reference.parse("registry.example/same:1")
    requests = [
        Request(text, source, reference=Reference.parse(text), name=name) for text in images.names
    ]
    with pytest.raises(Conflict, match="asked for twice with different content"):
        bundle(requests, tmp_path / "site.tar")


def test_two_runs_at_once_are_told_apart(tmp_path: Path, fixture_images: Images) -> None:
    with (
        Journal(tmp_path / "site.tar.partial.journal"),
        pytest.raises(LockHeld, match="another run"),
    ):
        bundle(requests_of(memory_of(fixture_images), fixture_images.names), tmp_path / "site.tar")


def test_a_delta_leaves_out_what_the_receiver_has_and_says_so(tmp_path: Path) -> None:
    images = random_images(7, n_images=4)
    names = sorted(images.names)
    memory = memory_of(images)
    bundle(requests_of(memory, names[:3]), tmp_path / "old.tar")
    there = frozenset(Digest.parse(text) for text in images.digests(*names[:3]))
    delta = tmp_path / "delta.tar"
    bundle(requests_of(memory, names), delta, have=there)
    lock = Lock.parse((tmp_path / "delta.tar.lock.json").read_bytes())
    found = {f"sha256:{key[-64:]}" for key in members(delta) if key.startswith("blobs/")}
    absent = {str(digest) for digest in lock.absent}
    assert set(lock.absent.values()) == {AbsentReason.RECEIVER}
    assert absent == {d for d in images.digests(*names[:3]) if not is_document(images, d)}
    assert (found & images.digests(*names)) | absent == images.digests(*names)
    assert delta.stat().st_size < (tmp_path / "old.tar").stat().st_size


def is_document(images: Images, digest: str) -> bool:
    """Whether the fixture's object is an index or a manifest."""
    return any(
        item["digest"] == digest and item["mediaType"] in INDEX_TYPES | MANIFEST_TYPES
        for item in images.closure(*images.names.values())
    )
