"""Repository: one repository of a registry, read from and written to.

Requests are counted: a name is one HEAD (or the one GET by digest that brings the document too),
an object one GET, and of what is sent, a HEAD, and POST and PUT where it is missing.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from imgsync.errors import (
    ContentError,
    DigestMismatch,
    ImgsyncError,
    InvalidDigest,
    NetworkError,
    Refused,
)
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import MAX_DOCUMENT_BYTES, describe
from imgsync.model.media_types import ACCEPT, INDEXES, MANIFESTS
from imgsync.stores import Resolved
from imgsync.stores.registry.resume import ResumingBody
from imgsync.stores.registry.scope import Scope, Scopes, pull_scope, push_scope
from imgsync.stores.registry.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.content import Readable, VerifiedStream
    from imgsync.model.reference import Reference
    from imgsync.stores import Destination
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host

_ACCEPT: Final = {"Accept": ", ".join(ACCEPT)}
_DOCUMENTS: Final = INDEXES | MANIFESTS

TAG_AGE_S: Final = 60.0
"""So long a tag is taken to mean what it was seen to mean."""

REMEMBERED_BYTES: Final = 32 * 1024 * 1024
"""Documents kept for being named; beyond that the oldest are read again from the registry."""


class Repository:
    """Source and Destination.

    Attributes:
        side: how messages call it, ``HOST/REPOSITORY``.
    """

    def __init__(self, host: Host, repository: str, *, jobs: int = 8, ns: str = "") -> None:
        """``ns`` is the registry that is meant, where ``host`` is a mirror of several."""
        self.host = host
        self.repository = repository
        self.side = f"{host.name}/{repository}"
        self._jobs = jobs
        self._query = f"?{urlencode({'ns': ns})}" if ns else ""
        self._pull: Scopes = (pull_scope(repository),)
        self._push: Scopes = (push_scope(repository),)
        self._scopes: Scopes = self._pull
        self._lock = threading.Lock()
        self._documents: dict[Digest, bytes] = {}
        self._n_document_bytes = 0
        self._tags: dict[str, tuple[float, Digest]] = {}
        self._begun: dict[Digest, Upload] = {}

    # Source.

    def resolve(self, reference: Reference) -> Resolved:
        """What a tag means now, without the document; of a digest, the document with it.

        Raises:
            NotFound, AccessDenied: the registry says no.
            ContentError: the answer is no manifest, or not the one that was asked for.
        """
        if reference.digest is not None:
            return self._resolve_digest(reference.digest)
        answer = self._ask("HEAD", self._manifest(reference.tag), f"tag {reference.tag}")
        if answer.status == 404:
            raise self._error(answer, f"tag {reference.tag}")
        descriptor = _described(answer) if answer.status == 200 else None
        if descriptor is not None:
            return Resolved(descriptor)
        # No length, no digest, an old media type, or a refusal whose reason HEAD does not give.
        return self._resolve_by_get(reference.tag)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The content's bytes from an offset on; goes on by itself when the line is cut.

        Raises:
            NotFound, AccessDenied: the registry says no.
        """
        path = self._path_of(descriptor)

        def ask(start: int) -> Answer:
            headers = dict(_ACCEPT) if descriptor.is_document else {}
            if start:
                headers["Range"] = f"bytes={start}-"
            answer = self._ask("GET", path, descriptor.short, headers)
            if answer.status == 404 and descriptor.is_document:
                # Old registries keep manifests that nobody tagged among the blobs.
                answer.close()
                answer = self._ask("GET", self._blob(descriptor), descriptor.short, headers)
            if answer.status not in {200, 206}:
                raise self._error(answer, descriptor.short)
            return answer

        return ResumingBody(ask, descriptor, offset, self.side, self.host.retries)

    # Destination.

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """Those that the repository does not have in their full size; one HEAD for each."""
        self._scopes = self._push
        each = {item.digest: item for item in descriptors}
        if len(each) < 2:
            return {digest for digest, item in each.items() if not self._has(item)}
        with ThreadPoolExecutor(min(self._jobs, len(each)), "missing") as pool:
            there = pool.map(self._has, each.values())
            return {digest for digest, has in zip(each, there, strict=True) if not has}

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Store a blob, or a document under its digest.

        Raises:
            NetworkError: but for RateLimited, worth another call with a new stream.
            ChildrenUnknown: the registry lacks what a document needs.
            Refused, AccessDenied: the registry does not want it.
        """
        self._scopes = self._push
        if descriptor.is_document:
            self._put_document(descriptor, stream.read())
            return
        with self._lock:
            upload = self._begun.pop(descriptor.digest, None)
        if upload is None:
            upload = Upload(self.host, self.repository, self._push, descriptor, self.side)
            upload.begin()
        upload.send(stream)

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Let the tag mean this root, and prove it; nothing is written if it does already.

        Raises:
            Refused: the tag is immutable and means something else.
            ContentError: the registry answers with another digest afterwards.
        """
        self._scopes = self._push
        tag = reference.tag
        if not tag or self._tag_means(tag) == root.digest:
            return
        raw = self._document(root)
        self._put_manifest(tag, root, raw, f"tag {tag}")
        self._prove(tag, root)

    def remember(self, descriptor: Descriptor, raw: bytes) -> None:
        """Keep a document's bytes for `name`, so that they need not be read back."""
        with self._lock:
            if descriptor.digest in self._documents:
                return
            self._documents[descriptor.digest] = raw
            self._n_document_bytes += len(raw)
            while self._n_document_bytes > REMEMBERED_BYTES:
                oldest = next(iter(self._documents))
                self._n_document_bytes -= len(self._documents.pop(oldest))

    def digest_of_tag(self, tag: str) -> Descriptor | None:
        """What a tag means at this destination; None if there is no such tag, or repository."""
        self._scopes = self._push
        what = f"tag {tag}"
        answer = self._ask("HEAD", self._manifest(tag), what)
        if answer.status == 404:
            return None
        if answer.status in {401, 403, 412}:
            raise self._error(self._ask("GET", self._manifest(tag), what), what)
        if answer.status != 200:
            raise self._error(answer, what)
        descriptor = _described(answer)
        if descriptor is None:
            descriptor = self._resolve_by_get(tag).descriptor
        with self._lock:
            self._tags[tag] = time.monotonic(), descriptor.digest
        return descriptor

    # Mounting.

    @property
    def mounts_with(self) -> str:
        """The registry: within it, blobs can be linked from one repository to another."""
        return f"{self.host.name}{self.host.api}"

    def mount(self, descriptor: Descriptor, origin: Destination) -> bool:
        """Let the registry link a blob from another repository of it.

        Where it begins an upload instead, the next `put` of this blob uses that.
        """
        if not isinstance(origin, Repository) or origin.mounts_with != self.mounts_with:
            return False
        if origin.repository == self.repository:
            return False
        query = urlencode({"mount": str(descriptor.digest), "from": origin.repository})
        path = f"{self._path}/blobs/uploads/?{query}"
        # The right to write comes first: some token servers only look at the first scope.
        scopes: Scopes = (*self._push, Scope("repository", origin.repository, frozenset({"pull"})))
        try:
            answer = self.host.ask(
                "POST",
                path,
                scopes,
                repository=self.repository,
                what=descriptor.short,
                body=b"",
                headers={"Content-Length": "0"},
            )
        except NetworkError:
            return False
        if answer.status == 202:
            upload = Upload(self.host, self.repository, self._push, descriptor, self.side)
            upload.continue_at(answer)
            with self._lock:
                self._begun[descriptor.digest] = upload
            return False
        answer.close()
        return answer.status == 201

    # What these are made of.

    def _resolve_digest(self, digest: Digest) -> Resolved:
        what = f"manifest {digest.short}"
        answer = self._ask("GET", self._manifest(str(digest)), what)
        if answer.status == 404:
            answer.close()
            answer = self._ask("GET", f"{self._path}/blobs/{digest}{self._query}", what)
        if answer.status != 200:
            raise self._error(answer, what)
        return self._read(answer, what, digest)

    def _resolve_by_get(self, tag: str) -> Resolved:
        what = f"tag {tag}"
        answer = self._ask("GET", self._manifest(tag), what)
        if answer.status != 200:
            raise self._error(answer, what)
        told = _told_digest(answer)
        return self._read(answer, what, told)

    def _read(self, answer: Answer, what: str, expected: Digest | None) -> Resolved:
        media_type = answer.media_type
        raw = answer.content(MAX_DOCUMENT_BYTES)
        where = f"{self.side}: {what}"
        declared = media_type if media_type in _DOCUMENTS else ""
        descriptor = describe(raw, declared=declared, where=where)
        if expected is not None:
            got = Digest.of(raw, expected.algorithm)
            descriptor = Descriptor(descriptor.media_type, expected, len(raw))
            if got != expected:
                raise DigestMismatch(descriptor, str(got), side=self.side)
        return Resolved(descriptor, raw)

    def _has(self, descriptor: Descriptor) -> bool:
        answer = self._ask("HEAD", self._path_of(descriptor), descriptor.short)
        if answer.status == 404:
            return False
        if answer.status != 200:
            answer = self._ask("GET", self._path_of(descriptor), descriptor.short)
            raise self._error(answer, descriptor.short)
        return answer.length in {None, descriptor.size}

    def _put_document(self, descriptor: Descriptor, raw: bytes) -> None:
        self._put_manifest(str(descriptor.digest), descriptor, raw, descriptor.short)
        self.remember(descriptor, raw)

    def _put_manifest(self, reference: str, descriptor: Descriptor, raw: bytes, what: str) -> None:
        answer = self._ask(
            "PUT",
            self._manifest(reference),
            what,
            {"Content-Type": descriptor.media_type, "Content-Length": str(len(raw))},
            raw,
        )
        if answer.status not in {200, 201, 202, 204}:
            raise self._error(answer, what)
        told = _told_digest(answer)
        answer.close()
        if told and told.algorithm == descriptor.digest.algorithm and told != descriptor.digest:
            raise DigestMismatch(descriptor, str(told), side=self.side)

    def _prove(self, tag: str, root: Descriptor) -> None:
        try:
            now = self.digest_of_tag(tag)
        except Refused:
            return  # a policy hides what is not signed or scanned yet; the PUT was answered
        if now is None or now.digest != root.digest:
            means = str(now.digest) if now is not None else "nothing"
            msg = f"{self.side}: tag {tag} was set to {root.digest} and means {means}"
            raise ContentError(msg, hint="somebody else may have pushed at the same time")

    def _tag_means(self, tag: str) -> Digest | None:
        known = self._tags.get(tag)
        if known is not None and time.monotonic() - known[0] < TAG_AGE_S:
            return known[1]
        now = self.digest_of_tag(tag)
        return now.digest if now is not None else None

    def _document(self, descriptor: Descriptor) -> bytes:
        raw = self._documents.get(descriptor.digest)
        if raw is not None:
            return raw
        read = self._resolve_digest(descriptor.digest).raw
        return read if read is not None else b""

    def _ask(
        self,
        method: str,
        target: str,
        what: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        if headers is None:
            headers = _ACCEPT if "/manifests/" in target else {}
        return self.host.ask(
            method,
            target,
            self._scopes,
            repository=self.repository,
            what=what,
            headers=headers,
            body=body,
        )

    def _error(self, answer: Answer, what: str) -> ImgsyncError:
        return self.host.refusal(answer, what, self.side).error()

    @property
    def _path(self) -> str:
        return f"{self.host.api}/{self.repository}"

    def _manifest(self, reference: str) -> str:
        return f"{self._path}/manifests/{reference}{self._query}"

    def _blob(self, descriptor: Descriptor) -> str:
        return f"{self._path}/blobs/{descriptor.digest}{self._query}"

    def _path_of(self, descriptor: Descriptor) -> str:
        if descriptor.is_document:
            return self._manifest(str(descriptor.digest))
        return self._blob(descriptor)


def _described(answer: Answer) -> Descriptor | None:
    """What the headers say, if they say all of it and it is something that can be carried."""
    digest, size = _told_digest(answer), answer.length
    if digest is None or not size or answer.media_type not in _DOCUMENTS:
        return None
    return Descriptor(answer.media_type, digest, size)


def _told_digest(answer: Answer) -> Digest | None:
    try:
        return Digest.parse(answer.headers.get("Docker-Content-Digest", "").strip())
    except InvalidDigest:
        return None
