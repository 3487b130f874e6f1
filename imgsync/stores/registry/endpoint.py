"""Endpoint: the addresses of one repository (distribution-spec), and asking them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from imgsync.errors import DigestMismatch, InvalidDigest
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import MAX_DOCUMENT_BYTES, describe
from imgsync.model.media_types import ACCEPT, INDEXES, MANIFESTS
from imgsync.stores import Resolved
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.request import Request
from imgsync.stores.registry.scope import Scopes, pull_scope, push_scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.errors import ImgsyncError
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host

ACCEPT_DOCUMENTS: Final = {"Accept": ", ".join(ACCEPT)}
DOCUMENT_TYPES: Final = INDEXES | MANIFESTS


class Endpoint:
    """One repository of one host.

    Attributes:
        side: how messages call it, ``HOST/REPOSITORY``.
        writes: asks for tokens that allow to write; one token then does for everything.
    """

    def __init__(self, host: Host, repository: str, ns: str = "") -> None:
        """``ns`` is the registry that is meant, where ``host`` is a mirror of several."""
        self.host = host
        self.repository = repository
        self.side = f"{host.name}/{repository}"
        self.path = f"{host.api}/{repository}"
        self.writes = False
        self._query = {"ns": ns} if ns else {}
        self._suffix = f"?{urlencode(self._query)}" if ns else ""

    @property
    def scopes(self) -> Scopes:
        """What a token must allow."""
        return ((push_scope if self.writes else pull_scope)(self.repository),)

    def manifest(self, reference: str) -> str:
        """The address of a manifest or index, by tag or digest."""
        return f"{self.path}/manifests/{reference}{self._suffix}"

    def blob(self, digest: Digest) -> str:
        """The address of a blob."""
        return f"{self.path}/blobs/{digest}{self._suffix}"

    def content(self, descriptor: Descriptor) -> str:
        """The address of an object of either kind."""
        if descriptor.is_document:
            return self.manifest(str(descriptor.digest))
        return self.blob(descriptor.digest)

    def other(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Any other address of the repository."""
        pairs = {**(query or {}), **self._query}
        return f"{self.path}/{path}{'?' if pairs else ''}{urlencode(pairs)}"

    def ask(
        self,
        method: str,
        target: str,
        what: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """The answer, whatever its status; see `Host.ask`."""
        if headers is None:
            headers = ACCEPT_DOCUMENTS if "/manifests/" in target else {}
        scopes = self.scopes
        return self.host.ask(Request(method, target, scopes, self.repository, what, headers, body))

    def error(self, answer: Answer, what: str) -> ImgsyncError:
        """An answer that is no success, in words."""
        return Refusal.of(answer, what, self.side).error()

    def read_document(self, answer: Answer, what: str, expected: Digest | None) -> Resolved:
        """The document of an answer, described and, where its digest is known, proved.

        Raises:
            ContentError: it is no document, or another one.
        """
        media_type = answer.media_type
        raw = answer.content(MAX_DOCUMENT_BYTES)
        declared = media_type if media_type in DOCUMENT_TYPES else ""
        descriptor = describe(raw, declared=declared, where=f"{self.side}: {what}")
        if expected is not None:
            got = Digest.of(raw, expected.algorithm)
            descriptor = Descriptor(descriptor.media_type, expected, len(raw))
            if got != expected:
                raise DigestMismatch(descriptor, str(got), side=self.side)
        return Resolved(descriptor, raw)


def told_digest(answer: Answer) -> Digest | None:
    """``Docker-Content-Digest``: what the registry says, which proves nothing."""
    try:
        return Digest.parse(str(answer.headers.get("Docker-Content-Digest", "")).strip())
    except InvalidDigest:
        return None


def described(answer: Answer) -> Descriptor | None:
    """What the headers of a manifest say, if they say all of it and we can carry it."""
    digest, size = told_digest(answer), answer.length
    if digest is None or not size or answer.media_type not in DOCUMENT_TYPES:
        return None
    return Descriptor(answer.media_type, digest, size)
