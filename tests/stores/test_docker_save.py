"""DockerArchive: docker-save archives read as OCI, by the same recipe everywhere."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from imgsync.content import read_verified
from imgsync.documents import reader_of
from imgsync.errors import ContentError, InvalidArchive, MissingContent, NotFound
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_LAYER
from imgsync.model.reference import Reference
from imgsync.stores import Holding, Listing
from imgsync.stores.archive.docker_save import DockerArchive
from imgsync.stores.archive.opening import open_archive
from imgsync.verify import verify
from imgsync.walk import walk
from tests.images import Images, tar_of
from tests.stores.test_tar_index import END, member

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "registry.example/app:1"


@pytest.fixture
def images() -> Images:
    images = Images()
    base = images.layer({"base": bytes(3000)}, compression="none")
    images.name(NAME, images.image([base, images.layer({"a": b"b"}, compression="none")]))
    return images


def opened(path: Path) -> DockerArchive:
    archive = open_archive(path)
    assert isinstance(archive, DockerArchive)
    _holding: Holding = archive
    _listing: Listing = archive
    return archive


def _members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            item.name: file.read()
            for item in archive
            if (file := archive.extractfile(item)) is not None
        }


def test_the_recipe(tmp_path: Path, images: Images) -> None:
    archive = opened(images.write_docker_save(tmp_path / "a.tar", NAME))
    (root,) = archive.bundle().roots
    assert str(root.name) == NAME
    raw = archive.resolve(Reference.parse(NAME)).raw
    assert raw is not None
    written = images.json(images.names[NAME]["digest"])
    config = images.blobs[written["config"]["digest"]]
    assert (
        raw
        == json.dumps(
            {
                "config": {
                    "digest": f"sha256:{hashlib.sha256(config).hexdigest()}",
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "size": len(config),
                },
                "layers": [
                    {
                        "digest": diff_id,
                        "mediaType": "application/vnd.oci.image.layer.v1.tar",
                        "size": len(images.blobs[diff_id]),
                    }
                    for diff_id in json.loads(config)["rootfs"]["diff_ids"]
                ],
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "schemaVersion": 2,
            },
            separators=(",", ":"),
        ).encode()
    )
    assert str(root.descriptor.platform) == "linux/amd64"


def test_everything_below_the_root_is_there(tmp_path: Path, images: Images) -> None:
    archive = opened(images.write_docker_save(tmp_path / "a.tar", NAME))
    roots = [root.descriptor for root in archive.bundle().roots]
    graph = walk(roots, reader_of(archive))
    assert not graph.problems
    for item in graph.closure(roots):
        data = read_verified(archive.open(item), item)
        assert archive.sizes()[item.digest] == len(data)
        for offset in (0, 1, len(data) - 1):
            assert archive.open(item, offset).read(10) == data[offset : offset + 10]


@pytest.mark.parametrize(
    "compress", [gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data)]
)
def test_compressed_layers_are_the_same_image(
    tmp_path: Path, images: Images, compress: Callable[[bytes], bytes]
) -> None:
    plain = images.write_docker_save(tmp_path / "plain.tar", NAME)
    members = {
        name: compress(data) if name.endswith("layer.tar") else data
        for name, data in _members(plain).items()
    }
    packed = tmp_path / "packed.tar"
    packed.write_bytes(tar_of(members))
    one, two = opened(plain), opened(packed)
    assert one.bundle() == two.bundle()
    assert one.sizes() == two.sizes()
    for digest, size in two.sizes().items():
        descriptor = Descriptor(OCI_LAYER, digest, size)
        assert read_verified(two.open(descriptor), descriptor)
        assert two.open(descriptor, size - 5).read(100) == one.open(descriptor, size - 5).read(100)
    layer = next(digest for digest in one.sizes() if one.place(digest) is not None)
    assert two.place(layer) is None


def test_layers_may_be_links_to_others(tmp_path: Path) -> None:
    """As docker wrote the second image that uses a layer, from 1.10 on."""
    images = Images()
    layer = images.layer({"a": b"b"}, compression="none")
    manifest = images.json(images.image([layer])["digest"])
    data = images.blobs[layer.descriptor["digest"]]
    config = images.blobs[manifest["config"]["digest"]]
    entry = {"Config": "c.json", "RepoTags": ["app:1"], "Layers": ["two/layer.tar"]}
    path = tmp_path / "a.tar"
    path.write_bytes(
        member("one/layer.tar", data)
        + member("two/layer.tar", kind=tarfile.SYMTYPE, link="../one/layer.tar")
        + member("c.json", config)
        + member("manifest.json", json.dumps([entry]).encode())
        + END
    )
    archive = opened(path)
    assert [root.label for root in archive.bundle().roots] == ["docker.io/library/app:1"]
    assert verify(archive).findings == ()


def test_a_second_copy_of_a_layer_is_proved_too(tmp_path: Path, images: Images) -> None:
    images.name("registry.example/app:2", images.names[NAME])
    path = images.write_docker_save(tmp_path / "a.tar", NAME, "registry.example/app:2")
    members = _members(path)
    entries = json.loads(members["manifest.json"])
    members["copy/layer.tar"] = b"evil" + members[entries[1]["Layers"][1]][4:]
    entries[1]["Layers"][1] = "copy/layer.tar"
    members["manifest.json"] = json.dumps(entries).encode()
    path.write_bytes(tar_of(members))
    found = verify(opened(path))
    (finding,) = found.findings
    assert "is corrupt" in finding.problem


def test_images_without_names(tmp_path: Path, images: Images) -> None:
    path = images.write_docker_save(tmp_path / "a.tar", NAME)
    for tags, labels in (
        (None, [None]),
        ([], [None]),
        (["Bad:1"], [None]),
        (["a:1", "b/c:2"], ["docker.io/library/a:1", "docker.io/b/c:2"]),
    ):
        _change(path, RepoTags=tags)
        archive = opened(path)
        roots = archive.bundle().roots
        assert [str(root.name) if root.name else None for root in roots] == labels
        assert bool(archive.notes()) is (tags == ["Bad:1"])


def _change(path: Path, **fields: Any) -> None:
    members = _members(path)
    entries = json.loads(members["manifest.json"])
    entries[0].update(fields)
    members["manifest.json"] = json.dumps(entries).encode()
    path.write_bytes(tar_of(members))


@pytest.mark.parametrize(
    ("fields", "error", "problem"),
    [
        ({"Config": "absent.json"}, MissingContent, "the config absent.json"),
        ({"Layers": ["a", "b"]}, MissingContent, "the layer a"),
        ({"Layers": []}, InvalidArchive, "knows 2 layers, manifest.json 0"),
        ({"Config": "manifest.json"}, ContentError, "not a JSON object"),
        ({"Config": "../x"}, InvalidArchive, "leads out"),
        ({"Layers": ["/etc/passwd", "x"]}, InvalidArchive, "absolute"),
        ({"Layers": "x"}, InvalidArchive, "not a list"),
    ],
)
def test_a_manifest_that_lies_is_refused(
    tmp_path: Path, images: Images, fields: dict[str, Any], error: type[ContentError], problem: str
) -> None:
    path = images.write_docker_save(tmp_path / "a.tar", NAME)
    _change(path, **fields)
    with pytest.raises(error, match=problem):
        open_archive(path)


def test_what_is_not_there_is_not_found(tmp_path: Path, images: Images) -> None:
    archive = opened(images.write_docker_save(tmp_path / "a.tar", NAME))
    with pytest.raises(NotFound):
        archive.open(Descriptor(OCI_LAYER, Digest.of(b"?"), 1))
    with pytest.raises(NotFound, match=r"has no docker\.io/library/x:1"):
        archive.resolve(Reference.parse("x:1"))
    assert archive.place(Digest.of(b"?")) is None
