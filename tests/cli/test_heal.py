"""`imgsync heal`: what ctr and disks break is whole again, for good."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imgsync.stores.containerd.lock import locked
from tests.cli.run import imgsync
from tests.images import Images
from tests.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry

pytestmark = pytest.mark.real

NAME = "registry.example/team/app:1"


@pytest.fixture
def node(containerd: Containerd, namespace: str) -> list[str]:
    return ["--address", str(containerd.socket), "-n", namespace]


@pytest.fixture
def images(namespace: str) -> Images:
    images = Images()
    children = [
        images.image(
            [images.layer({"n": f"{platform} {number} {namespace}".encode()}) for number in (1, 2)],
            platform=platform,
        )
        for platform in ("linux/amd64", "linux/arm64")
    ]
    children += [images.attestation(child) for child in list(children)]
    images.name(NAME, images.index(children))
    return images


@pytest.fixture
def source(images: Images, tmp_path: Path) -> Path:
    return images.write_archive(tmp_path / "good.tar")


def _layers(images: Images, position: int) -> list[str]:
    manifest = images.children(images.names[NAME])[position]
    return [item["digest"] for item in images.children(manifest)[1:]]


def test_what_a_default_import_left(
    node: list[str], containerd: Containerd, namespace: str, images: Images, source: Path
) -> None:
    containerd.ctr("images", "import", "--no-unpack", source, namespace=namespace)
    containerd.collect_garbage(namespace)
    lost = images.digests() - containerd.blobs(namespace)
    assert lost
    # Other platforms only when asked.
    assert "nothing to heal" not in imgsync("heal", *node, "--from", source).out
    left = images.digests() - containerd.blobs(namespace)
    assert set(_layers(images, 1)) <= left
    planned = imgsync("heal", *node, "--from", source, "--platform", "all", "--dry-run")
    assert "would be healed" in planned.out
    assert images.digests() - containerd.blobs(namespace) == left
    imgsync("heal", *node, "--from", source, "--platform", "all")
    containerd.collect_garbage(namespace)
    assert containerd.blobs(namespace) >= images.digests()
    assert set(containerd.images(namespace)) == {NAME}
    again = imgsync("heal", *node, "--from", source, "--platform", "all", "--hash")
    assert "nothing to heal" in again.out


def test_ingest_does_not_last(
    containerd: Containerd, namespace: str, images: Images, source: Path
) -> None:
    """Why it is done by an import."""
    containerd.ctr("images", "import", "--no-unpack", source, namespace=namespace)
    containerd.collect_garbage(namespace)
    before = containerd.blobs(namespace)
    for digest in images.digests() - before:
        size = str(len(images.blobs[digest]))
        words = ["--expected-size", size, "--expected-digest", digest, f"key-{digest}"]
        data = images.blobs[digest]
        containerd.ctr("content", "ingest", *words, namespace=namespace, stdin=data)
    assert images.digests() <= containerd.blobs(namespace)
    containerd.collect_garbage(namespace)
    assert not images.digests() <= containerd.blobs(namespace)


def test_bit_rot_in_two_namespaces(
    node: list[str], containerd: Containerd, namespace: str, images: Images, source: Path
) -> None:
    other = f"{namespace}-other"
    for place in (namespace, other):
        containerd.import_archive(source, place)
    own, foreign = _layers(images, 0)[0], _layers(images, 1)[0]
    for digest in (own, foreign, images.children(images.names[NAME])[0]["digest"]):
        containerd.damage_blob(digest)
    # Neither a second import nor a look finds it.
    containerd.import_archive(source, namespace)
    assert "complete" in containerd.ctr("images", "check", namespace=namespace)
    imgsync("check", *node, "--hash", code=4)
    ran = imgsync("heal", *node, "--from", source, "--hash", "--format", "json").json
    assert len(ran["damaged"]) == 3
    assert ran["sent_objects"] == 3
    containerd.collect_garbage(namespace)
    for place in (namespace, other):
        assert containerd.images(place) == {NAME: images.names[NAME]["digest"]}
        for digest in images.digests():
            assert containerd.read_blob(digest, place) == images.blobs[digest]


def test_a_source_that_does_not_have_it(
    node: list[str],
    containerd: Containerd,
    namespace: str,
    images: Images,
    source: Path,
    tmp_path: Path,
) -> None:
    containerd.import_archive(source, namespace)
    bad = _layers(images, 0)[0]
    containerd.damage_blob(bad)
    poor = images.write_archive(tmp_path / "poor.tar", leave_out=[bad])
    ran = imgsync("heal", *node, "--from", poor, "--hash", code=4)
    assert "does not have" in ran.err
    assert bad in containerd.blobs(namespace)
    # One that lies does no more harm either.
    lying = images.write_archive(
        tmp_path / "lying.tar", replace={bad: bytes(len(images.blobs[bad]))}
    )
    assert imgsync("heal", *node, "--from", lying, "--hash", code=4).err
    imgsync("heal", *node, "--from", source, "--hash")
    assert containerd.read_blob(bad, namespace) == images.blobs[bad]


def test_names_stay_as_they_are(
    node: list[str], containerd: Containerd, namespace: str, images: Images, source: Path
) -> None:
    containerd.import_archive(source, namespace)
    for name in ("redis:alpine", "Upper/Case"):
        containerd.name(NAME, name, namespace)
    containerd.ctr("images", "rm", NAME, namespace=namespace)
    containerd.ctr("content", "rm", images.names[NAME]["digest"], namespace=namespace)
    imgsync("heal", *node, "--from", source, "--platform", "all")
    assert set(containerd.images(namespace)) == {"redis:alpine", "Upper/Case"}
    containerd.collect_garbage(namespace)
    assert containerd.blobs(namespace) >= images.digests()


# --- sources: content by its digest, whatever it is called there --------------------------------


@pytest.fixture
def broken(containerd: Containerd, namespace: str, images: Images, source: Path) -> list[str]:
    """What the node lost of its one image: a layer, a manifest and the root itself."""
    containerd.import_archive(source, namespace)
    root = images.names[NAME]
    lost = [root["digest"], images.children(root)[0]["digest"], _layers(images, 0)[0]]
    for digest in lost:
        containerd.ctr("content", "rm", digest, namespace=namespace)
    return lost


@pytest.fixture
def is_whole(containerd: Containerd, namespace: str, images: Images) -> Callable[[], bool]:
    def is_whole() -> bool:
        containerd.collect_garbage(namespace)
        names = {name for name in containerd.images(namespace) if "@" not in name}
        return names == {NAME} and containerd.blobs(namespace) >= images.digests()

    return is_whole


def test_from_a_folder_that_names_nothing(
    node: list[str],
    images: Images,
    broken: list[str],
    is_whole: Callable[[], bool],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "layout"
    images.write_layout(folder)
    index = json.loads((folder / "index.json").read_bytes())
    for entry in index["manifests"]:
        entry.pop("annotations", None)
    (folder / "index.json").write_text(json.dumps(index))
    ran = imgsync("heal", *node, "--from", folder, "--platform", "all", "--format", "json").json
    assert ran["sent_objects"] >= len(broken)
    assert is_whole()


def test_from_a_folder_whose_index_is_empty(
    node: list[str],
    images: Images,
    broken: list[str],
    is_whole: Callable[[], bool],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "layout"
    images.write_layout(folder)
    (folder / "index.json").write_text('{"schemaVersion": 2, "manifests": []}')
    imgsync("heal", *node, "--from", folder, "--platform", "all")
    assert broken
    assert is_whole()


def test_from_a_bundle_and_a_delta_that_call_other_things_so(
    node: list[str],
    images: Images,
    source: Path,
    broken: list[str],
    is_whole: Callable[[], bool],
    tmp_path: Path,
) -> None:
    """Each has a part; both give the node's name to something else."""
    first, delta = tmp_path / "first.tar", tmp_path / "delta.tar"
    own = images.children(images.names[NAME])[0]
    images.names["registry.example/team/part:1"] = own
    part = images.write_archive(tmp_path / "part.tar", ["registry.example/team/part:1"])
    del images.names["registry.example/team/part:1"]
    imgsync("bundle", f"{part}={NAME}", "-o", first)
    imgsync("bundle", source, "--have", f"{first}.lock.json", "-o", delta)
    few = imgsync("heal", *node, "--from", delta, "--platform", "all", code=4)
    assert "does not have" in few.err
    imgsync("heal", *node, "--from", delta, "--from", first, "--platform", "all")
    assert broken
    assert is_whole()


def test_from_volumes(
    node: list[str],
    source: Path,
    broken: list[str],
    is_whole: Callable[[], bool],
    tmp_path: Path,
) -> None:
    imgsync("bundle", source, "-o", tmp_path / "v.tar", "--volume-size", "24K")
    volumes = sorted(path for path in tmp_path.glob("v*.tar"))
    assert len(volumes) > 1
    words = [word for volume in volumes for word in ("--from", volume)]
    imgsync("heal", *node, *words, "--platform", "all")
    assert broken
    assert is_whole()


@pytest.mark.parametrize("place", ["{host}", "{host}/{prefix}/", "{host}/{prefix}/team/app"])
def test_from_a_registry(
    node: list[str],
    registry: Registry,
    repository: str,
    images: Images,
    broken: list[str],
    is_whole: Callable[[], bool],
    place: str,
) -> None:
    """The tag there means something else by now; the digests are what counts."""
    prefix = "" if place == "{host}" else f"{repository}/"
    named = upload(registry.url, images, prefix=prefix)
    other = images.image([images.layer({"other": b"content"})])
    newer = Images(names={NAME: other}, blobs=images.blobs)
    upload(registry.url, newer, prefix=prefix)
    at = place.format(host=registry.host, prefix=repository)
    ran = imgsync("heal", *node, "--from", at, "--platform", "all", "--format", "json").json
    assert named
    assert ran["sent_objects"] >= len(broken)
    assert is_whole()


def test_a_registry_that_does_not_have_it(
    node: list[str],
    containerd: Containerd,
    namespace: str,
    registry: Registry,
    images: Images,
    source: Path,
) -> None:
    """Nothing is removed for what nobody has."""
    containerd.import_archive(source, namespace)
    bad = _layers(images, 0)[0]
    containerd.damage_blob(bad)
    ran = imgsync("heal", *node, "--from", f"{registry.host}/nothing/", "--hash", code=4)
    assert f"{registry.host}/nothing does not have" in ran.err
    assert bad in containerd.blobs(namespace)


def test_nothing_is_removed_while_another_run_works_there(
    node: list[str],
    containerd: Containerd,
    namespace: str,
    images: Images,
    source: Path,
) -> None:
    containerd.import_archive(source, namespace)
    bad = _layers(images, 0)[0]
    containerd.damage_blob(bad)
    with locked(str(containerd.socket.resolve()), namespace):
        ran = imgsync("heal", *node, "--from", source, "--hash", code=8)
    assert "another imgsync works on" in ran.err
    assert bad in containerd.blobs(namespace)
