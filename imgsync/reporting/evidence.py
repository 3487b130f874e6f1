"""Evidence: signatures, SBOMs and other content that speaks about images. Pure.

What kind of thing a document is, is read from its media types and annotations, as the tools write
them (cosign 1 to 3, notation, buildkit, oras, syft, trivy). Nothing is checked: that a signature
is there does not say that it is good.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidDigest
from imgsync.model.digest import Digest
from imgsync.model.manifest import ATTESTATION_SUBJECT, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.manifest import Document

_COSIGN_TAG: Final = re.compile(r"sha256-([0-9a-f]{64})(?:\.(sig|att|sbom))?", re.ASCII)
_HELM: Final = "application/vnd.cncf.helm."
_PREDICATES: Final = (
    "in-toto.io/predicate-type",
    "predicateType",
    "dev.sigstore.bundle.predicateType",
)
_EMPTY: Final = "application/vnd.oci.empty.v1+json"


class Kind(StrEnum):
    """What a document is for."""

    SIGNATURE = "signature"
    SBOM = "SBOM"
    PROVENANCE = "provenance"
    ATTESTATION = "attestation"
    SCAN = "scan"
    CHART = "chart"
    ARTIFACT = "artifact"


_WORDS: Final = (
    (Kind.SBOM, ("spdx", "cyclonedx", "sbom", "syft")),
    (Kind.SCAN, ("vuln", "sarif", "openvex", "vex+", "scan", "trivy")),
    (Kind.PROVENANCE, ("slsa", "provenance")),
    (
        Kind.SIGNATURE,
        (
            "simplesigning",
            "cosign/sign/",  # cosign 3 wraps signatures as attestations of this predicate
            "cncf.notary.signature",
            "cosign.artifact.sig",
            "signature",
        ),
    ),
)
"""What media types and predicates contain, the first that fits."""

_TAGS: Final = {"sig": Kind.SIGNATURE, "att": Kind.ATTESTATION, "sbom": Kind.SBOM}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One document that no runtime runs.

    Attributes:
        kind: what it is for.
        form: in which form, as far as it says: a predicate or a media type.
        about: the digest that it speaks about, or None.
        name: what it is called, or an empty text where it is a part of an index.
        size: bytes of the document and of what it needs.
        is_whole: whether all of that is there.
    """

    kind: Kind
    form: str
    about: Digest | None
    name: str
    descriptor: Descriptor
    size: int
    is_whole: bool


def kind_of_document(document: Document, tag: str = "") -> tuple[Kind, str]:
    """What a document is, and in which form."""
    manifest = document if isinstance(document, Manifest) else None
    layers = manifest.layers if manifest is not None else ()
    predicates = list(_predicates(document.annotations))
    for layer in layers:
        predicates += _predicates(layer.annotations)
    config = manifest.config.media_type if manifest is not None else ""
    if config.startswith(_HELM):
        return Kind.CHART, "Helm"
    types = [document.artifact_type, *(layer.media_type for layer in layers), config]
    told = [text for text in (*predicates, *types) if text and text != _EMPTY]
    by_tag = _COSIGN_TAG.fullmatch(tag)
    for kind, words in _WORDS:
        for text in predicates or told:
            if any(word in text.lower() for word in words):
                return kind, text
    form = told[0] if told else document.media_type
    if by_tag is not None and by_tag[2]:
        return _TAGS[by_tag[2]], form
    if any("in-toto" in text or "dsse" in text for text in told):
        return Kind.ATTESTATION, form
    if any("sigstore.bundle" in text for text in told):
        return (Kind.ATTESTATION if predicates else Kind.SIGNATURE), form
    return Kind.ARTIFACT, form


def about_of(document: Document | None, descriptor: Descriptor, tag: str = "") -> Digest | None:
    """The digest that a document speaks about: its subject, or what its name or index says.

    Without the document, what its name or index says.
    """
    if document is not None and document.subject is not None:
        return document.subject.digest
    found = _COSIGN_TAG.fullmatch(tag)
    text = f"sha256:{found[1]}" if found else descriptor.annotations.get(ATTESTATION_SUBJECT, "")
    try:
        return Digest.parse(text)
    except InvalidDigest:
        return None


def _predicates(annotations: Mapping[str, str]) -> Iterator[str]:
    for key in _PREDICATES:
        if annotations.get(key):
            yield annotations[key]
