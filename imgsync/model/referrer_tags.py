"""Tags that name a digest: what is about it, in registries and tools without a better way. Pure.

- ``sha256-<hex>``: the fallback of the referrers API (distribution-spec, "Referrers Tag Schema"),
  an index of all that has the digest as its subject
- ``sha256-<hex>.sig``, ``.att``, ``.sbom``: cosign's, each a manifest about the digest

They stay right wherever the content goes, because a digest says the same everywhere.
"""

from __future__ import annotations

import re
from typing import Final

from imgsync.errors import InvalidDigest
from imgsync.model.digest import Digest

COSIGN_SUFFIXES: Final = ("sig", "att", "sbom")

_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9._-]")
_COSIGN = re.compile(rf"([a-z0-9]+)-([0-9a-f]+)\.(?:{'|'.join(COSIGN_SUFFIXES)})", re.ASCII)
_FALLBACK = re.compile(r"([a-z0-9]+)-([0-9a-f]+)", re.ASCII)
_MAX_TAG: Final = 128


def fallback_tag(subject: Digest) -> str:
    """The tag under which a registry without the API keeps the referrers of a digest."""
    algorithm, encoded = subject.algorithm[:32], subject.hex[:64]
    return _NOT_IN_TAGS.sub("-", f"{algorithm}-{encoded}")


def subject_of_fallback_tag(tag: str) -> Digest | None:
    """What the index under a fallback tag is about; None for every other tag.

    Of a digest that is too long for a tag, the tag has not all.
    """
    found = _FALLBACK.fullmatch(tag)
    return _digest(found[1], found[2]) if found is not None else None


def cosign_tags(subject: Digest) -> tuple[str, ...]:
    """The tags by which cosign finds what is about a digest; none where they would be too long."""
    tags = (f"{subject.algorithm}-{subject.hex}.{suffix}" for suffix in COSIGN_SUFFIXES)
    return tuple(tag for tag in tags if len(tag) <= _MAX_TAG)


def subject_of_tag(tag: str) -> Digest | None:
    """What one of cosign's tags is about; None for every other tag."""
    found = _COSIGN.fullmatch(tag)
    return _digest(found[1], found[2]) if found is not None else None


def _digest(algorithm: str, encoded: str) -> Digest | None:
    try:
        return Digest(algorithm, encoded)
    except InvalidDigest:
        return None
