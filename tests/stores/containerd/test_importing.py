"""Imports into a real containerd: what is there afterwards, and what never is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from imgsync.errors import (
    Conflict,
    ContainerdError,
    ContentError,
    DigestMismatch,
    LockHeld,
    MissingContent,
)
from imgsync.events import Copied, Named, Noted, Planned, Retried
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.stores.containerd.import_request import Carrier, OnExistingName
from imgsync.stores.containerd.lock import locked
from tests.images import OCI_INDEX, Images, sized_image

if TYPE_CHECKING:
    from imgsync.stores.containerd.namespace import Containerd
    from tests.servers.containerd import Containerd as Server
    from tests.stores.containerd.conftest import Loader

pytestmark = pytest.mark.real

BOTH = pytest.mark.parametrize("carrier", [Carrier.LOOPBACK, Carrier.STREAM])
NAME = "harbor.example.com/team/app:1"


def _three_platforms(salt: bytes = b"") -> Images:
    """An image for amd64, arm64 and arm/v7, each with an attestation; one layer is shared."""
    images = Images()
    shared = images.layer({"shared": b"by all" + salt})
    children = [
        images.image([shared, images.layer({"own": name.encode() + salt})], platform=name)
        for name in ("linux/amd64", "linux/arm64", "linux/arm/v7")
    ]
    children += [images.attestation(child) for child in list(children)]
    images.name(NAME, images.index(children))
    return images


def _own(images: Images, position: int) -> dict[str, set[str]]:
    """The digests of one platform: its manifest, its config, and the layer that only it has."""
    manifest = images.children(images.names[NAME])[position]
    config, _, own = images.children(manifest)
    return {
        "manifest": {manifest["digest"]},
        "config": {config["digest"]},
        "layer": {own["digest"]},
    }


def _twin(images: Images, name: str = NAME) -> str:
    return f"{name.rpartition(':')[0]}@{images.names[name]['digest']}"


@BOTH
def test_an_image_is_there_whole_under_its_names(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier
) -> None:
    images = _three_platforms()
    result = load(images, carrier=carrier)
    (image,) = result.imported
    assert (image.status, image.runs_here, image.state.is_whole) == ("imported", True, True)
    assert image.names == (NAME, _twin(images))
    digest = images.names[NAME]["digest"]
    assert containerd.images(ours.namespace) == {NAME: digest, _twin(images): digest}
    assert containerd.blobs(ours.namespace) == images.digests()
    containerd.collect_garbage(ours.namespace)
    assert containerd.blobs(ours.namespace) == images.digests()
    for blob in images.digests():
        assert containerd.read_blob(blob, ours.namespace) == images.blobs[blob]
    named = [event for event in load.events if isinstance(event, Named)]
    assert [event.name for event in named] == [NAME]
    copied = {str(event.descriptor.digest) for event in load.events if isinstance(event, Copied)}
    assert copied == images.digests()


@BOTH
def test_the_second_time_nothing_moves(load: Loader, carrier: Carrier) -> None:
    images = _three_platforms()
    load(images, carrier=carrier)
    result = load(images, carrier=carrier)
    assert [image.status for image in result.imported] == ["unchanged"]
    assert (result.n_moved, result.n_moved_bytes) == (0, 0)
    (planned,) = [event for event in load.events if isinstance(event, Planned)]
    assert planned.n_objects == 0
    assert planned.n_present == len(images.digests())


@BOTH
def test_only_what_is_new_moves(load: Loader, carrier: Carrier) -> None:
    images = Images()
    base = images.layer({"base": b"the same in both"})
    for tag in ("1", "2"):
        # Content of its own, or it would be adopted from the namespace of another test.
        own = images.layer({"own": f"{tag} {uuid4()}".encode()})
        images.name(
            f"harbor.example.com/team/app:{tag}",
            images.image([base, own], entrypoint=str(uuid4())),
        )
    load(images, ["harbor.example.com/team/app:1"], carrier=carrier)
    result = load(images, ["harbor.example.com/team/app:2"], carrier=carrier)
    assert [image.error for image in result.imported] == [None]
    assert result.n_moved == 3  # manifest, config, and the layer that is its own


@BOTH
def test_everything_that_an_image_can_be(
    load: Loader, ours: Containerd, containerd: Server, fixture_images: Images, carrier: Carrier
) -> None:
    result = load(fixture_images, carrier=carrier)
    assert not result.failures
    assert all(image.state.is_whole for image in result.imported)
    records = containerd.images(ours.namespace)
    for name, root in fixture_images.names.items():
        assert records[name] == root["digest"]
    assert containerd.blobs(ours.namespace) == fixture_images.digests(*fixture_images.names)
    again = load(fixture_images, carrier=carrier)
    assert {image.status for image in again.imported} == {"unchanged"}
    assert again.n_moved == 0


def test_names_are_changed_on_the_way(load: Loader, ours: Containerd, containerd: Server) -> None:
    images = Images()
    images.name("docker.io/library/redis:7", images.image([images.layer({"a": b"redis"})]))
    load(images, rename=lambda name: name.moved_to("harbor.example.com", "tmp/redis"))
    assert set(containerd.images(ours.namespace)) == {
        "harbor.example.com/tmp/redis:7",
        f"harbor.example.com/tmp/redis@{images.names['docker.io/library/redis:7']['digest']}",
    }


def test_two_names_of_one_image_are_one_import(load: Loader) -> None:
    images = _three_platforms()
    images.name("harbor.example.com/team/app:stable", images.names[NAME])
    images.name("other.example/app:1", images.names[NAME])
    result = load(images)
    (image,) = result.imported
    assert set(image.names) == {
        NAME,
        "harbor.example.com/team/app:stable",
        "other.example/app:1",
        _twin(images),
        _twin(images, "other.example/app:1"),
    }


@BOTH
def test_without_digests_only_the_name_stays(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier
) -> None:
    images = _three_platforms()
    result = load(images, twins=False, carrier=carrier)
    assert not result.failures
    assert set(containerd.images(ours.namespace)) == {NAME}
    containerd.collect_garbage(ours.namespace)
    assert containerd.blobs(ours.namespace) == images.digests()
    again = load(images, twins=False, carrier=carrier)
    assert [image.status for image in again.imported] == ["unchanged"]


def test_names_that_only_helped_go_together(
    load: Loader, ours: Containerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = _three_platforms()
    names = [NAME.replace("app", f"app{number}") for number in range(3)]
    for name in names:
        images.name(name, images.image([images.layer({"own": name.encode()})]))
    removed: list[tuple[str, ...]] = []
    remove = ours.images.remove

    def counted(*gone: str) -> None:
        removed.append(gone)
        remove(*gone)

    monkeypatch.setattr(ours.images, "remove", counted)
    assert not load(images, twins=False).failures
    assert set(ours.images.all()) == {NAME, *names}
    assert [len(gone) for gone in removed] == [4]


def test_a_twin_that_was_there_stays(load: Loader, ours: Containerd, containerd: Server) -> None:
    images = _three_platforms()
    load(images)
    load(images, twins=False, rename=lambda name: name.with_tag("2"))
    assert set(containerd.images(ours.namespace)) == {
        NAME,
        NAME.replace(":1", ":2"),
        _twin(images),
    }


def test_pinned_images_have_the_label_that_the_kubelet_heeds(
    load: Loader, ours: Containerd
) -> None:
    images = _three_platforms()
    load(images)
    assert all(not record.labels for record in ours.images.all().values())
    result = load(images, pin=True)
    assert result.imported[0].status == "unchanged"
    for record in ours.images.all().values():
        assert record.labels["io.cri-containerd.pinned"] == "pinned"


def test_other_labels_of_a_name_stay(load: Loader, ours: Containerd) -> None:
    load(_three_platforms(b"old"))
    ours.images.label(NAME, {"team.example": "ours"})
    load(_three_platforms(b"new"))
    assert ours.images.all()[NAME].labels["team.example"] == "ours"


def test_unpacking_is_a_second_step(load: Loader, ours: Containerd, containerd: Server) -> None:
    result = load(_three_platforms(), unpack=True)
    assert not result.failures
    snapshots = containerd.ctr("snapshots", "ls", namespace=ours.namespace).splitlines()
    notes = [event.message for event in load.events if isinstance(event, Noted)]
    # Not every machine has a file system that overlayfs works on.
    assert len(snapshots) == 3 or any("is there, but" in note for note in notes)


# --- other namespaces -------------------------------------------------------------------------


@BOTH
def test_what_another_namespace_has_is_adopted(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier
) -> None:
    images = sized_image(2, 400_000, name=NAME, seed=hash(carrier) % 1000)
    load(images, into=ours.other(f"{ours.namespace}.first"), carrier=carrier)
    result = load(images, carrier=carrier)
    assert not result.failures
    assert result.n_moved_bytes < 10_000  # documents and configs, at most
    assert containerd.blobs(ours.namespace) == images.digests()
    how = {event.how for event in load.events if isinstance(event, Copied)}
    assert "adopted" in how


# --- names that stand -------------------------------------------------------------------------


@BOTH
def test_what_a_name_meant_before_is_told(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier
) -> None:
    old, new = _three_platforms(b"old"), _three_platforms(b"new")
    load(old)
    result = load(new, carrier=carrier)
    before, after = old.names[NAME]["digest"], new.names[NAME]["digest"]
    assert result.imported[0].before == {NAME: Digest.parse(before)}
    (note,) = [event.message for event in load.events if isinstance(event, Noted)]
    assert note == f"replacing {NAME}: {before} -> {after}"
    assert containerd.images(ours.namespace)[NAME] == after
    assert containerd.images(ours.namespace)[_twin(old)] == before  # and so it can be put back


def test_a_name_that_stands_can_be_an_error(
    load: Loader, ours: Containerd, containerd: Server
) -> None:
    old, new = _three_platforms(b"old"), _three_platforms(b"new")
    load(old)
    with pytest.raises(Conflict) as conflict:
        load(new, on_existing_name=OnExistingName.ERROR)
    assert old.names[NAME]["digest"] in conflict.value.message
    assert new.names[NAME]["digest"] in conflict.value.message
    assert containerd.images(ours.namespace)[NAME] == old.names[NAME]["digest"]
    assert containerd.blobs(ours.namespace) == old.digests()
    assert not load(old, on_existing_name=OnExistingName.ERROR).failures


# --- damage -----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
def test_a_corrupt_blob_stops_just_its_image(
    load: Loader,
    ours: Containerd,
    containerd: Server,
    carrier: Carrier,
    kind: str,
) -> None:
    images = _three_platforms(f"{carrier}{kind}".encode())
    other = "harbor.example.com/team/other:1"
    images.name(other, images.image([images.layer({"other": f"{carrier}{kind}".encode()})]))
    (bad,) = _own(images, 1)[kind]
    damaged = bytearray(images.blobs[bad])
    damaged[len(damaged) // 2] ^= 1
    result = load(images, replace={bad: bytes(damaged)}, carrier=carrier)
    assert [image.status for image in result.imported] == ["failed", "imported"]
    error = result.imported[0].error
    assert isinstance(error, ContentError)
    assert str(load.folder) in error.message  # the side that is wrong
    assert bad.partition(":")[2][:12] in error.message
    assert set(containerd.images(ours.namespace)) == {other, _twin(images, other)}
    containerd.collect_garbage(ours.namespace)
    assert containerd.blobs(ours.namespace) == images.digests(other)


@BOTH
def test_a_good_archive_after_a_corrupt_one(load: Loader, carrier: Carrier) -> None:
    images = _three_platforms(f"again{carrier}".encode())
    (bad,) = _own(images, 0)["layer"]
    assert load(images, replace={bad: b"not it"}, carrier=carrier).failures
    assert not load(images, carrier=carrier).failures


def test_a_size_that_lies_is_found_before_the_first_write(
    load: Loader, ours: Containerd, containerd: Server
) -> None:
    images = Images()
    layer = images.layer({"a": b"lies about its size"})
    layer.descriptor["size"] += 1
    images.name(NAME, images.image([layer]))
    result = load(images)
    assert isinstance(result.imported[0].error, ContentError)
    assert containerd.blobs(ours.namespace) == set()


def test_a_poisoned_member_does_no_harm(load: Loader, ours: Containerd, containerd: Server) -> None:
    """What a killed `ctr images import` left of a blob, plain ctr would go on with for a day."""
    images = sized_image(1, 3_000_000, name=NAME, seed=77)
    good = images.write_archive(load.folder / "good.tar")
    layer = images.children(images.names[NAME])[1]["digest"]
    bad = images.write_archive(
        load.folder / "bad.tar", replace={layer: bytes(len(images.blobs[layer]))}
    )
    with bad.open("rb") as file:
        cut = file.read(1_500_000)
    ended = containerd.run(
        "images",
        "import",
        "--all-platforms",
        "--no-unpack",
        "-",
        namespace=ours.namespace,
        stdin=cut,
    )
    assert ended.returncode != 0
    del good
    for carrier in Carrier:
        result = load(images, carrier=carrier)
        assert not result.failures
        assert containerd.blobs(ours.namespace) == images.digests()


def test_what_plain_ctr_left_incomplete_is_healed(
    load: Loader, ours: Containerd, containerd: Server
) -> None:
    images = _three_platforms(b"heal")
    lost = _own(images, 1)["layer"] | _own(images, 2)["config"]
    path = images.write_archive(load.folder / "holes.tar", leave_out=lost)
    # Plain ctr takes the name from another annotation than the fixture's; it is the same image.
    containerd.import_archive(path, ours.namespace)
    assert NAME in containerd.images(ours.namespace)
    check = containerd.ctr("images", "check", namespace=ours.namespace)
    assert "complete (" in check
    assert "incomplete (" not in check
    result = load(images)
    assert (result.imported[0].status, result.n_moved) == ("imported", 2)
    containerd.collect_garbage(ours.namespace)
    assert containerd.blobs(ours.namespace) == images.digests()


def test_what_garbage_collection_would_take_is_brought_again(
    load: Loader, ours: Containerd, containerd: Server
) -> None:
    """A default import leaves the other platforms unheld: there now, gone later."""
    images = _three_platforms(b"later")
    path = images.write_archive(load.folder / "default.tar")
    containerd.ctr("images", "import", "--no-unpack", path, namespace=ours.namespace)
    result = load(images)
    assert not result.failures
    containerd.collect_garbage(ours.namespace)
    assert containerd.blobs(ours.namespace) == images.digests()


@BOTH
def test_digests_of_another_algorithm(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier
) -> None:
    """Only a fetch of containerd 2.3 keeps them; everything else would name them otherwise."""
    data = f"named by sha512 {carrier}".encode()
    layer = Descriptor(
        "application/vnd.oci.image.layer.v1.tar", Digest.of(data, "sha512"), len(data)
    )
    images = Images()
    config = images.image([images.layer({"a": data})])
    manifest = images.json(config["digest"])
    manifest["layers"] = [layer.to_json()]
    images.blobs[str(layer.digest)] = data
    images.name(NAME, images.blob(config["mediaType"], json.dumps(manifest).encode()))
    (image,) = load(images, carrier=carrier, as_layout=True).imported
    can = carrier is Carrier.LOOPBACK and ours.ctr.versions()["server"] >= (2, 3, 0)
    if can:
        assert image.state.is_whole
        assert str(layer.digest) in containerd.blobs(ours.namespace)
    else:
        assert isinstance(image.error, ContainerdError)
        assert "sha512" in image.error.message
        assert containerd.images(ours.namespace) == {}
        assert containerd.blobs(ours.namespace) == set()


# --- images in part ---------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kinds", [("config", "layer"), ("manifest", "config", "layer")])
@pytest.mark.parametrize("declared", [True, False])
def test_the_nodes_platform_is_enough(
    load: Loader,
    ours: Containerd,
    containerd: Server,
    carrier: Carrier,
    kinds: tuple[str, ...],
    declared: bool,
) -> None:
    images = _three_platforms(f"part{carrier}{kinds}{declared}".encode())
    lost = set().union(*(_own(images, position)[kind] for kind in kinds for position in (1, 2)))
    if declared:
        result = load(images, carrier=carrier, absent=lost)
    else:
        result = load(images, carrier=carrier, leave_out=lost)
    (image,) = result.imported
    assert (image.status, image.error, image.runs_here) == ("imported", None, True)
    assert not image.state.is_whole
    assert [state.label for state in image.state.whole] == ["linux/amd64"]
    notes = [event.message for event in load.events if isinstance(event, Noted)]
    assert any("linux/arm64" in note and "linux/arm/v7" in note for note in notes)
    # 2.x asks for what is absent, unless it is told not to; then all of it would come twice.
    assert not [event for event in load.events if isinstance(event, Retried)]
    records = containerd.images(ours.namespace)
    assert records[NAME] == images.names[NAME]["digest"]  # the index keeps its digest
    containerd.collect_garbage(ours.namespace)
    there = containerd.blobs(ours.namespace)
    amd64 = {part["digest"] for part in images.closure(images.children(images.names[NAME])[0])}
    assert amd64 <= there
    if "manifest" not in kinds:
        assert there == images.digests() - lost
    # Later, the whole one comes, and only the rest of it moves.
    result = load(images, carrier=carrier)
    assert (result.imported[0].status, result.imported[0].state.is_whole) == ("imported", True)
    assert containerd.blobs(ours.namespace) == images.digests()


@BOTH
@pytest.mark.parametrize("kind", ["manifest", "config", "layer"])
def test_without_the_nodes_platform_nothing_is_written(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier, kind: str
) -> None:
    images = _three_platforms()
    result = load(images, leave_out=_own(images, 0)[kind], carrier=carrier)
    error = result.imported[0].error
    assert isinstance(error, MissingContent)
    assert "linux/amd64" in error.message
    assert containerd.blobs(ours.namespace) == set()
    assert containerd.images(ours.namespace) == {}


def test_another_platform_can_be_asked_for(
    load: Loader, ours: Containerd, containerd: Server
) -> None:
    images = _three_platforms()
    lost = set().union(*_own(images, 0).values())
    result = load(images, absent=lost, required=Platform("linux", "arm64"))
    (image,) = result.imported
    assert (image.status, image.runs_here) == ("imported", False)
    del ours, containerd


def test_an_image_of_another_platform_alone_is_whole(load: Loader) -> None:
    images = Images()
    images.name(NAME, images.image([images.layer({"a": b"arm"})], platform="linux/arm64"))
    (image,) = load(images).imported
    assert (image.status, image.state.is_whole, image.runs_here) == ("imported", True, False)


@BOTH
def test_what_the_namespace_has_need_not_come(
    load: Loader, ours: Containerd, containerd: Server, carrier: Carrier
) -> None:
    """A delta: the archive lacks what it relies on, and that may be manifests too."""
    images = _three_platforms(f"delta{carrier}".encode())
    load(images)
    shared = images.names[NAME]
    more = Images(blobs=dict(images.blobs))
    extra = more.image([more.layer({"new": f"{carrier}".encode()})], platform="linux/s390x")
    more.name("harbor.example.com/team/app:2", more.index([*images.children(shared), extra]))
    relied_on = images.digests() - {shared["digest"]}
    result = load(more, absent=relied_on, carrier=carrier)
    assert not result.failures
    assert result.imported[0].state.is_whole
    assert result.n_moved == 4
    assert containerd.blobs(ours.namespace) == images.digests() | more.digests()


# --- several runs at once ---------------------------------------------------------------------


def test_two_runs_do_not_meet(load: Loader, ours: Containerd) -> None:
    images = _three_platforms()
    with (
        locked(ours.ctr.place, ours.namespace),
        pytest.raises(LockHeld, match=r"process \d+, since "),
    ):
        load(images)
    assert not load(images).failures


def test_many_images_at_once(load: Loader, ours: Containerd, containerd: Server) -> None:
    images = Images()
    base = images.layer({"base": b"of all"})
    for number in range(40):
        own = images.layer({"own": b"%d" % number})
        images.name(f"harbor.example.com/many/app{number}:1", images.image([base, own]))
    result = load(images)
    assert not result.failures
    assert containerd.blobs(ours.namespace) == images.digests()
    assert set(images.names) <= set(containerd.images(ours.namespace))


def test_one_bad_image_of_many(load: Loader, ours: Containerd, containerd: Server) -> None:
    images = Images()
    for number in range(8):
        own = images.layer({"own": b"bad %d" % number})
        images.name(f"harbor.example.com/many/bad{number}:1", images.image([own]))
    bad = images.children(images.names["harbor.example.com/many/bad3:1"])[1]["digest"]
    result = load(images, replace={bad: b"not it"})
    assert [image.status for image in result.imported].count("imported") == 7
    ((name, error),) = result.failures
    assert name == "harbor.example.com/many/bad3:1"
    assert isinstance(error, (ContentError, DigestMismatch))
    assert name not in containerd.images(ours.namespace)


def test_an_index_without_platforms(load: Loader) -> None:
    images = Images()
    child = images.image([images.layer({"a": b"no platform"})])
    del child["platform"]
    images.name(NAME, images.index([child]))
    (image,) = load(images).imported
    assert (image.status, image.runs_here) == ("imported", True)


def test_what_is_asked_for_by_digest_alone(
    load: Loader, ours: Containerd, containerd: Server
) -> None:
    images = _three_platforms()
    digest = Digest.parse(images.names[NAME]["digest"])
    result = load(images, rename=lambda name: name.at(digest), twins=False)
    assert not result.failures
    assert set(containerd.images(ours.namespace)) == {_twin(images)}
    assert json.loads(containerd.read_blob(str(digest), ours.namespace))["mediaType"] == OCI_INDEX
    assert ours.resolve(Reference.parse(_twin(images))).descriptor.digest == digest
