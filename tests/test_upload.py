"""What `upload` puts into a registry is there, whole, under its names."""

import pytest

from tests.images import Images, random_images
from tests.servers.registry import Registry
from tests.upload import UploadRefused, upload

pytestmark = pytest.mark.real


def test_every_fixture_can_be_uploaded(new_registry: Registry, fixture_images: Images) -> None:
    names = upload(new_registry.url, fixture_images, prefix="x/")
    assert fixture_images.digests() <= new_registry.blobs()
    app = "registry.example/team/app:1.0"
    assert names[app] == f"{new_registry.host}/x/team/app:1.0"
    root = fixture_images.names[app]["digest"]
    assert new_registry.tags("x/team/app")["1.0"] == root
    assert root.replace(":", "-") in new_registry.tags("x/team/app")


def test_only_what_was_named_is_uploaded(registry: Registry, repository: str) -> None:
    images = random_images(1)
    name = next(iter(images.names))
    upload(registry.url, images, [name], prefix=f"{repository}/")
    where = f"{repository}/{name.split('/', 1)[1].partition(':')[0]}"
    assert registry.layers(where) | registry.manifests(where) == images.digests(name)


def test_a_refusal_is_an_error(registry: Registry) -> None:
    with pytest.raises(UploadRefused, match="404 page not found"):
        upload(registry.url, random_images(1), prefix="not/Lower/")
