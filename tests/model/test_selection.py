"""Choosing images by what people call them, and platforms by ``host`` and ``all``."""

from __future__ import annotations

import pytest

from imgsync.errors import NotFound
from imgsync.model.bundle import Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.model.selection import Selection, choose_images, choose_platforms

HOST = Platform("linux", "arm64")


def _digest(text: str) -> Digest:
    return Digest.of(text.encode())


def _image(name: str) -> Root:
    return Root(Reference.parse(name), Descriptor(OCI_INDEX, _digest(name), 1))


def _about(text: str, subject: Digest) -> Root:
    return Root(None, Descriptor(OCI_INDEX, _digest(text), 1), extra=text, subject=subject)


ROOTS = [
    _image("redis:7"),
    _image("redis:8"),
    _image("quay.io/a/redis:7"),
    _image("ghcr.io/x/y:1"),
    _about("quay.io/a/redis@sbom", _digest("a platform of it")),
    _about("quay.io/a/redis@signature", _digest("quay.io/a/redis@sbom")),
    _about("ghcr.io/x/y@other", _digest("elsewhere")),
]


def _labels(*globs: str) -> list[str]:
    def documents_of(digest: Digest) -> list[Digest]:
        is_index = digest == _digest("quay.io/a/redis:7")
        return [digest, *([_digest("a platform of it")] if is_index else [])]

    return [root.label for root in choose_images(ROOTS, globs, documents_of)]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("redis:7", ["docker.io/library/redis:7"]),
        ("redis", ["docker.io/library/redis:7", "docker.io/library/redis:8"]),
        ("library/redis:*", ["docker.io/library/redis:7", "docker.io/library/redis:8"]),
        ("docker.io/library/redis:8", ["docker.io/library/redis:8"]),
        ("ghcr.io/*", ["ghcr.io/x/y:1", "ghcr.io/x/y@other"]),
        ("*sbom", ["quay.io/a/redis@sbom", "quay.io/a/redis@signature"]),
    ],
)
def test_a_glob_matches_every_spelling(glob: str, expected: list[str]) -> None:
    assert _labels(glob) == expected


def test_what_is_about_a_chosen_image_comes_along() -> None:
    assert _labels("quay.io/a/redis:7") == [
        "quay.io/a/redis:7",
        "quay.io/a/redis@sbom",
        "quay.io/a/redis@signature",
    ]


def test_without_a_glob_everything_is_chosen() -> None:
    assert choose_images(ROOTS, []) == tuple(ROOTS)
    assert Selection().chosen(ROOTS) == tuple(ROOTS)
    assert Selection().is_all
    assert not Selection(("redis",)).is_all
    assert not Selection(choice=choose_platforms(["host"], HOST)).is_all


def test_a_glob_that_names_nothing_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(NotFound, match=r"--image nginx: site\.tar has no such image") as caught:
        Selection(("redis", "nginx")).chosen(ROOTS, side="site.tar")
    assert "docker.io/library/redis:7" in caught.value.hint
    with pytest.raises(NotFound) as caught:
        choose_images(ROOTS[4:], ["x"])
    assert caught.value.hint == "it has no named image"
    with pytest.raises(NotFound) as caught:
        choose_images([_image(f"a{n}") for n in range(9)], ["x"])
    assert caught.value.hint.endswith("and 4 more")


def test_host_is_the_platform_that_was_passed_in() -> None:
    assert str(choose_platforms(["host"], HOST)) == "linux/arm64"
    assert str(choose_platforms(["linux/amd64, host", "!windows"], HOST)) == (
        "linux/amd64,linux/arm64,!windows/*"
    )
    assert choose_platforms(["host,all"], HOST).is_all
    assert choose_platforms([], HOST).is_all
