"""Reading one repository: what names mean, content from any offset, what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import NotFound
from imgsync.stores import Resolved
from imgsync.stores.registry.endpoint import ACCEPT_DOCUMENTS, described, told_digest
from imgsync.stores.registry.resume import ResumingBody

if TYPE_CHECKING:
    from imgsync.errors import ImgsyncError
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.endpoint import Endpoint


class Reading:
    """What `Repository` reads, of the registry itself and without its mirrors."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def tag(self, tag: str) -> Resolved:
        """What a tag means now: one HEAD, without the document, where that says enough.

        Raises:
            NotFound, AccessDenied: the registry says no.
            ContentError: the answer is no manifest.
        """
        endpoint, what = self._endpoint, f"tag {tag}"
        answer = endpoint.ask("HEAD", endpoint.manifest(tag), what)
        if answer.status == 404:
            raise endpoint.error(answer, what)
        descriptor = described(answer) if answer.status == 200 else None
        if descriptor is not None:
            return Resolved(descriptor)
        # No length, no digest, an old media type, or a refusal whose reason HEAD does not give.
        answer = endpoint.ask("GET", endpoint.manifest(tag), what)
        if answer.status != 200:
            raise endpoint.error(answer, what)
        return endpoint.read_document(answer, what, told_digest(answer))

    def document(self, digest: Digest) -> Resolved:
        """The document of a digest, proved: one GET.

        Raises:
            NotFound, AccessDenied: the registry says no.
            ContentError: the answer is another document, or none.
        """
        endpoint, what = self._endpoint, f"manifest {digest.short}"
        answer = endpoint.ask("GET", endpoint.manifest(str(digest)), what)
        if answer.status == 404:
            # Old registries keep manifests that nobody tagged among the blobs.
            answer.close()
            answer = endpoint.ask("GET", endpoint.blob(digest), what)
        if answer.status != 200:
            raise endpoint.error(answer, what)
        return endpoint.read_document(answer, what, digest)

    def open(self, descriptor: Descriptor, offset: int) -> ResumingBody:
        """The content's bytes from an offset on; goes on by itself when the line is cut.

        Raises:
            NotFound, AccessDenied: the registry says no.
        """
        endpoint, what = self._endpoint, descriptor.short
        path = endpoint.content(descriptor)

        def ask(start: int) -> Answer:
            headers = dict(ACCEPT_DOCUMENTS) if descriptor.is_document else {}
            if start:
                headers["Range"] = f"bytes={start}-"
            answer = endpoint.ask("GET", path, what, headers)
            if answer.status == 404 and descriptor.is_document:
                answer.close()
                answer = endpoint.ask("GET", endpoint.blob(descriptor.digest), what, headers)
            if answer.status not in {200, 206}:
                raise _hinted(endpoint.error(answer, what), descriptor)
            return answer

        return ResumingBody(ask, descriptor, offset, endpoint.side, endpoint.host.retries)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether the content is there in its full size: one HEAD.

        Raises:
            AccessDenied, Refused: the registry does not tell.
        """
        endpoint, what = self._endpoint, descriptor.short
        answer = endpoint.ask("HEAD", endpoint.content(descriptor), what)
        if answer.status == 404:
            return False
        if answer.status != 200:
            # HEAD has no body; the same GET says why.
            answer = endpoint.ask("GET", endpoint.content(descriptor), what)
            if answer.status != 200:
                raise endpoint.error(answer, what)
            answer.close()
        return answer.length in {None, descriptor.size}


def _hinted(error: ImgsyncError, descriptor: Descriptor) -> ImgsyncError:
    """Say of a layer that registries need not have (old Windows images) where it would be."""
    if isinstance(error, NotFound) and descriptor.urls:
        hint = f"a foreign layer, which registries may leave out; it names {descriptor.urls[0]}: "
        hint += "imgsync bundle --fetch-urls takes it from there"
        return NotFound(error.message, hint=hint)
    return error
