"""imgsync repair: online from the origins, offline by a request that is carried out and back."""

from pathlib import Path

import pytest

from tests.cli.run import imgsync
from tests.images import Images, sized_image
from tests.servers.containerd import Containerd
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real


@pytest.fixture
def images() -> Images:
    return sized_image(n_layers=8, layer_bytes=50_000)


@pytest.fixture
def site(registry: Registry, repository: str, images: Images, tmp_path: Path) -> Path:
    names = upload(registry.url, images, prefix=f"{repository}/")
    imgsync("bundle", *names.values(), "-o", tmp_path / "site.tar")
    return tmp_path / "site.tar"


def damage(site: Path, images: Images) -> bytes:
    """Flip a byte of two layers; the right bytes are returned."""
    right = site.read_bytes()
    data = bytearray(right)
    layers = sorted(images.blobs, key=lambda digest: len(images.blobs[digest]))[-2:]
    for layer in layers:
        data[data.index(images.blobs[layer]) + 1000] ^= 0xFF
    site.write_bytes(data)
    return right


def test_online_only_what_is_bad_is_fetched(registry: Registry, site: Path, images: Images) -> None:
    right = damage(site, images)
    assert "is corrupt" in imgsync("verify", site, code=4).out
    registry.forget()
    said = imgsync("repair", site)
    assert "healed 2 blobs" in said.out
    assert site.read_bytes() == right
    assert len(registry.requests("GET", "")) == 2
    assert "nothing to heal" in imgsync("repair", site).out


def test_a_push_and_an_import_of_a_damaged_bundle_name_what_heals_it(
    new_registry: Registry, containerd: Containerd, namespace: str, site: Path, images: Images
) -> None:
    damage(site, images)
    to = ("--to", f"{new_registry.host}/far")
    here = ("--address", containerd.socket, "-n", namespace)
    for words in ("push", site, *to), ("import", site, *here):
        failed = imgsync(*words, code=4)
        assert f"imgsync repair {site} heals it" in failed.err
    assert not new_registry.tags("far")


def test_offline_a_request_is_answered_by_a_patch(
    registry: Registry, site: Path, images: Images, tmp_path: Path
) -> None:
    right = damage(site, images)
    want, patch = tmp_path / "want.json", tmp_path / "patch.tar"
    imgsync("verify", site, "--request", want, code=4)
    registry.forget()
    imgsync("bundle", "--only", want, "-o", patch)
    layers = [seen for seen in registry.requests("GET", "/blobs/") if seen.n_bytes > 10_000]
    assert len(layers) == 2
    assert patch.stat().st_size < len(right) / 2
    healed = imgsync("repair", site, "--from", patch, "--offline", "--format", "json").json
    assert len(healed["healed"]) == 2
    assert site.read_bytes() == right
    imgsync("verify", site)


def test_what_cannot_be_healed_is_told_with_what_to_do(site: Path, images: Images) -> None:
    damage(site, images)
    failed = imgsync("repair", site, "--offline", code=4)
    assert "2 blobs" in failed.err
    assert "--request" in failed.err
    assert "still bad: blob sha256:" in failed.out
