"""What a request is answered with: from a request object and the catalog to an answer. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, assert_never
from urllib.parse import quote, urlencode

from imgsync.model.media_types import OCI_INDEX
from imgsync.serve.routes import (
    Asked,
    BlobOf,
    ManifestOf,
    Page,
    Ping,
    ReferrersOf,
    Repositories,
    RequestRefused,
    Tags,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.serve.catalog import Catalog

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers, and a body: bytes, or content that is sent from the store.

    Attributes:
        about: the document that ``body`` is, if it is one.
        content: what is sent instead of ``body``; the server adds length and range.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    about: Descriptor | None = None
    content: Descriptor | None = None


def answer_to(asked: Asked, catalog: Catalog) -> Answer:
    """The answer of this catalog.

    Raises:
        RequestRefused: it does not have what is asked for.
    """
    match asked:
        case Ping():
            return Answer(200, {"Content-Type": JSON}, b"{}")
        case Repositories(page):
            names = catalog.repositories(page)
            link = _next("/v2/_catalog", names, page)
            return Answer(200, {"Content-Type": JSON, **link}, _json({"repositories": names}))
        case Tags(name, page):
            full_name, tags = catalog.tags(name, page)
            link = _next(f"/v2/{name.path}/tags/list", tags, page, name.host)
            body = _json({"name": full_name, "tags": tags})
            return Answer(200, {"Content-Type": JSON, **link}, body)
        case ManifestOf(name, tag, digest):
            descriptor, raw = catalog.manifest(name, tag, digest)
            headers = {"Content-Type": descriptor.media_type, **_digest_headers(descriptor)}
            return Answer(200, headers, raw, about=descriptor)
        case BlobOf(name, digest):
            descriptor = catalog.blob(name, digest)
            headers = {
                "Content-Type": "application/octet-stream",
                "Accept-Ranges": "bytes",
                **_digest_headers(descriptor),
            }
            return Answer(200, headers, content=descriptor)
        case ReferrersOf(_, digest, artifact_type):
            # "MUST NOT return a 404", whatever is known of the repository or the digest.
            index = {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": catalog.referrers(digest, artifact_type),
            }
            filtered = {"OCI-Filters-Applied": "artifactType"} if artifact_type else {}
            return Answer(200, {"Content-Type": OCI_INDEX, **filtered}, _json(index))
        case _:
            assert_never(asked)


def refusal(refused: RequestRefused, headers: Mapping[str, str] | None = None) -> Answer:
    """The error as the distribution-spec wants it, in its JSON envelope."""
    error = {"code": refused.code, "message": refused.message}
    allow = {"Allow": "GET, HEAD"} if refused.status == 405 else {}
    return Answer(
        refused.status,
        {"Content-Type": JSON, **allow, **(headers or {})},
        _json({"errors": [error]}),
    )


def _digest_headers(descriptor: Descriptor) -> dict[str, str]:
    digest = str(descriptor.digest)
    return {"Docker-Content-Digest": digest, "ETag": f'"{digest}"'}


def _next(path: str, names: list[str], page: Page, host: str = "") -> dict[str, str]:
    """The Link to what follows, where the list was cut by ``n`` (and not to nothing)."""
    if not page.n or len(names) < page.n:
        return {}
    query = {"n": str(page.n), "last": names[-1]} | ({"ns": host} if host else {})
    return {"Link": f'<{quote(path)}?{urlencode(query)}>; rel="next"'}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
