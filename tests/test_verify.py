"""Verification: whatever is wrong is found, all of it, and nothing else."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgsync.errors import ContentError, ImgsyncError, InvalidArchive, NotFound
from imgsync.model.bundle import AbsentReason
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.model.tar_layout import tar_layout
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from imgsync.stores.memory import Memory
from imgsync.stores.selected import Selected
from imgsync.verify import verify
from imgsync.verifying.findings import Level
from tests.bundles import bundle_bytes, lock_of, memory_of, write_bundle
from tests.images import (
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Images,
    Layer,
    digest_of,
    random_images,
    tar_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.verifying.verdicts import Verification

FOREIGN = Path(__file__).parent.parent / "fixtures" / "foreign"
APP = "registry.example/team/app:1"


@pytest.fixture
def images() -> Images:
    """An image of two platforms with attestations, one of one platform, and a signature."""
    images = Images()
    base = images.layer({"base": b"shared by both"})
    children = []
    for platform in ("linux/amd64", "linux/arm64"):
        layer = images.layer({"app": platform.encode()})
        child = images.image([base, layer], platform=platform, entrypoint=f"/{platform}")
        children += [child, images.attestation(child)]
    root = images.index(children)
    images.name(APP, root)
    images.name("registry.example/team/other:1", images.image([images.layer({"o": b"other"})]))
    images.referrer(root, "application/vnd.example.sbom", b"sbom", "registry.example/team/app")
    return images


def errors(found: Verification) -> list[str]:
    assert found.is_ok is not any(item.level is Level.ERROR for item in found.findings)
    return [str(item) for item in found.findings if item.level is Level.ERROR]


def archive(path: Path) -> Verification:
    return verify(open_archive(path), deep=True)


def manifest_of(images: Images, platform: str) -> dict[str, Any]:
    """The manifest of the app for a platform."""
    for child in images.children(images.names[APP]):
        if child["platform"] == dict(zip(("os", "architecture"), platform.split("/"), strict=True)):
            return images.json(child["digest"])
    raise AssertionError(platform)


# --- what is right ----------------------------------------------------------------------------


def test_a_bundle_is_whole(tmp_path: Path, images: Images) -> None:
    found = archive(write_bundle(tmp_path / "site.tar", images))
    assert errors(found) == []
    assert found.findings == ()
    assert found.partial == ()
    assert found.n_objects == len(images.digests()) + 1
    assert found.images[0].platforms == ("linux/amd64", "linux/arm64")


def test_every_fixture_is_whole_as_bundle_layout_and_archive(
    tmp_path: Path, fixture_images: Images
) -> None:
    assert archive(write_bundle(tmp_path / "site.tar", fixture_images)).findings == ()
    layout = Layout(fixture_images.write_layout(tmp_path / "layout"))
    assert errors(verify(layout, deep=True)) == []
    assert errors(archive(fixture_images.write_archive(tmp_path / "oci.tar"))) == []
    assert errors(verify(memory_of(fixture_images), deep=True)) == []


@pytest.mark.parametrize("seed", range(5))
def test_images_of_any_shape_are_whole(tmp_path: Path, seed: int) -> None:
    images = random_images(seed)
    found = archive(write_bundle(tmp_path / "site.tar", images))
    assert errors(found) == []
    assert found.n_objects == len(images.digests()) + 1


def test_a_bundle_of_some_platforms_is_partial_and_right(tmp_path: Path, images: Images) -> None:
    found = archive(write_bundle(tmp_path / "site.tar", images, "linux/amd64"))
    assert found.findings == ()
    assert found.partial == ("linux/amd64",)
    assert found.declared > 0
    assert [image.is_partial for image in found.images] == [True, False, False]


def test_only_what_was_chosen_must_be_there(tmp_path: Path, images: Images) -> None:
    arm = {layer["digest"] for layer in manifest_of(images, "linux/arm64")["layers"]}
    arm -= {layer["digest"] for layer in manifest_of(images, "linux/amd64")["layers"]}
    path = images.write_archive(tmp_path / "oci.tar", [APP], leave_out=arm)
    assert errors(archive(path))
    chosen = verify(open_archive(path), choice=PlatformChoice.parse(["linux/amd64"]))
    assert errors(chosen) == []
    assert chosen.images[0].platforms == ("linux/amd64",)
    with pytest.raises(NotFound, match="has no linux/s390x"):
        verify(open_archive(path), choice=PlatformChoice.parse(["linux/s390x"]))


def test_only_the_images_that_were_chosen_are_looked_at(tmp_path: Path, images: Images) -> None:
    whole = images.json(images.names["registry.example/team/other:1"]["digest"])
    layer = whole["layers"][0]["digest"]
    path = images.write_archive(tmp_path / "oci.tar", replace={layer: b"damaged"})
    inner = open_archive(path)
    assert errors(verify(inner))
    good = [root for root in inner.bundle().roots if root.label == APP]
    assert errors(verify(Selected(inner, good))) == []


def test_progress_tells_all_bytes(tmp_path: Path, images: Images) -> None:
    events: list[Any] = []
    found = verify(open_archive(write_bundle(tmp_path / "b.tar", images)), report=events.append)
    planned = [event for event in events if hasattr(event, "n_objects")]
    advanced = sum(event.n_bytes for event in events if not hasattr(event, "n_objects"))
    assert [event.n_bytes for event in planned] == [advanced]
    assert 0 < advanced < found.n_bytes


# --- what is wrong ----------------------------------------------------------------------------


def test_all_damage_is_found_with_everybody_it_concerns(tmp_path: Path, images: Images) -> None:
    amd, arm = (manifest_of(images, name) for name in ("linux/amd64", "linux/arm64"))
    base, own = (layer["digest"] for layer in amd["layers"])
    flipped = bytes([images.blobs[own][0] ^ 1]) + images.blobs[own][1:]
    config = arm["config"]["digest"]
    path = images.write_archive(
        tmp_path / "oci.tar",
        replace={own: flipped, base: images.blobs[base] + b"more"},
        leave_out=[config],
    )
    found = archive(path)
    text = "\n".join(errors(found))
    assert len(errors(found)) == 3
    assert f"{APP} linux/amd64: layer {own[:19]}: is corrupt" in text
    assert f"{APP} linux/amd64, linux/arm64: layer {base[:19]}: has more than" in text
    assert f"{APP} linux/arm64: config {config[:19]}: is absent" in text
    assert [image.is_ok for image in found.images] == [False, True, True]
    assert all(item.advice for item in found.findings if item.level is Level.ERROR)


def test_a_foreign_layer_that_was_left_out_is_named_as_such(
    tmp_path: Path, fixture_images: Images
) -> None:
    """What oras and regctl write lacks them."""
    name = "registry.example/windows/app:1"
    foreign = [
        part["digest"]
        for part in fixture_images.closure(fixture_images.names[name])
        if part.get("urls")
    ]
    found = archive(fixture_images.write_archive(tmp_path / "oci.tar", [name], leave_out=foreign))
    assert foreign
    assert [item.digest for item in found.findings] == [Digest.parse(text) for text in foreign]
    assert all("a foreign layer" in item.advice for item in found.findings)


def test_a_damaged_document_is_found(tmp_path: Path, images: Images) -> None:
    root = images.names[APP]["digest"]
    path = images.write_archive(tmp_path / "oci.tar", replace={root: images.blobs[root] + b" "})
    (error, *_) = errors(archive(path))
    assert f"{APP}: index {root[:19]}" in error


def test_an_absent_root_is_found(tmp_path: Path, images: Images) -> None:
    root = images.names[APP]["digest"]
    path = images.write_archive(tmp_path / "oci.tar", leave_out=[root])
    assert errors(archive(path)) == [f"{APP}: index {root[:19]}: is absent"]


def test_a_platform_that_was_not_saved_is_one_line(tmp_path: Path, images: Images) -> None:
    arm = manifest_of(images, "linux/arm64")
    own = [arm["config"]["digest"], arm["layers"][1]["digest"]]
    path = images.write_archive(tmp_path / "oci.tar", [APP], leave_out=own)
    (error,) = errors(archive(path))
    assert error.endswith("only linux/amd64 is whole; absent: linux/arm64")


def test_a_lying_size_is_found(tmp_path: Path) -> None:
    for size in (1, 100_000):
        images = Images()
        layer = images.layer({"a": b"b"})
        lying = Layer({**layer.descriptor, "size": size}, layer.diff_id)
        images.name(APP, images.image([lying]))
        (error,) = errors(archive(images.write_archive(tmp_path / "oci.tar")))
        assert f"its descriptor says {size}" in error


def test_two_descriptions_of_one_digest_are_found(tmp_path: Path) -> None:
    images = Images()
    layer = images.layer({"a": b"b"})
    lying = Layer({**layer.descriptor, "size": 1}, layer.diff_id)
    images.name(APP, images.index([images.image([layer]), images.image([lying], entrypoint="/x")]))
    assert any("described twice" in text for text in errors(archive(_oci(images, tmp_path))))


def _oci(images: Images, folder: Path) -> Path:
    return images.write_archive(folder / "oci.tar")


def test_indexes_below_each_other_without_end_are_found(tmp_path: Path) -> None:
    images = Images()
    root = images.image([])
    for _ in range(20):
        root = images.index([root])
    images.name(APP, root)
    assert any("nested more than 8" in text for text in errors(archive(_oci(images, tmp_path))))


def test_a_layer_that_says_it_is_a_manifest_is_found() -> None:
    images = Images()
    layer = images.layer({"a": b"b"})
    index = {"schemaVersion": 2, "manifests": [{**layer.descriptor, "mediaType": OCI_MANIFEST}]}
    images.name(APP, images.blob("application/vnd.oci.image.index.v1+json", _json(index)))
    (error,) = errors(verify(_memory_without_walk(images)))
    assert "manifest sha256:" in error


def _memory_without_walk(images: Images) -> Memory:
    memory = Memory()
    memory.blobs = {Digest.parse(digest): data for digest, data in images.blobs.items()}
    memory.roots = [memory_root(Descriptor.from_json(images.names[APP]))]
    return memory


def test_config_and_layers_must_agree(tmp_path: Path) -> None:
    images = Images()
    layer = images.layer({"a": b"b"})
    manifest = images.json(images.image([layer, layer])["digest"])
    manifest["layers"].pop()
    images.name(APP, images.blob(manifest["mediaType"], json.dumps(manifest).encode()))
    (error,) = errors(archive(_oci(images, tmp_path)))
    assert "has 2 diff_ids, its manifest has 1 layers" in error


def test_a_platform_that_the_config_denies_is_a_warning(tmp_path: Path) -> None:
    images = Images()
    child = images.image([], platform="linux/arm64")
    child["platform"] = {"os": "linux", "architecture": "amd64"}
    images.name(APP, images.index([child]))
    found = archive(_oci(images, tmp_path))
    assert errors(found) == []
    (warning,) = found.findings
    assert warning.level is Level.WARNING
    assert "is for linux/arm64, the index says linux/amd64" in str(warning)


@pytest.mark.parametrize(
    "config", [b"{", b"[]", b"{}", b'{"rootfs":{"type":"layers","diff_ids":["x"]}}']
)
def test_a_config_that_is_none_is_found(tmp_path: Path, config: bytes) -> None:
    images = Images()
    value = {
        "schemaVersion": 2,
        "config": images.blob(OCI_CONFIG, config),
        "layers": [],
    }
    images.name(APP, images.blob("application/vnd.oci.image.manifest.v1+json", _json(value)))
    assert len(errors(archive(_oci(images, tmp_path)))) == 1


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_deep_finds_another_diff_id(tmp_path: Path, compression: str) -> None:
    images = Images()
    layer = images.layer({"a": b"b"}, compression=compression)
    wrong = Layer(layer.descriptor, digest_of(b"something else"))
    images.name(APP, images.image([wrong]))
    path = _oci(images, tmp_path)
    assert errors(verify(open_archive(path))) == []
    (error,) = errors(archive(path))
    assert "when decompressed, its config says sha256:" in error


def test_deep_finds_what_does_not_decompress(tmp_path: Path) -> None:
    images = Images()
    good = images.layer({"a": bytes(5000)})
    cut = images.blob(OCI_LAYER + "+gzip", images.blobs[good.descriptor["digest"]][:-20])
    images.name(APP, images.image([Layer(cut, good.diff_id)]))
    (error,) = errors(archive(_oci(images, tmp_path)))
    assert "the gzip data ends early" in error


def test_one_name_for_two_images_is_found() -> None:
    images = Images()
    memory = memory_of(images)
    for arch in ("amd64", "arm64"):
        root = Descriptor.from_json(images.image([], platform=f"linux/{arch}"))
        memory.roots.append(memory_root(root))
    memory.blobs = {Digest.parse(digest): data for digest, data in images.blobs.items()}
    (error,) = errors(verify(memory))
    assert "one name means 2 images" in error


def memory_root(root: Descriptor) -> Any:
    from imgsync.model.bundle import Root

    return Root(Reference.parse(APP), root)


def test_declared_absence_of_a_store_is_no_finding(images: Images) -> None:
    memory = memory_of(images)
    digest = Digest.parse(manifest_of(images, "linux/arm64")["layers"][1]["digest"])
    del memory.blobs[digest]
    assert errors(verify(memory))
    memory.absent[digest] = AbsentReason.RECEIVER
    assert errors(verify(memory)) == []


def test_unneeded_blobs_are_hashed_and_told(tmp_path: Path, images: Images) -> None:
    folder = images.write_layout(tmp_path)
    blobs = folder / "blobs" / "sha256"
    (blobs / digest_of(b"left behind")[7:]).write_bytes(b"left behind")
    found = verify(Layout(folder))
    assert found.is_ok
    assert ["1 blobs that no image needs" in str(item) for item in found.findings] == [True]
    (blobs / digest_of(b"damaged")[7:]).write_bytes(b"other bytes")
    (error,) = errors(verify(Layout(folder)))
    assert "blob sha256:" in error


# --- both views -------------------------------------------------------------------------------


@pytest.fixture
def combined() -> dict[str, bytes]:
    """The members of an archive that docker wrote."""
    folder = FOREIGN / "docker-graph-driver-image-store"
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _pack(members: dict[str, bytes], path: Path) -> Path:
    path.write_bytes(tar_of(members))
    return path


def test_both_views_agree_in_what_docker_writes(tmp_path: Path, combined: dict[str, bytes]) -> None:
    assert errors(archive(_pack(combined, tmp_path / "docker.tar"))) == []


def _other_image(members: dict[str, bytes]) -> None:
    images = Images()
    other = images.json(images.image([images.layer({"x": b"evil"}, compression="none")])["digest"])
    config, layer = other["config"]["digest"], other["layers"][0]["digest"]
    for digest in (config, layer):
        members[f"blobs/sha256/{digest[7:]}"] = images.blobs[digest]
    _change_docker(members, Config=f"blobs/sha256/{config[7:]}")
    _change_docker(members, Layers=[f"blobs/sha256/{layer[7:]}"])


def _change_docker(members: dict[str, bytes], **fields: Any) -> None:
    entries = json.loads(members["manifest.json"])
    entries[0].update(fields)
    members["manifest.json"] = json.dumps(entries).encode()


VIEWS: dict[str, tuple[Callable[[dict[str, bytes]], object], str]] = {
    "another image": (_other_image, "index.json has none"),
    "no layers": (lambda m: _change_docker(m, Layers=[]), "are not those of index.json"),
    "absent layer": (
        lambda m: _change_docker(m, Layers=["blobs/sha256/" + "0" * 64]),
        "which is not there",
    ),
    "absent config": (lambda m: _change_docker(m, Config="x.json"), "which is not there"),
    "path out": (lambda m: _change_docker(m, Config="../x"), "leads out"),
    "no JSON": (lambda m: m.update({"manifest.json": b"["}), "not JSON"),
    "no list": (lambda m: m.update({"manifest.json": b"{}"}), "is not a list"),
    "no object": (lambda m: m.update({"manifest.json": b"[1]"}), "is not an object"),
    "no config": (lambda m: m.update({"manifest.json": b"[{}]"}), "has no Config"),
    "tags no texts": (lambda m: _change_docker(m, RepoTags=[1]), "not a list of texts"),
}


@pytest.mark.parametrize("case", VIEWS)
def test_views_that_differ_are_found(tmp_path: Path, combined: dict[str, bytes], case: str) -> None:
    change, problem = VIEWS[case]
    change(combined)
    text = "\n".join(errors(archive(_pack(combined, tmp_path / "docker.tar"))))
    assert problem in text


def test_a_name_that_means_two_images_is_found(tmp_path: Path, combined: dict[str, bytes]) -> None:
    index = json.loads(combined["index.json"])
    images = Images()
    other = images.image([])
    combined |= {f"blobs/sha256/{digest[7:]}": data for digest, data in images.blobs.items()}
    entry = {**other, "annotations": index["manifests"][0].pop("annotations")}
    index["manifests"].append(entry)
    combined["index.json"] = json.dumps(index).encode()
    (error,) = errors(archive(_pack(combined, tmp_path / "docker.tar")))
    assert "is one image in manifest.json, another in index.json" in error


def test_a_name_that_only_docker_sees_is_a_warning(
    tmp_path: Path, combined: dict[str, bytes]
) -> None:
    _change_docker(combined, RepoTags=["hello-world:linux", "evil:1", "Bad:1"])
    found = archive(_pack(combined, tmp_path / "docker.tar"))
    assert found.is_ok
    warnings = [str(item) for item in found.findings if item.level is Level.WARNING]
    assert len(warnings) == 2


# --- our own bundle ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_bundle() -> bytes:
    images = Images()
    child = images.image([images.layer({"a": b"b"})], docker=True)
    images.name("registry.example/a:1", images.index([child], docker=True))
    images.name("registry.example/a:2", images.names["registry.example/a:1"])
    memory = memory_of(images)
    return bundle_bytes(memory, lock_of(memory))


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_byte_of_a_bundle_can_be_changed(
    tmp_path: Path, small_bundle: bytes, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, len(small_bundle) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != small_bundle[offset]))
    assert _is_caught(tmp_path, small_bundle[:offset] + bytes([other]) + small_bundle[offset + 1 :])


@pytest.mark.slow
def test_no_part_of_a_bundle_can_be_changed(tmp_path: Path, small_bundle: bytes) -> None:
    for offset in range(0, len(small_bundle), 3):
        changed = bytearray(small_bundle)
        changed[offset] ^= 1 << offset % 8
        assert _is_caught(tmp_path, bytes(changed)), offset


@pytest.mark.parametrize("step", [1, 511, 512, 1024, 3000])
def test_no_end_of_a_bundle_can_be_cut_off(tmp_path: Path, small_bundle: bytes, step: int) -> None:
    assert _is_caught(tmp_path, small_bundle[:-step])


@pytest.mark.parametrize("more", [b"x", bytes(1), bytes(512), bytes(10240), b"x" * 512])
def test_nothing_can_be_added_to_a_bundle(tmp_path: Path, small_bundle: bytes, more: bytes) -> None:
    assert _is_caught(tmp_path, small_bundle + more)


def _is_caught(folder: Path, data: bytes) -> bool:
    path = folder / "changed.tar"
    path.write_bytes(data)
    try:
        return not verify(open_archive(path)).is_ok
    except ContentError:
        return True


def test_a_bundle_that_was_packed_again_is_found(tmp_path: Path, small_bundle: bytes) -> None:
    """The same members, in another order and with other headers."""
    with tarfile.open(fileobj=io.BytesIO(small_bundle)) as archive_file:
        members = {
            item.name: (archive_file.extractfile(item) or io.BytesIO()).read()
            for item in archive_file
        }
    path = _pack(dict(reversed(members.items())), tmp_path / "again.tar")
    assert any("expected at byte" in text for text in errors(archive(path)))


def test_names_may_be_changed_if_everything_follows(tmp_path: Path, images: Images) -> None:
    memory = memory_of(images)
    lock = lock_of(memory)
    moved = tuple(
        root.named(root.name.moved_to("harbor.example", "tmp/app")) if root.name else root
        for root in lock.roots
        if root.label != "registry.example/team/other:1"
    ) + tuple(root for root in lock.roots if root.label == "registry.example/team/other:1")
    path = tmp_path / "moved.tar"
    path.write_bytes(bundle_bytes(memory, lock, tar_layout(lock, moved)))
    found = archive(path)
    assert found.findings == ()
    assert found.images[0].root.origin.startswith(APP)


def test_a_bundle_with_a_blob_more_or_less_is_found(tmp_path: Path, images: Images) -> None:
    memory = memory_of(images)
    lock = lock_of(memory, "linux/amd64")
    whole = bundle_bytes(memory, lock)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive_file:
        members = {
            item.name: (archive_file.extractfile(item) or io.BytesIO()).read()
            for item in archive_file
        }
    absent = next(iter(lock.absent))
    more = {f"blobs/sha256/{absent.hex}": memory.blobs[absent]} | members
    text = "\n".join(errors(archive(_pack(more, tmp_path / "more.tar"))))
    assert "is declared absent and is there" in text
    layer = next(item for item in lock.present() if not item.is_document)
    del members[f"blobs/sha256/{layer.digest.hex}"]
    text = "\n".join(errors(archive(_pack(members, tmp_path / "less.tar"))))
    assert "is absent" in text
    assert "is not there, expected at byte" in text


def test_a_lock_that_does_not_fit_is_found(tmp_path: Path, images: Images) -> None:
    """As somebody could make it who changes an image and everything that follows, but the lock."""
    memory = memory_of(images)
    other = lock_of(memory_of(images, [APP]))
    layout = Layout(tmp_path, create=True)
    for digest, data in memory.blobs.items():
        (tmp_path / "blobs" / "sha256" / digest.hex).write_bytes(data)
    layout.finish(memory.roots, other)
    text = "\n".join(errors(verify(layout)))
    assert "index.json and the lock have different images" in text


def test_a_bundle_in_a_folder_is_verified(tmp_path: Path, images: Images) -> None:
    memory = memory_of(images)
    lock = lock_of(memory)
    layout = Layout(tmp_path, create=True)
    for digest, data in memory.blobs.items():
        (tmp_path / "blobs" / "sha256" / digest.hex).write_bytes(data)
    layout.finish(lock.roots, lock)
    assert verify(layout).findings == ()
    index = tmp_path / "index.json"
    index.write_bytes(index.read_bytes() + b"\n")
    assert errors(verify(layout)) == ["archive: index.json is not written as imgsync writes it"]


def test_a_lock_that_lies_about_what_is_needed_is_found(tmp_path: Path, images: Images) -> None:
    """Its own closure is right, and everything else follows from it; the manifests know better."""
    memory = memory_of(images, [APP])
    true = lock_of(memory, "linux/amd64")
    root = true.roots[0].descriptor.digest
    absent = next(iter(true.absent))
    objects = dict(true.objects)
    objects[absent] = replace(objects[absent], size=objects[absent].size + 1)
    arm = Digest.parse(images.children(images.names[APP])[2]["digest"])
    objects[root] = replace(
        objects[root], children=tuple(item for item in objects[root].children or () if item != arm)
    )
    lock = replace(true, objects=objects)
    needed = {root}
    for digest in [root, *(objects[root].children or ())]:
        needed |= {digest, *(objects[digest].children or ())}
    lock = replace(
        lock,
        objects={digest: item for digest, item in objects.items() if digest in needed},
        absent={digest: why for digest, why in true.absent.items() if digest in needed},
    )
    path = tmp_path / "lie.tar"
    path.write_bytes(bundle_bytes(memory, lock))
    text = "\n".join(errors(archive(path)))
    assert f"index {root.short}: has other children than the lock says" in text
    assert f"manifest {arm.short}: is needed and the lock does not know it" in text
    lock = replace(true, objects={**true.objects, absent: objects[absent]})
    path.write_bytes(bundle_bytes(memory, lock))
    (error,) = errors(archive(path))
    assert f"the lock says {objects[absent].size}" in error


@pytest.mark.parametrize("damage", ["absent", "other bytes"])
def test_a_bundle_without_its_lock_still_tells_everything(
    tmp_path: Path, images: Images, damage: str
) -> None:
    memory = memory_of(images)
    lock = lock_of(memory)
    layout = Layout(tmp_path, create=True)
    for digest, data in memory.blobs.items():
        (tmp_path / "blobs" / "sha256" / digest.hex).write_bytes(data)
    layout.finish(lock.roots, lock)
    path = tmp_path / "blobs" / "sha256" / lock.descriptor().digest.hex
    layer = next(item for item in lock.present() if not item.is_document)
    (tmp_path / "blobs" / "sha256" / layer.digest.hex).unlink()
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b" ")
    text = "\n".join(errors(verify(layout)))
    assert "lock" in text
    assert f"{layer.digest.short}: is absent" in text


# --- others' archives -------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("almostempty.tar", []),
        ("hello-world.tar", ["only linux/amd64 is whole; absent: linux/arm/v5, linux/arm/v7"]),
        ("hello-world-prefixed-path.tar", ["only linux/amd64 is whole; absent: linux/arm/v5"]),
        ("docker-containerd-image-store", ["only linux/amd64 is whole; absent: linux/arm/v5"]),
        ("docker-graph-driver-image-store", []),
        ("crane-oci-layout/images", []),
    ],
)
def test_archives_of_other_tools(
    tmp_path: Path, name: str, problems: list[str], *, compressed: bool
) -> None:
    path = FOREIGN / name
    if path.is_dir():
        assert len(errors(verify(Layout(path), deep=True))) == len(problems)
        path = Path(shutil.make_archive(str(tmp_path / "packed"), "tar", path))
    if compressed:
        import gzip

        path = tmp_path / "packed.bin"
        source = FOREIGN / name
        packed = source if source.is_file() else tmp_path / "packed.tar"
        path.write_bytes(gzip.compress(packed.read_bytes()))
    found = archive(path)
    text = errors(found)
    assert len(text) == len(problems)
    for line, problem in zip(text, problems, strict=True):
        assert problem in line


def test_old_docker_archives_are_proved(tmp_path: Path, images: Images) -> None:
    path = images.write_docker_save(tmp_path / "docker.tar", *images.names)
    found = archive(path)
    assert found.findings == ()
    assert [image.platforms for image in found.images] == [("linux/amd64",)] * 2
    data = path.read_bytes()
    at = data.index(b"shared by both")
    path.write_bytes(data[:at] + b"Shared" + data[at + 6 :])
    (error,) = errors(archive(path))
    assert f"{APP} linux/amd64: layer sha256:" in error
    assert "is corrupt" in error


def test_hostile_bytes_give_findings_or_our_error(tmp_path: Path, images: Images) -> None:
    data = images.write_archive(tmp_path / "oci.tar").read_bytes()
    for cut in range(0, len(data), 701):
        path = tmp_path / "cut.tar"
        path.write_bytes(data[:cut])
        with pytest.raises((InvalidArchive, ImgsyncError)):
            archive(path)


def test_a_verification_is_json(tmp_path: Path, images: Images) -> None:
    root = images.names[APP]["digest"]
    path = images.write_archive(tmp_path / "oci.tar", leave_out=[root])
    value = json.loads(json.dumps(archive(path).to_json()))
    assert value["ok"] is False
    (finding,) = (item for item in value["findings"] if item["level"] == "error")
    assert finding["digest"] == root
    assert finding["images"] == [APP]
    assert value["images"][0] == {
        "name": APP,
        "digest": root,
        "ok": False,
        "partial": False,
        "platforms": [],
        "incomplete": [],
    }


def test_nothing_at_all_is_right() -> None:
    found = verify(Memory())
    assert found.is_ok
    assert found.partial == ()
