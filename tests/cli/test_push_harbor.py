"""imgsync push to a Harbor, in front of a real registry: nothing to be said, everything told."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.run import Ran, imgsync
from tests.images import Images, sized_image
from tests.servers.harbor import ADMIN, ADMIN_PASSWORD, Account, Harbor, ImmutableRule
from tests.upload import upload

pytestmark = pytest.mark.real

ANN = ("ann", "pw")
ADMINISTRATOR = (ADMIN, ADMIN_PASSWORD)
USERS = {name: Account("pw") for name in ("ann", "bob", "guest")}

Push = Callable[..., Ran]


@pytest.fixture
def harbor() -> Iterator[Harbor]:
    """A Harbor with a project in which ann may push, and guest may only pull."""
    with Harbor(users=USERS) as harbor:
        harbor.project("team", members={"ann": "developer", "guest": "guest"})
        yield harbor


@pytest.fixture
def push(harbor: Harbor, tmp_path: Path) -> Push:
    """Pushes images as somebody: ``push(images, "team", user="ann")``."""

    def run(
        images: Images,
        to: str,
        *arguments: str,
        user: tuple[str, str] = ANN,
        code: int = 0,
        host: str = "",
    ) -> Ran:
        archive = tmp_path / "images.tar"
        images.write_archive(archive)
        return imgsync(
            "push", archive, "--to", f"{host or harbor.host}/{to}".rstrip("/"),
            "--username", user[0], "--password-stdin", *arguments,
            stdin=user[1].encode(), code=code,
        )  # fmt: skip

    return run


def app(*, tag: str = "1", layer: bytes = b"", name: str = "app") -> Images:
    """One small image; ``registry.example/app:1`` becomes HOST/PROJECT/app:1."""
    images = Images()
    content = images.layer({"content": layer or b"x" * 2000}, compression="none")
    images.name(f"registry.example/{name}:{tag}", images.image([content]))
    return images


def root(images: Images) -> str:
    (descriptor,) = images.names.values()
    return str(descriptor["digest"])


def written(harbor: Harbor) -> list[str]:
    """Every request that changes something."""
    return [
        f"{seen.method} {seen.path}"
        for seen in harbor.requests
        if seen.method not in {"GET", "HEAD"}
    ]


# --- without a flag ---------------------------------------------------------------------------


def test_a_push_needs_no_flag_and_reads_no_manifest(harbor: Harbor, push: Push) -> None:
    images = app()
    push(images, "team")
    assert harbor.tags("team/app") == {"1": root(images)}
    assert harbor.count("GET", "/manifests/") == 0
    assert harbor.count("GET", r"/v2/$") == 1
    assert harbor.count("GET", "/api/v2.0/systeminfo") == 1
    assert harbor.failed_logins == []
    harbor.forget()
    said = push(images, "team", "--format", "json").json
    assert said["images"][0]["status"] == "unchanged"
    assert written(harbor) == []
    assert harbor.count("GET", "/manifests/") == 0
    assert harbor.count("GET", "/summary") == 0
