"""dockerd starts, and its failures are told."""

import pytest

from tests.images import Images
from tests.servers.docker import Docker, DockerFailed
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real


def test_it_pulls_from_a_loopback_registry(
    docker: Docker, registry: Registry, repository: str, fixture_images: Images
) -> None:
    name = "registry.example/docker/single:1"
    uploaded = upload(registry.url, fixture_images, [name], prefix=f"{repository}/")
    docker.docker("pull", uploaded[name])
    config = fixture_images.children(fixture_images.names[name])[0]["digest"]
    assert docker.images()[uploaded[name]] == config


def test_a_failure_is_told(docker: Docker) -> None:
    with pytest.raises(DockerFailed, match="No such image"):
        docker.docker("inspect", "--type=image", "registry.example/none:1")
