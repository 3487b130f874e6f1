"""What oras and regctl write into a layout beside the images: parts, referrers, fallback tags."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from imgsync.errors import InvalidArchive
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from imgsync.verify import verify
from tests.cli.run import imgsync
from tests.servers.registry import Registry

FOREIGN = Path(__file__).parents[2] / "fixtures" / "foreign"
REGCTL = FOREIGN / "regctl-ocidir"
ORAS = FOREIGN / "oras-backup.tar"

INDEX = "sha256:7c8abbe0c9da1335d1a72a4ec3c1a4bf5227be345c84e445917a3511ead72905"
AMD64 = "sha256:f70fa5750812bf247c86dbcd3bbdf8706b92c660b272537c36df77cecb97cb1a"
SBOM = "sha256:75dd4d64661cfc4bb83a442cf2ddc414a39a3203015898d45a2018ea09f34447"
SIGNATURE_OF_SBOM = "sha256:ee15782d3e7a9bb08ece1b130cbbb6cf09df7f3acecf37bcad5d2d3664fc8d0a"
SIGNATURE = "sha256:f78c069dfe99287eebf9f7cfd1970a683acb784a1fb90693760573c2ac655d67"
LISTING = "e308a19a7f1bfdafece5ffb5cabc34b9a57c961bb1d345ad8c5c77fc93d51357"
"""The index of what is about the image."""
COSIGN_TAG = f"{INDEX.replace(':', '-')}.sig"

ABOUT = {SBOM: INDEX, SIGNATURE_OF_SBOM: SBOM}


def roots(path: Path) -> dict[str, tuple[str, str]]:
    """Label -> digest and what it is about."""
    holding = Layout(path) if path.is_dir() else open_archive(path)
    return {
        root.label: (str(root.descriptor.digest), str(root.subject or ""))
        for root in holding.bundle().roots
    }


def test_parts_of_an_image_are_no_images_and_referrers_know_their_subject() -> None:
    assert verify(open_archive(ORAS), deep=True).findings == ()
    assert roots(ORAS) == {
        "1.0": (INDEX, ""),
        "amd64": (AMD64, ""),
        **{digest: (digest, subject) for digest, subject in ABOUT.items()},
    }


def test_what_a_fallback_tag_lists_is_about_the_image() -> None:
    (note,) = verify(Layout(REGCTL), deep=True).findings
    assert str(note) == "archive: holds 2 blobs that no image needs (718 bytes)"  # the listings
    assert roots(REGCTL) == {
        "1.0": (INDEX, ""),
        COSIGN_TAG: (SIGNATURE, INDEX),
        **{digest: (digest, subject) for digest, subject in ABOUT.items()},
    }


def test_under_a_full_name_they_are_in_its_repository(tmp_path: Path) -> None:
    folder = shutil.copytree(REGCTL, tmp_path / "layout")
    index = json.loads((folder / "index.json").read_text())
    for entry in index["manifests"]:
        tag = entry["annotations"]["org.opencontainers.image.ref.name"]
        entry["annotations"]["io.containerd.image.name"] = f"registry.example/small/app:{tag}"
    (folder / "index.json").write_text(json.dumps(index))
    labels = {root.label for root in Layout(folder).bundle().roots}
    assert f"registry.example/small/app@{SBOM}" in labels
    assert f"registry.example/small/app:{COSIGN_TAG}" in labels
    assert len(labels) == 4


def test_what_cannot_be_read_stays_as_it_is(tmp_path: Path) -> None:
    folder = shutil.copytree(REGCTL, tmp_path / "layout")
    listing = folder / "blobs/sha256" / LISTING
    listing.write_bytes(listing.read_bytes().replace(b"2", b"3", 1))
    labels = [root.label for root in Layout(folder).bundle().roots]
    assert INDEX.replace(":", "-") in labels
    assert any(item.level == "error" for item in verify(Layout(folder)).findings)


@pytest.mark.real
@pytest.mark.parametrize(
    ("source", "tags"),
    [
        (f"oci:{REGCTL}", {"1.0", COSIGN_TAG}),
        (str(ORAS), {"1.0", "amd64"}),
    ],
)
def test_a_name_without_a_tag_is_the_repository_of_all_of_them(
    source: str, tags: set[str], new_registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "site.tar"
    imgsync("bundle", f"{source}=registry.example/small/app", "-o", path)
    imgsync("push", path, "--to", f"{new_registry.host}/far", "--plain-http")
    fallback = {digest.replace(":", "-") for digest in (INDEX, SBOM)}
    assert set(new_registry.tags("far/small/app")) == tags | fallback
    assert {SBOM, SIGNATURE_OF_SBOM} <= new_registry.blobs()


@pytest.mark.parametrize("label", ["1.0", ""])
def test_one_image_may_be_given_a_whole_name(label: str, tmp_path: Path) -> None:
    path = tmp_path / "site.tar"
    source = f"oci:{REGCTL}:{label}".rstrip(":")
    said = imgsync("bundle", f"{source}=registry.example/other/app:2", "-o", path).out
    assert f"registry.example/other/app:2 {INDEX}" in said
    assert f"registry.example/other/app@{SBOM} " in said
    assert f"registry.example/other/app:{COSIGN_TAG} " in said


def test_several_images_are_not_given_one_name(tmp_path: Path) -> None:
    said = imgsync("bundle", f"{ORAS}=registry.example/app:2", "-o", tmp_path / "x.tar", code=2).err
    assert "holds 2 images" in said
    assert f"oci-archive:{ORAS}:1.0" in said


def test_a_bundle_with_its_signatures_gets_another_name(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    imgsync("bundle", f"oci:{REGCTL}=registry.example/small/app", "-o", first)
    said = imgsync("bundle", f"{first}=registry.example/other/app:3", "-o", second).out
    assert f"registry.example/other/app:3 {INDEX}" in said
    assert f"registry.example/other/app@{SBOM} " in said
    assert "small" not in said


@pytest.mark.parametrize("source", [str(REGCTL), str(ORAS), f"oci:{REGCTL}:1.0"])
def test_a_mere_tag_is_not_pushed_to_somewhere_else(source: str) -> None:
    """Before, `1.0` was read as docker.io/library/1.0, whatever --to said."""
    said = imgsync("push", source, "--to", "registry.example/far", code=2).err
    assert "1.0 has only a tag" in said


def test_a_tar_of_imgpkg_is_named_as_such() -> None:
    with pytest.raises(InvalidArchive, match="in the form of imgpkg"):
        open_archive(FOREIGN / "imgpkg.tar").bundle()
