"""Image lists: every form, and every mistake with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import ImgsyncError, InvalidImageList, InvalidInput
from imgsync.model.bundle import Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.image_list import Wish, parse_list, parse_wish
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.lock import Lock
from imgsync.model.manifest import describe
from imgsync.model.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.model.strict_json import canonical
from imgsync.walk import walk

DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


def _wishes(text: str) -> list[tuple[str, str]]:
    return [
        (str(wish.source), str(wish.name)) for wish in parse_list(text.encode(), "list.txt").wishes
    ]


def test_a_line_is_a_source_with_or_without_a_name() -> None:
    text = """
        # what the site needs
        redis:7
        quay.io/prometheus/node-exporter:v1   monitoring/node-exporter:v1 # a comment
        ghcr.io/a/b=harbor.example.com/tmp/b:2
    """
    assert _wishes(text) == [
        ("docker.io/library/redis:7", "docker.io/library/redis:7"),
        ("quay.io/prometheus/node-exporter:v1", "docker.io/monitoring/node-exporter:v1"),
        ("ghcr.io/a/b:latest", "harbor.example.com/tmp/b:2"),
    ]


def test_every_transport_is_read() -> None:
    text = """
        docker://ghcr.io/a/b:1
        oci:layouts/site
        oci:layouts/site:docker.io/library/redis:7
        oci-archive:/media/usb/site.tar
        oci-archive:site.tar:v1 redis:7
        docker-archive:old.tar
        docker-daemon:app:1
        containerd:app:1
        containerd:
        ./folder
        site.tar.zst
        "oci:My Disk/layout"
    """
    wishes = parse_list(text.encode(), "list.txt").wishes
    assert [wish.source for wish in wishes] == [
        ImageSource(Transport.REGISTRY, Reference("ghcr.io", "a/b", "1")),
        ImageSource(Transport.LAYOUT, path="layouts/site"),
        ImageSource(Transport.LAYOUT, path="layouts/site", label="docker.io/library/redis:7"),
        ImageSource(Transport.OCI_ARCHIVE, path="/media/usb/site.tar"),
        ImageSource(Transport.OCI_ARCHIVE, path="site.tar", label="v1"),
        ImageSource(Transport.DOCKER_ARCHIVE, path="old.tar"),
        ImageSource(Transport.DOCKER_DAEMON, Reference.parse("app:1"), label="app:1"),
        ImageSource(Transport.CONTAINERD, Reference.parse("app:1"), label="app:1"),
        ImageSource(Transport.CONTAINERD),
        ImageSource(Transport.FILE, path="./folder"),
        ImageSource(Transport.FILE, path="site.tar.zst"),
        ImageSource(Transport.LAYOUT, path="My Disk/layout"),
    ]
    assert [ImageSource.parse(str(wish.source)) for wish in wishes] == [w.source for w in wishes]


@pytest.mark.parametrize("text", ["docker:27-dind", "oci/app:1", "registry:5000/docker:1"])
def test_a_transport_within_a_name_is_only_a_name(text: str) -> None:
    assert ImageSource.parse(text).transport is Transport.REGISTRY


def test_where_a_tag_and_a_digest_are_given_the_digest_is_fetched_and_the_tag_is_the_name() -> None:
    wish = parse_wish(f"redis:7@{DIGEST}")
    assert str(wish.source) == f"docker.io/library/redis:7@{DIGEST}"
    assert str(wish.name) == "docker.io/library/redis:7"


def test_a_digest_alone_is_carried_under_that_name() -> None:
    assert str(parse_wish(f"quay.io/a/b@{DIGEST}").name) == f"quay.io/a/b@{DIGEST}"


def test_a_name_may_repeat_the_digest_of_its_source_and_no_other() -> None:
    moved = parse_wish(f"quay.io/a/b@{DIGEST}=harbor.example.com/tmp/b@{DIGEST}")
    assert str(moved.name) == f"harbor.example.com/tmp/b@{DIGEST}"
    with pytest.raises(InvalidInput, match="a digest belongs to the source"):
        parse_wish(f"quay.io/a/b@{DIGEST}=harbor.example.com/tmp/b@{OTHER}")


def test_all_wrong_lines_are_listed_with_file_and_line() -> None:
    text = "redis:7\nRedis:7\n\n# fine\na b c\nquay.io/x:=y\noci:\n=x\nhttps://quay.io/a\ndocker-daemon:\n"
    with pytest.raises(InvalidImageList) as caught:
        parse_list(text.encode(), "site.txt")
    lines = caught.value.message.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"site.txt:{number}" for number in (2, 5, 6, 7, 8, 9, 10)
    ]
    assert "must be lower case" in lines[0]
    assert "3 words" in lines[1]
    assert "a path is missing" in lines[3]


def test_of_very_many_wrong_lines_some_are_told() -> None:
    with pytest.raises(InvalidImageList, match="and 80 more lines"):
        parse_list(b"A:\n" * 100, "site.txt")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_an_empty_list_is_an_error(text: str) -> None:
    with pytest.raises(InvalidImageList, match=r"site\.txt names no image"):
        parse_list(text.encode(), "site.txt")


def test_lists_may_come_from_windows() -> None:
    assert [str(wish.source) for wish in parse_list(b"\xef\xbb\xbfredis:7\r\n", "x").wishes] == [
        "docker.io/library/redis:7"
    ]


def test_what_is_no_text_is_told_with_its_line() -> None:
    with pytest.raises(InvalidImageList, match=r"site\.tar:2: this is not UTF-8"):
        parse_list(b"redis\n\xff\xfe\n", "site.tar")


@given(st.binary(max_size=200))
def test_whatever_a_list_holds_only_our_errors_come_out(raw: bytes) -> None:
    try:
        wishes = parse_list(raw, "x").wishes
    except ImgsyncError:
        return
    assert wishes


# --- locks ------------------------------------------------------------------------------------


def _image(seed: str) -> tuple[bytes, Descriptor]:
    config = Descriptor(OCI_CONFIG, Digest.of(f"{seed} config".encode()), 9)
    layer = Descriptor(OCI_LAYER, Digest.of(f"{seed} layer".encode()), 8)
    raw = canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json()],
        }
    )
    return raw, describe(raw)


def _lock(*roots: Root, documents: dict[Digest, bytes]) -> Lock:
    graph = walk(
        [root.descriptor for root in roots],
        lambda items: [(item, documents[item.digest]) for item in items],
    )
    return Lock.make(Bundle(roots), graph, docker_platform=Platform("linux", "arm64"))


def test_a_lock_is_a_list_of_origins_by_digest() -> None:
    raw, root = _image("a")
    sbom_raw, sbom = _image("b")
    image = Root(
        Reference.parse("harbor.example.com/tmp/a:1"),
        root,
        f"quay.io/x/a:1@{root.digest}",
        "linux/amd64",
    )
    extra = Root(
        None,
        sbom,
        f"quay.io/x/a@{sbom.digest}",
        extra=f"quay.io/x/a@{sbom.digest}",
        subject=root.digest,
    )
    lock = _lock(image, extra, documents={root.digest: raw, sbom.digest: sbom_raw})
    asked = parse_list(lock.to_bytes(), "site.tar.lock.json")
    assert asked.lock == lock
    assert asked.wishes == (
        Wish(
            ImageSource(Transport.REGISTRY, Reference.parse(image.origin)),
            image.name,
            "site.tar.lock.json: harbor.example.com/tmp/a:1",
            image,
        ),
        Wish(
            ImageSource(Transport.REGISTRY, Reference.parse(extra.origin)),
            None,
            f"site.tar.lock.json: {extra.extra}",
            extra,
        ),
    )


def test_a_lock_of_an_image_from_a_file_cannot_say_where_it_is() -> None:
    raw, root = _image("a")
    lock = _lock(Root(Reference.parse("a:1"), root), documents={root.digest: raw})
    with pytest.raises(InvalidImageList, match="came from a file or a daemon"):
        parse_list(lock.to_bytes(), "x.lock.json")


def test_a_lock_of_nothing_is_an_empty_list() -> None:
    with pytest.raises(InvalidImageList, match="names no image"):
        parse_list(_lock(documents={}).to_bytes(), "x.lock.json")


def test_a_damaged_lock_is_a_damaged_list() -> None:
    with pytest.raises(InvalidImageList, match=r"x\.lock\.json"):
        parse_list(b'{"format": "imgsync.lock/1"}', "x.lock.json")
