"""What a request asks for: from method, path and query to a request object. Pure.

The routes are those of the distribution-spec's pull side (v1.1, "Endpoints"). What a name in a
path means is not decided here but by `imgsync.serve.catalog`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

from imgsync.errors import InvalidDigest
from imgsync.model.digest import Digest

_OF_REPOSITORY: Final = re.compile(
    r"/v2/(?P<name>.+)/(?:manifests/(?P<manifest>[^/]+)|blobs/(?P<blob>[^/]+)"
    r"|referrers/(?P<subject>[^/]+)|(?P<tags>tags/list))"
)
_UPLOADS: Final = re.compile(r"/v2/.+/blobs/uploads(?:/.*)?")
READING: Final = frozenset({"GET", "HEAD"})


class RequestRefused(Exception):
    """A request that is answered with an error of the distribution-spec ("Error Codes")."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: at most ``n`` entries (all, if None), those behind ``last``."""

    n: int | None = None
    last: str = ""


@dataclass(frozen=True, slots=True)
class Ping:
    """Whether this is a registry."""


@dataclass(frozen=True, slots=True)
class Repositories:
    """The names of all repositories."""

    page: Page


@dataclass(frozen=True, slots=True)
class Name:
    """A repository as a client calls it.

    Attributes:
        path: what stands between ``/v2/`` and the kind of thing that is asked for.
        host: the ``ns`` of the query, by which containerd tells a mirror whom it speaks for.
    """

    path: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a repository."""

    name: Name
    page: Page


@dataclass(frozen=True, slots=True)
class ManifestOf:
    """A manifest or index, by its tag or its digest."""

    name: Name
    tag: str
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class BlobOf:
    """Any content, by its digest."""

    name: Name
    digest: Digest


@dataclass(frozen=True, slots=True)
class ReferrersOf:
    """What names this digest as its subject, of one artifact type if that is not empty."""

    name: Name
    digest: Digest
    artifact_type: str = ""


Asked = Ping | Repositories | Tags | ManifestOf | BlobOf | ReferrersOf


def parse_request(method: str, target: str) -> Asked:
    """Read a request line's method and target.

    Raises:
        RequestRefused: 405 for a write, 400 for a malformed digest or number, 404 for the rest.
    """
    encoded, _, query_text = target.partition("?")
    path = unquote(encoded)
    if method not in READING:
        raise RequestRefused(405, "UNSUPPORTED", "this registry is read-only")
    query = {key: values[-1] for key, values in parse_qs(query_text).items()}
    if path in ("/v2/", "/v2"):
        return Ping()
    if path == "/v2/_catalog":
        return Repositories(_page(query))
    match = _OF_REPOSITORY.fullmatch(path)
    if match is None or _UPLOADS.fullmatch(path):
        raise RequestRefused(404, "NOT_FOUND", f"{path[:300]} is no address of a registry")
    name = Name(match["name"], query.get("ns", ""))
    if match["tags"]:
        return Tags(name, _page(query))
    if match["blob"]:
        return BlobOf(name, _digest(match["blob"]))
    if match["subject"]:
        return ReferrersOf(name, _digest(match["subject"]), query.get("artifactType", ""))
    if ":" in match["manifest"]:
        return ManifestOf(name, "", _digest(match["manifest"]))
    return ManifestOf(name, match["manifest"])


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the length of a single range (RFC 9110, section 14), None for all.

    A header in another form is ignored, as the RFC allows; so are several ranges.

    Raises:
        RequestRefused: 416, no byte of the range is there.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    if not match[1]:
        start, end = max(0, size - int(match[2])), size
        if match[2].strip("0") == "":
            start = size
    else:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= size:
        raise RequestRefused(416, "RANGE_INVALID", f"the content has {size} bytes")
    return start, end - start


def _page(query: dict[str, str]) -> Page:
    number = query.get("n")
    if number is not None and not (number.isascii() and number.isdigit()):
        raise RequestRefused(400, "PAGINATION_NUMBER_INVALID", f"n={number[:40]!r} is no number")
    return Page(None if number is None else int(number), query.get("last", ""))


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise RequestRefused(400, "DIGEST_INVALID", error.message) from None
