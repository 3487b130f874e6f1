"""Digest, Platform, Descriptor, Reference: what they accept, refuse and say."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import (
    ContentError,
    ImgsyncError,
    InvalidDigest,
    InvalidManifest,
    InvalidPlatform,
    InvalidReference,
)
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform, PlatformChoice
from imgsync.model.reference import MAX_NAME_LENGTH, Reference

HEX = "0123456789abcdef" * 4
SHA256 = f"sha256:{HEX}"


# --- Digest -----------------------------------------------------------------------------------


@given(st.binary(max_size=50), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_survives_being_written(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"sha256:{HEX[:-1]}",
        f"sha256:{HEX}0",
        f"sha256:{HEX.upper()}",
        f"sha256:../../{HEX[:-6]}",
        f"sha512:{HEX}",
        f"md5:{HEX[:32]}",
        f"sha256:{HEX}\n",
        f"sha256:{chr(0x660) * 64}",
    ],
)
def test_what_is_no_digest_never_becomes_a_path(text: str) -> None:
    with pytest.raises(InvalidDigest):
        Digest.parse(text)


@given(st.text(max_size=100))
def test_any_text_is_a_digest_or_our_error(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except InvalidDigest:
        return
    assert str(digest) == text


# --- Platform ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm/v7", "linux/arm/v7"),
        ("LINUX/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux", "linux/*"),
        ("linux/*", "linux/*"),
        ("windows/amd64:10.0.17763.1234", "windows/amd64:10.0.17763.1234"),
    ],
)
def test_platforms_are_read_and_written(text: str, written: str) -> None:
    assert str(Platform.parse(text)) == written


@pytest.mark.parametrize("text", ["", "linux/", "a/b/c/d", "linux/amd64:", "*/amd64", "li nux/a"])
def test_what_is_no_platform_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidPlatform) as refused:
        Platform.parse(text)
    assert "linux/amd64" in refused.value.hint


@pytest.mark.parametrize(
    ("is_", "wanted", "satisfied"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64", "linux", True),
        ("windows/amd64:10.0.1", "linux", False),
        ("windows/amd64:10.0.17763.5", "windows/amd64:10.0.17763", True),
        ("windows/amd64:10.0.20348.5", "windows/amd64:10.0.17763", False),
        ("windows/amd64:10.0.177631", "windows/amd64:10.0.17763", False),
    ],
)
def test_only_the_parts_that_were_named_count(is_: str, wanted: str, *, satisfied: bool) -> None:
    assert Platform.parse(is_).satisfies(Platform.parse(wanted)) is satisfied


def test_choices_are_lists_wildcards_and_exclusions() -> None:
    choice = PlatformChoice.parse(["linux,!linux/s390x", "windows/amd64"])
    assert choice.includes(Platform("linux", "arm", "v5"))
    assert choice.includes(Platform("windows", "amd64", os_version="10.0.1"))
    assert not choice.includes(Platform("linux", "s390x"))
    assert not choice.includes(Platform("freebsd", "amd64"))
    assert PlatformChoice.parse([str(choice)]) == choice
    assert PlatformChoice.parse(["all"]).is_all
    assert PlatformChoice.parse(["!windows"]).includes(Platform("linux", "amd64"))
    assert not PlatformChoice.parse(["!windows"]).includes(Platform("windows", "amd64"))


# --- Descriptor -------------------------------------------------------------------------------

GOOD = {"mediaType": "a/b", "digest": SHA256, "size": 3}


def test_a_descriptor_survives_being_written() -> None:
    value = {
        **GOOD,
        "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
        "annotations": {"a": "b"},
        "urls": ["https://example.com/x"],
    }
    assert Descriptor.from_json(value).to_json() == value


@pytest.mark.parametrize(
    "change",
    [
        {"mediaType": None},
        {"digest": 5},
        {"digest": "sha256:../x"},
        {"size": -1},
        {"size": 1.5},
        {"size": True},
        {"size": "3"},
        {"size": 2**53},
    ],
)
def test_a_wrong_descriptor_cannot_exist(change: dict[str, object]) -> None:
    with pytest.raises(InvalidManifest, match=r"layers\[1\]"):
        Descriptor.from_json({**GOOD, **change}, "layers[1]")


def test_one_digest_with_two_sizes_is_refused() -> None:
    one, other = Descriptor.from_json(GOOD), Descriptor.from_json({**GOOD, "size": 4})
    with pytest.raises(ContentError, match="described twice"):
        one.check_same(other)


# --- Reference --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("redis:7", "docker.io/library/redis:7"),
        ("docker.io/redis", "docker.io/library/redis:latest"),
        ("index.docker.io/a/b:1", "docker.io/a/b:1"),
        ("registry-1.docker.io/library/x:1", "docker.io/library/x:1"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("quay.io/a/b/c:v1", "quay.io/a/b/c:v1"),
        ("localhost/x:1", "localhost/x:1"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("[::1]:5000/x:1", "[::1]:5000/x:1"),
        ("docker://redis:7", "docker.io/library/redis:7"),
        (f"redis@{SHA256}", f"docker.io/library/redis@{SHA256}"),
        (f"redis:7@{SHA256}", f"docker.io/library/redis:7@{SHA256}"),
        ("a--b/c__d.e-f:X_1", "docker.io/a--b/c__d.e-f:X_1"),
    ],
)
def test_names_are_normalised_as_docker_does(text: str, full: str) -> None:
    assert str(Reference.parse(text)) == full
    assert Reference.parse(full) == Reference.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not an image name"),
        (" redis", "is not an image name"),
        ("redis\n", "is not an image name"),
        ("Redis", "'Redis' must be lower case"),
        ("quay.io/Team/app:1", "'Team' must be lower case"),
        ("https://quay.io/a:1", "is a URL"),
        ("redis:", "nothing stands after the colon"),
        ("redis:-x", "is not a tag"),
        ("redis:" + "x" * 129, "is not a tag"),
        ("a//b", "is not a part of a repository"),
        ("a/../b", "is not a part of a repository"),
        ("redis@sha256:00", "is not 64 lower-case hex digits"),
        ("a.b/" + "c" * MAX_NAME_LENGTH, "longer than 255"),
        ("ex_ample.com/a:1", "is not a host name"),
    ],
)
def test_a_bad_name_says_the_rule(text: str, words: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        Reference.parse(text)
    assert words in refused.value.message


PARTS = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)


@given(parts=st.lists(PARTS, min_size=1, max_size=4), tag=TAGS, pinned=st.booleans())
def test_a_reference_survives_being_written(parts: list[str], tag: str, *, pinned: bool) -> None:
    digest = Digest("sha256", HEX) if pinned else None
    reference = Reference("registry.example:5000", "/".join(parts), tag, digest)
    assert Reference.parse(str(reference)) == reference
    moved = reference.moved_to("harbor.example", "tmp/x")
    assert (moved.tag, moved.digest) == (tag, digest)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_our_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except ImgsyncError as error:
        assert isinstance(error, InvalidReference)  # noqa: PT017 - hypothesis gives both outcomes
        return
    assert Reference.parse(str(reference)) == reference
