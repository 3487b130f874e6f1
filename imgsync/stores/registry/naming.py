"""Tags at a destination: what they mean, setting them, and proving that they are set."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContentError, DigestMismatch, Refused
from imgsync.stores.registry.endpoint import described, told_digest

if TYPE_CHECKING:
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores.registry.endpoint import Endpoint

TAG_AGE_S: Final = 60.0
"""So long a tag is taken to mean what it was seen to mean."""

REMEMBERED_BYTES: Final = 32 * 1024 * 1024
"""Documents kept for being named; beyond that the oldest are read again from the registry."""


class Naming:
    """The tags of one repository. Setting a tag is sending the root's bytes once more to it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._documents: dict[Digest, bytes] = {}
        self._n_bytes = 0
        self._seen: dict[str, tuple[float, Digest | None]] = {}

    def remember(self, digest: Digest, raw: bytes) -> None:
        """Keep a document's bytes, so that they need not be read back."""
        with self._lock:
            if digest in self._documents:
                return
            self._documents[digest] = raw
            self._n_bytes += len(raw)
            while self._n_bytes > REMEMBERED_BYTES:
                oldest = next(iter(self._documents))
                self._n_bytes -= len(self._documents.pop(oldest))

    def meaning(self, tag: str) -> Descriptor | None:
        """What a tag means now; None if there is no such tag, or repository.

        Raises:
            AccessDenied, Refused: the registry does not tell.
        """
        endpoint, what = self._endpoint, f"tag {tag}"
        answer = endpoint.ask("HEAD", endpoint.manifest(tag), what)
        if answer.status == 404:
            self._see(tag, None)
            return None
        descriptor = described(answer) if answer.status == 200 else None
        if descriptor is None:
            # A HEAD that lacks a header, or a refusal: only GET says more.
            answer = endpoint.ask("GET", endpoint.manifest(tag), what)
            if answer.status == 404:
                answer.close()
                self._see(tag, None)
                return None
            if answer.status != 200:
                raise endpoint.error(answer, what)
            descriptor = endpoint.read_document(answer, what, told_digest(answer)).descriptor
        self._see(tag, descriptor.digest)
        return descriptor

    def set(self, tag: str, root: Descriptor) -> None:
        """Let the tag mean this root, and prove it; nothing is written if it does already.

        Looking first is more than thrift: Harbor refuses to write an immutable tag even where
        it means the same.

        Raises:
            Refused: the tag is immutable and means something else.
            ContentError: the registry answers with another digest afterwards.
        """
        if self._means(tag, root.digest):
            return
        self.put(tag, root, self._document(root))
        try:
            now = self.meaning(tag)
        except Refused:
            return  # a policy hides what is not signed or scanned yet; the PUT was answered
        if now is None or now.digest != root.digest:
            means = str(now.digest) if now is not None else "nothing"
            msg = f"{self._endpoint.side}: tag {tag} was set to {root.digest} and means {means}"
            raise ContentError(msg, hint="somebody else may have pushed at the same time")

    def put(self, reference: str, descriptor: Descriptor, raw: bytes) -> None:
        """Send a document to a tag or a digest, byte for byte.

        Raises:
            ChildrenUnknown: the registry lacks what it needs.
            Refused, AccessDenied: the registry does not want it.
        """
        endpoint = self._endpoint
        is_tag = reference != str(descriptor.digest)
        what = f"tag {reference}" if is_tag else descriptor.short
        headers = {"Content-Type": descriptor.media_type, "Content-Length": str(len(raw))}
        answer = endpoint.ask("PUT", endpoint.manifest(reference), what, headers, raw)
        if answer.status not in {200, 201, 202, 204}:
            raise endpoint.error(answer, what)
        told = told_digest(answer)
        answer.close()
        # distribution 2.8 answers the sha256 of what was pushed by its sha512.
        same = told is None or told.algorithm != descriptor.digest.algorithm
        if told is not None and not same and told != descriptor.digest:
            raise DigestMismatch(descriptor, str(told), side=endpoint.side)

    def _see(self, tag: str, digest: Digest | None) -> None:
        with self._lock:
            self._seen[tag] = time.monotonic(), digest

    def _means(self, tag: str, digest: Digest) -> bool:
        seen = self._seen.get(tag)
        if seen is not None and time.monotonic() - seen[0] < TAG_AGE_S:
            return seen[1] == digest
        now = self.meaning(tag)
        return now is not None and now.digest == digest

    def _document(self, root: Descriptor) -> bytes:
        raw = self._documents.get(root.digest)
        if raw is not None:
            return raw
        endpoint, what = self._endpoint, root.short
        answer = endpoint.ask("GET", endpoint.manifest(str(root.digest)), what)
        if answer.status != 200:
            raise endpoint.error(answer, what)
        return endpoint.read_document(answer, what, root.digest).raw or b""
