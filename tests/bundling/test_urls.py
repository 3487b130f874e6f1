"""Layers that stand elsewhere: nobody is asked for them but on request, and then as nobody."""

from collections.abc import Callable
from pathlib import Path

import pytest

from imgsync.errors import NetworkError
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.stores.registry.registries import Registries
from tests.cli.run import imgsync
from tests.images import Images, digest_of
from tests.servers.faults import Answer
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real
Faulty = Callable[[Registry], FaultyProxy]
RIGHT = b"what Windows is made of, " * 1000


@pytest.fixture
def elsewhere(registry: Registry, faulty: Faulty) -> FaultyProxy:
    """A server of layers; whatever else it is asked it does not know."""
    proxy = faulty(registry)
    proxy.on("GET", "/layers/right$", Answer(200, content=RIGHT), times=None)
    proxy.on("GET", "/layers/wrong$", Answer(200, content=RIGHT[:-1] + b"!"), times=None)
    proxy.on("GET", "/layers/long$", Answer(200, content=RIGHT * 2), times=None)
    proxy.on("GET", "/layers/", Answer(401, {"WWW-Authenticate": 'Basic realm="x"'}), times=None)
    return proxy


Image = Callable[..., str]


@pytest.fixture
def image(new_registry: Registry, repository: str, elsewhere: FaultyProxy) -> Image:
    """Put an image at the registry, whose layer is only at these addresses."""

    def put(*names: str) -> str:
        images = Images()
        urls = [f"{elsewhere.url}/layers/{name}" for name in names]
        layer = images.tar_layer(RIGHT, compression="none", urls=urls)
        images.name("registry.example/bare:1", images.image([layer], platform="windows/amd64"))
        (name,) = upload(new_registry.url, images, prefix=f"{repository}/").values()
        new_registry.remove_blob(digest_of(RIGHT))
        return name

    return put


def test_nobody_is_asked_unless_that_is_wanted(
    image: Image, elsewhere: FaultyProxy, tmp_path: Path
) -> None:
    ran = imgsync("bundle", image("right"), "-o", tmp_path / "site.tar", code=5)
    assert "--fetch-urls" in ran.err
    assert f"{elsewhere.url}/layers/right" in ran.err
    assert not elsewhere.requests


def test_a_layer_comes_from_its_url_without_credentials(
    image: Image, elsewhere: FaultyProxy, tmp_path: Path
) -> None:
    name, site = image("right"), tmp_path / "site.tar"
    here = ("--trusted-host", "127.0.0.1")
    login = ("--username", f"{elsewhere.host}=ann", "--password-stdin")
    command = ("bundle", name, "-o", site, "--fetch-urls", *here)
    ran = imgsync(*command, *login, stdin=b"secret")
    assert f"is taken from {elsewhere.url}/layers/right" in ran.err
    assert [seen.path for seen in elsewhere.requests] == ["/layers/right"]
    assert not any("authorization" in seen.headers for seen in elsewhere.requests)
    imgsync("verify", "--deep", site)
    # The layer is one like any other from now on.
    elsewhere.forget()
    imgsync(*command)
    assert not elsewhere.requests


def test_what_comes_is_proved_and_the_next_url_is_tried(
    image: Image, elsewhere: FaultyProxy, tmp_path: Path
) -> None:
    site = tmp_path / "site.tar"
    command = ("bundle", "-o", site, "--fetch-urls", "--trusted-host", "127.0.0.1")
    imgsync(*command, image("wrong", "long", "secret", "right"))
    assert [seen.path.rpartition("/")[2] for seen in elsewhere.requests] == [
        "wrong",
        "long",
        "secret",
        "right",
    ]
    imgsync("verify", site)


def test_a_manifest_does_not_lead_into_our_own_network(
    image: Image, elsewhere: FaultyProxy, tmp_path: Path
) -> None:
    ran = imgsync("bundle", image("right"), "-o", tmp_path / "site.tar", "--fetch-urls", code=6)
    assert "127.0.0.1, an address of a private network" in ran.err
    assert "--trusted-host" in ran.err
    assert not elsewhere.requests


@pytest.mark.parametrize(
    "url", ["ftp://h.example/x", "http://u:p@h.example/x", "file:///etc/x", ""]
)
def test_an_address_is_of_http_and_without_credentials(url: str) -> None:
    digest = Digest.of(RIGHT)
    descriptor = Descriptor("application/octet-stream", digest, len(RIGHT), urls=(url,))
    with Registries() as registries, pytest.raises(NetworkError):
        registries.at_url(0).open(descriptor)
