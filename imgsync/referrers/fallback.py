"""The index under the fallback tag, by which referrers are found where there is no API. Pure.

distribution-spec, "Referrers Tag Schema". It is the one document that imgsync writes by itself
besides rewritten indexes: it is not carried, because at the destination there may be other
referrers, but kept right there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsync.errors import Refused
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.strict_json import canonical, parse_object
from imgsync.referrers.choice import artifact_type_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgsync.model.manifest import Document


def entry_of(descriptor: Descriptor, document: Document) -> dict[str, Any]:
    """A referrer as the index lists it: what the API would say of it."""
    entry: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    artifact_type = artifact_type_of(document)
    if artifact_type:
        entry["artifactType"] = artifact_type
    if document.annotations:
        entry["annotations"] = document.annotations
    return entry


def index_of(entries: Sequence[dict[str, Any]]) -> bytes:
    """An index of just these, in the order of their digests."""
    ordered = sorted(entries, key=lambda entry: str(entry["digest"]))
    return canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": ordered})


def merged(raw: bytes, entries: Sequence[dict[str, Any]], where: str) -> bytes | None:
    """The index with these entries too; None if it has them all. Others stay as they are.

    Raises:
        Refused: what stands there is no index of referrers.
    """
    value = _index(raw, where)
    known = {entry.get("digest") for entry in value["manifests"]}
    more = [entry for entry in entries if entry["digest"] not in known]
    if not more:
        return None
    value["manifests"] = [*value["manifests"], *sorted(more, key=lambda e: str(e["digest"]))]
    return canonical(value)


def entries_of(raw: bytes, where: str) -> list[Descriptor]:
    """What the index lists."""
    return [Descriptor.from_json(entry, where) for entry in _index(raw, where)["manifests"]]


def without(raw: bytes, gone: Collection[Digest], where: str) -> bytes:
    """The index without these: a registry refuses one that lists what it does not have."""
    value = _index(raw, where)
    texts = {str(digest) for digest in gone}
    value["manifests"] = [
        entry for entry in value["manifests"] if str(entry.get("digest")) not in texts
    ]
    return canonical(value)


def _index(raw: bytes, where: str) -> dict[str, Any]:
    value = parse_object(raw, where)
    entries = value.get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        msg = f"{where} is no index of referrers"
        raise Refused(msg, hint="somebody uses the tag for something else; remove it there")
    return value
