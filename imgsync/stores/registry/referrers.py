"""What refers to a digest: by the referrers API, or by the tag that stands in for it.

distribution-spec, "Listing Referrers". A registry with the API never answers 404; one without it
has a tag ``sha256-<hex>`` on an index of the referrers. Which of them a host has is asked once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from imgsync.errors import ContentError
from imgsync.model.descriptor import Descriptor
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.referrer_tags import fallback_tag
from imgsync.model.strict_json import parse_object
from imgsync.stores.registry.endpoint import told_digest
from imgsync.stores.registry.pages import pages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.model.digest import Digest
    from imgsync.stores.registry.endpoint import Endpoint

MAX_REFERRERS: Final = 1000

_NO_API: Final = frozenset({400, 404, 405, 406, 501})


class Referrer(NamedTuple):
    """A manifest about another, and what kind of thing it says that it is."""

    descriptor: Descriptor
    artifact_type: str


def list_referrers(endpoint: Endpoint, subject: Digest) -> list[Referrer]:
    """All that refers to a digest, each once.

    Raises:
        AccessDenied: the registry says no.
        ContentError: the answer is not the index that it must be, or endless.
    """
    if endpoint.host.has_referrers_api is not False:
        found = _by_api(endpoint, subject)
        endpoint.host.has_referrers_api = found is not None
        if found is not None:
            return found
    return list_by_tag(endpoint, subject)


def has_api(endpoint: Endpoint, subject: Digest) -> bool:
    """Whether the host has the API; asked once, with this digest.

    ``OCI-Subject`` in an answer to a push does not tell: ECR sent it without having the API.
    """
    host = endpoint.host
    with host.referrers_probe:
        if host.has_referrers_api is None:
            host.has_referrers_api = _by_api(endpoint, subject) is not None
        return host.has_referrers_api


def _by_api(endpoint: Endpoint, subject: Digest) -> list[Referrer] | None:
    """The API's answer, or None where there is no API."""
    what = f"the referrers of {subject.short}"
    target = endpoint.other(f"referrers/{subject}")
    answer = endpoint.ask("GET", target, what, {"Accept": OCI_INDEX})
    if answer.status in _NO_API or (answer.status == 200 and answer.media_type != OCI_INDEX):
        answer.close()
        return None
    if answer.status != 200:
        raise endpoint.error(answer, what)
    where = f"{endpoint.side}: {what}"
    return _unique((page.get("manifests") for page in pages(endpoint, answer, what)), where)


def list_by_tag(endpoint: Endpoint, subject: Digest) -> list[Referrer]:
    """All that the fallback tag of a digest lists, each once.

    Raises:
        AccessDenied, ContentError: as `list_referrers`.
    """
    tag = fallback_tag(subject)
    what = f"tag {tag}"
    answer = endpoint.ask("GET", endpoint.manifest(tag), what)
    if answer.status == 404:
        answer.close()
        return []
    if answer.status != 200:
        raise endpoint.error(answer, what)
    document = endpoint.read_document(answer, what, told_digest(answer))
    where = f"{endpoint.side}: {what}"
    return _unique([parse_object(document.raw or b"", where).get("manifests")], where)


def _unique(lists: Iterable[Any], where: str) -> list[Referrer]:
    found: dict[Digest, Referrer] = {}
    for entries in lists:
        if not isinstance(entries, list):
            msg = f"{where}: manifests is not a list"
            raise ContentError(msg)
        for entry in entries:
            descriptor = Descriptor.from_json(entry, where)
            artifact_type = entry.get("artifactType")
            kind = artifact_type if isinstance(artifact_type, str) else ""
            found.setdefault(descriptor.digest, Referrer(descriptor, kind))
            if len(found) > MAX_REFERRERS:
                msg = f"{where}: more than {MAX_REFERRERS}"
                raise ContentError(msg)
    return list(found.values())
