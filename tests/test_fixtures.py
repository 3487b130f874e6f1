"""The fixtures are what their script makes, and are true."""

import json
from pathlib import Path

from fixtures.build import FOLDER, build, main
from fixtures.frames import stored_gzip, stored_zstd
from tests.images import (
    DOCKER_CONFIG,
    MANIFEST_TYPES,
    OCI_CONFIG,
    Images,
    decompressed,
    digest_of,
)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_script_rebuilds_the_fixtures_byte_for_byte(tmp_path: Path) -> None:
    main(tmp_path / "again")
    assert _files(tmp_path / "again") == _files(FOLDER)


def test_every_blob_is_what_its_name_says(fixture_images: Images) -> None:
    assert fixture_images.blobs
    for digest, data in fixture_images.blobs.items():
        assert digest_of(data) == digest


def test_every_child_is_there_with_its_size(fixture_images: Images) -> None:
    for descriptor in fixture_images.closure(*fixture_images.roots()):
        assert len(fixture_images.blobs[descriptor["digest"]]) == descriptor["size"]


def test_nothing_is_there_that_no_root_needs(fixture_images: Images) -> None:
    assert fixture_images.digests() == set(fixture_images.blobs)


def test_every_diff_id_is_of_the_uncompressed_layer(fixture_images: Images) -> None:
    n_checked = 0
    for descriptor in fixture_images.closure(*fixture_images.roots()):
        if descriptor["mediaType"] not in MANIFEST_TYPES:
            continue
        manifest = fixture_images.json(descriptor["digest"])
        if manifest["config"]["mediaType"] not in {OCI_CONFIG, DOCKER_CONFIG}:
            continue
        config = fixture_images.json(manifest["config"]["digest"])
        layers = [fixture_images.blobs[layer["digest"]] for layer in manifest["layers"]]
        assert config["rootfs"]["diff_ids"] == [digest_of(decompressed(layer)) for layer in layers]
        n_checked += len(layers)
    assert n_checked > 20


def test_referrers_are_for_the_repository_of_what_they_refer_to(fixture_images: Images) -> None:
    assert [where for _, where in fixture_images.unnamed] == [("registry.example/team/app",)] * 3
    assert fixture_images.names == build().names


def test_stored_frames_hold_any_length() -> None:
    for n_bytes in (0, 1, 0xFFFF, 0x10000, 300_000):
        data = bytes(n % 251 for n in range(n_bytes))
        assert decompressed(stored_gzip(data)) == data
        assert decompressed(stored_zstd(data)) == data


def test_the_layout_names_each_image_in_full() -> None:
    entries = json.loads((FOLDER / "index.json").read_bytes())["manifests"]
    names = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries[:-3]]
    assert all(name.startswith("registry.example/") for name in names)
    assert not any("annotations" in entry for entry in entries[-3:])
