"""Requests as they come in, and what they are taken for."""

from __future__ import annotations

import pytest

from imgsync.model.digest import Digest
from imgsync.serve.routes import (
    Asked,
    BlobOf,
    ManifestOf,
    Name,
    Page,
    Ping,
    ReferrersOf,
    Repositories,
    RequestRefused,
    Tags,
    parse_range,
    parse_request,
)

HEX = "ab" * 32
DIGEST = Digest("sha256", HEX)


@pytest.mark.parametrize(
    ("target", "asked"),
    [
        ("/v2/", Ping()),
        ("/v2", Ping()),
        ("/v2/_catalog", Repositories(Page())),
        ("/v2/_catalog?n=10&last=b", Repositories(Page(10, "b"))),
        ("/v2/app/tags/list", Tags(Name("app"), Page())),
        ("/v2/a/b/c/tags/list?n=0", Tags(Name("a/b/c"), Page(0))),
        ("/v2/app/manifests/1.0", ManifestOf(Name("app"), "1.0")),
        (
            "/v2/app/manifests/1?ns=docker.io",
            ManifestOf(Name("app", "docker.io"), "1"),
        ),
        ("/v2/h:5000/app/manifests/1", ManifestOf(Name("h:5000/app"), "1")),
        ("/v2/h%3A5000/app/manifests/1", ManifestOf(Name("h:5000/app"), "1")),
        (f"/v2/app/manifests/sha256:{HEX}", ManifestOf(Name("app"), "", DIGEST)),
        (f"/v2/app/manifests/sha256%3A{HEX}", ManifestOf(Name("app"), "", DIGEST)),
        (f"/v2/app/blobs/sha256:{HEX}", BlobOf(Name("app"), DIGEST)),
        (
            f"/v2/app/blobs/sha512:{'0' * 128}",
            BlobOf(Name("app"), Digest("sha512", "0" * 128)),
        ),
        (f"/v2/manifests/blobs/sha256:{HEX}", BlobOf(Name("manifests"), DIGEST)),
        (f"/v2/app/referrers/sha256:{HEX}", ReferrersOf(Name("app"), DIGEST)),
        (
            f"/v2/app/referrers/sha256:{HEX}?artifactType=a%2Fb",
            ReferrersOf(Name("app"), DIGEST, "a/b"),
        ),
        ("/v2/tags/list/manifests/1", ManifestOf(Name("tags/list"), "1")),
    ],
)
def test_what_is_asked(target: str, asked: Asked) -> None:
    assert parse_request("GET", target) == asked
    assert parse_request("HEAD", target) == asked


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v1/app", 404, "NOT_FOUND"),
        ("GET", "/v2/app", 404, "NOT_FOUND"),
        ("GET", "/v2//manifests/1", 404, "NOT_FOUND"),
        ("GET", "/v2/app/blobs/uploads/", 404, "NOT_FOUND"),
        ("GET", "/v2/app/blobs/sha256:abc", 400, "DIGEST_INVALID"),
        ("GET", "/v2/app/blobs/uploads", 404, "NOT_FOUND"),
        ("GET", f"/v2/app/blobs/md5:{HEX}", 400, "DIGEST_INVALID"),
        ("GET", "/v2/app/manifests/sha256:totallywrong", 400, "DIGEST_INVALID"),
        ("GET", "/v2/app/referrers/x", 400, "DIGEST_INVALID"),
        ("GET", "/v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/app/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("POST", "/v2/app/blobs/uploads/", 405, "UNSUPPORTED"),
        ("PUT", "/v2/app/manifests/1", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/app/blobs/uploads/1", 405, "UNSUPPORTED"),
        ("DELETE", "/v2/app/manifests/1", 405, "UNSUPPORTED"),
    ],
)
def test_what_is_refused(method: str, target: str, status: int, code: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_request(method, target)
    assert (refused.value.status, refused.value.code) == (status, code)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("", None),
        ("bytes=0-99", (0, 100)),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 10)),
        ("bytes=10-1000", (10, 90)),
        ("bytes=99-", (99, 1)),
        ("bytes=-1", (99, 1)),
        ("bytes=-1000", (0, 100)),
        ("bytes=20-10", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("lines=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges_of_a_hundred_bytes(header: str | None, part: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_ranges_that_are_not_there(header: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_range(header, 100)
    assert refused.value.status == 416
