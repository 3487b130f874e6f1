"""What real versions of ctr print, literally, and what is made of it."""

from __future__ import annotations

import pytest

from imgsync.model.digest import Digest
from imgsync.stores.containerd.parse import (
    ImageRecord,
    last_message,
    missing_digest,
    parse_content,
    parse_digests,
    parse_flags,
    parse_images,
    parse_labels,
    parse_versions,
)

APP = "c6a2c5105bf6335adceb14d39550755f7838fd48dd9c34be0522da7794de52f9"
SHORT = "24360ee0b74ee9e97ca1df9b671e124ac5aaede1ec324d875a9e2982e86e8e85"
INDEX = "application/vnd.oci.image.index.v1+json"

IMAGES_1_6 = (
    "REF                           TYPE                                    DIGEST                 "
    "                                                 SIZE    PLATFORMS                           "
    "                 LABELS       \n"
    f"registry.example/team/app:1.0 {INDEX} sha256:{APP} 8.8 KiB "
    "linux/amd64,linux/arm/v7,linux/arm64,unknown/unknown a=b,c,io.x=y \n"
)
IMAGES_2_3 = (
    "REF                           TYPE                                    DIGEST                 "
    "                                                 SIZE    PLATFORMS                           "
    " LABELS       \n"
    f"registry.example/team/app:1.0 {INDEX} sha256:{APP} 8.8 KiB "
    "linux/amd64,linux/arm/v7,linux/arm64 a=b,c,io.x=y \n"
)
# Its index is gone: no size, no platforms.
IMAGES_ABSENT = (
    "REF TYPE DIGEST SIZE PLATFORMS LABELS \n"
    f"harbor.example.com/lab/app:1 {INDEX} sha256:{APP} -    -         - \n"
)


@pytest.mark.parametrize("text", [IMAGES_1_6, IMAGES_2_3])
def test_images(text: str) -> None:
    assert parse_images(text) == [
        ImageRecord(
            "registry.example/team/app:1.0",
            INDEX,
            Digest("sha256", APP),
            {"a": "b,c", "io.x": "y"},
        )
    ]


def test_an_image_whose_index_is_gone() -> None:
    (record,) = parse_images(IMAGES_ABSENT)
    assert record == ImageRecord("harbor.example.com/lab/app:1", INDEX, Digest("sha256", APP))


@pytest.mark.parametrize(
    "name",
    [
        "redis:alpine",
        "Weird Name",
        f"sha256:{APP}",
        f"h:5000/a@sha256:{APP}",
        "import-2026-11-24:1",
    ],
)
def test_containerd_takes_anything_for_a_name(name: str) -> None:
    row = f"{name}   {INDEX} sha256:{APP} 1.2 MiB linux/amd64 io.cri-containerd.image=managed \n"
    (record,) = parse_images(f"REF TYPE DIGEST SIZE PLATFORMS LABELS\n{row}")
    assert record.name == name
    assert record.labels == {"io.cri-containerd.image": "managed"}


@pytest.mark.parametrize(
    "text", ["", "REF TYPE DIGEST SIZE PLATFORMS LABELS \n", "REF\nnonsense\n\nmore of it: yes\n"]
)
def test_no_images(text: str) -> None:
    assert parse_images(text) == []


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("-", {}),
        ("a=b", {"a": "b"}),
        ("a=b,c=d", {"a": "b", "c": "d"}),
        ("a=", {"a": ""}),
        ("a=x=y", {"a": "x=y"}),
        ("a=b,c,d=e", {"a": "b,c", "d": "e"}),
    ],
)
def test_labels(text: str, labels: dict[str, str]) -> None:
    assert parse_labels(text) == labels


def test_digests_are_one_a_line() -> None:
    text = f"sha256:{APP}\nsha256:short\nsha384:{APP}\n\nsha512:{'0' * 128}\n"
    assert parse_digests(text) == {Digest("sha256", APP), Digest("sha512", "0" * 128)}


def test_content_has_tabs() -> None:
    other = "04642eb348cc18aedc9f9250ba38de5060d6a2586ff63c4dc67894d6a6ad57b3"
    text = (
        "DIGEST\t\t\t\t\t\t\t\t\tSIZE\tAGE\t\t\tLABELS\n"
        f"sha256:{other}\t274B\tLess than a second\t-\n"
        f"sha256:{APP}\t855B\tAbout a minute\t"
        "containerd.io/gc.ref.content.l.0=sha256:8c88,"
        "containerd.io/distribution.source.harbor.example.com=a/b,c/d\n"
        f"sha256:{SHORT}\t84B\t1 second\t\ta=b\n"
    )
    assert parse_content(text) == {
        Digest("sha256", other): {},
        Digest("sha256", APP): {
            "containerd.io/gc.ref.content.l.0": "sha256:8c88",
            "containerd.io/distribution.source.harbor.example.com": "a/b,c/d",
        },
        Digest("sha256", SHORT): {"a": "b"},
    }


HELP_1_6 = """\
NAME:
   ctr images push - push an image to a remote

OPTIONS:
   --skip-verify, -k                       skip SSL certificate validation
   --user value, -u value                  user[:password] Registry user and password
   --platform value                        push content from a specific platform
   --max-concurrent-uploaded-layers value  Set the max uploads; see --platform (default: 0)
"""
HELP_2_3 = """\
OPTIONS:
   --all-platforms                  Imports content for all platforms (default: false)
   --local                          Run import locally rather than through transfer API
   --label value [ --label value ]  labels to attach to the image
   --help, -h                       show help
"""


def test_flags_of_a_help_text() -> None:
    assert parse_flags(HELP_1_6) == {
        "--skip-verify",
        "-k",
        "--user",
        "-u",
        "--platform",
        "--max-concurrent-uploaded-layers",
    }
    assert {"--local", "--all-platforms", "--label", "--help", "-h"} <= parse_flags(HELP_2_3)
    assert "--local" not in parse_flags(HELP_1_6)


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        (
            (
                "Client:\n  Version:  1.6.20~ds1\n  Revision: 1.6.20~ds1-1+deb12u3\n"
                "  Go version: go1.19.8\n\nServer:\n  Version:  1.6.20~ds1\n"
                "  Revision: 1.6.20~ds1-1+deb12u3\n  UUID: f30dc38a-ff7b-4e77-a840-d397817bf67d\n"
            ),
            {"client": (1, 6, 20), "server": (1, 6, 20)},
        ),
        (
            (
                "Client:\n  Version:  v2.3.4\n  Revision: \n  Go version: go1.26.8\n\n"
                "Server:\n  Version:  v2.3.4\n  Revision: \n  UUID: 83e4f885\n"
            ),
            {"client": (2, 3, 4), "server": (2, 3, 4)},
        ),
        ("Client:\n  Version:  1.7.34-k3s1\n", {"client": (1, 7, 34)}),
        ("", {}),
        ("Client:\n  Version:  unknown\n", {}),
    ],
)
def test_versions(text: str, versions: dict[str, tuple[int, int, int]]) -> None:
    assert parse_versions(text) == versions


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        ("ctr: unrecognized image format\n", "unrecognized image format"),
        (
            (
                'time="2026-11-24T15:35:54Z" level=info msg="trying next host"\n'
                'ctr: failed to resolve reference "h/a:1": h/a:1: not found\n\n'
            ),
            'failed to resolve reference "h/a:1": h/a:1: not found',
        ),
        (
            "ctr: failed to do request\nctr: unexpected status\nunknown: blob unknown\n",
            "unexpected status\nunknown: blob unknown",
        ),
        ("flag provided but not defined: -x\n", "flag provided but not defined: -x"),
        ('ssh: connect failed\ntime="x" level=info msg=y\n', "ssh: connect failed"),
        ('time="x" level=error msg=y\n', 'time="x" level=error msg=y'),
        ("", ""),
    ],
)
def test_the_message_is_the_last_one_of_ctr(stderr: str, message: str) -> None:
    assert last_message(stderr) == message


@pytest.mark.parametrize(
    "message",
    [
        f"content digest sha256:{APP}: not found",
        f"rpc error: code = NotFound desc = content digest sha256:{APP}: not found",
        f"failed to resolve rootfs: content digest sha256:{APP}: not found",
    ],
)
def test_the_famous_message(message: str) -> None:
    assert missing_digest(message) == Digest("sha256", APP)
    assert missing_digest("something else") is None
