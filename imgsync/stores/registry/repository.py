"""Repository: one repository of a registry, read from and written to.

Requests are counted: a name is one HEAD (or the one GET by digest that brings the document too),
an object one GET; of what is sent, each object is one HEAD, and POST and PUT where it is missing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from imgsync.errors import CollectingGarbage, NetworkError, NotFound
from imgsync.stores import Resolved
from imgsync.stores.registry.endpoint import ACCEPT_DOCUMENTS, Endpoint, described, told_digest
from imgsync.stores.registry.mirrored import MirrorSource, open_mirrored
from imgsync.stores.registry.naming import Naming
from imgsync.stores.registry.referrers import Referrer, has_api, list_by_tag, list_referrers
from imgsync.stores.registry.request import Request
from imgsync.stores.registry.resume import ResumingBody
from imgsync.stores.registry.scope import Scopes, pull_scope, push_scope
from imgsync.stores.registry.tags import list_tags
from imgsync.stores.registry.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgsync.content import Readable, VerifiedStream
    from imgsync.errors import ImgsyncError
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Destination
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host


class Repository:
    """Source, Destination and Mounting.

    Attributes:
        host: the registry, with what was learned about it.
        repository: the path within the registry.
        side: how messages call it, ``HOST/REPOSITORY``.
        is_new: known to hold nothing before this run, so that nothing is asked for.
    """

    def __init__(
        self,
        host: Host,
        repository: str,
        *,
        ns: str = "",
        mirrors: Sequence[MirrorSource] = (),
    ) -> None:
        """``ns`` is the registry that is meant, where ``host`` is a mirror of several.

        ``mirrors`` are read from first; nothing is written to them.
        """
        self.host = host
        self.repository = repository
        self.is_new = False
        self._mirrors = tuple(mirrors)
        self._endpoint = Endpoint(host, repository, ns)
        self.side = self._endpoint.side
        self._naming = Naming(self._endpoint)
        self._lock = threading.Lock()
        self._begun: dict[Digest, Upload] = {}

    @property
    def without_mirrors(self) -> Repository:
        """The registry's own content: for what a mirror has wrong."""
        return Repository(self.host, self.repository) if self._mirrors else self

    # Source.

    def resolve(self, reference: Reference) -> Resolved:
        """What a tag means now, without the document; of a digest, the document with it.

        Raises:
            NotFound, AccessDenied: the registry says no.
            ContentError: the answer is no manifest, or not the one that was asked for.
        """
        for mirror in self._mirrors:
            found = mirror.resolve(reference)
            if found is not None:
                return found
        endpoint = self._endpoint
        if reference.digest is not None:
            return self._resolve_digest(reference.digest)
        what = f"tag {reference.tag}"
        answer = endpoint.ask("HEAD", endpoint.manifest(reference.tag), what)
        if answer.status == 404:
            raise endpoint.error(answer, what)
        descriptor = described(answer) if answer.status == 200 else None
        if descriptor is not None:
            return Resolved(descriptor)
        # No length, no digest, an old media type, or a refusal whose reason HEAD does not give.
        answer = endpoint.ask("GET", endpoint.manifest(reference.tag), what)
        if answer.status != 200:
            raise endpoint.error(answer, what)
        return endpoint.read_document(answer, what, told_digest(answer))

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The content's bytes from an offset on; goes on by itself when the line is cut.

        Raises:
            NotFound, AccessDenied: the registry says no.
        """
        return open_mirrored(
            self._mirrors, descriptor, offset, lambda start: self._open(descriptor, start)
        )

    def _open(self, descriptor: Descriptor, offset: int) -> Readable:
        endpoint, what = self._endpoint, descriptor.short
        path = endpoint.content(descriptor)

        def ask(start: int) -> Answer:
            headers = dict(ACCEPT_DOCUMENTS) if descriptor.is_document else {}
            if start:
                headers["Range"] = f"bytes={start}-"
            answer = endpoint.ask("GET", path, what, headers)
            if answer.status == 404 and descriptor.is_document:
                # Old registries keep manifests that nobody tagged among the blobs.
                answer.close()
                answer = endpoint.ask("GET", endpoint.blob(descriptor.digest), what, headers)
            if answer.status not in {200, 206}:
                raise _hinted(endpoint.error(answer, what), descriptor)
            return answer

        return ResumingBody(ask, descriptor, offset, self.side, self.host.retries)

    def tags(self) -> list[str]:
        """All tags, sorted.

        Raises:
            NotFound, AccessDenied: the registry says no.
        """
        return list_tags(self._endpoint)

    def referrers(self, subject: Digest) -> list[Referrer]:
        """What says that it is about this digest: signatures, attestations, SBOMs.

        Raises:
            AccessDenied: the registry says no. An unknown digest has no referrers.
        """
        return list_referrers(self._endpoint, subject)

    def referrers_by_tag(self, subject: Digest) -> list[Referrer]:
        """What the fallback tag lists, whether or not there is the API.

        Raises:
            AccessDenied: the registry says no.
        """
        return list_by_tag(self._endpoint, subject)

    def has_referrers_api(self, subject: Digest) -> bool:
        """Whether the registry lists referrers; asked once a registry, with the digest given.

        Raises:
            AccessDenied: the registry says no.
        """
        return has_api(self._endpoint, subject)

    # Destination.

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """Those that the repository does not have in their full size; one HEAD for each."""
        self._endpoint.writes = True
        if self.is_new:
            return {item.digest for item in descriptors}
        each = {item.digest: item for item in descriptors}
        there = self.host.each(self._has, list(each.values()))
        return {digest for digest, has in zip(each, there, strict=True) if not has}

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Store a blob, or a document under its digest.

        Raises:
            NetworkError: but for RateLimited, worth another call with a new stream.
            ChildrenUnknown: the registry lacks what a document needs.
            Refused, AccessDenied: the registry does not want it.
        """
        self._endpoint.writes = True
        with self.host.stops.writing(self.repository, descriptor.short):
            self._put(descriptor, stream)

    def _put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        if descriptor.is_document:
            raw = stream.read()
            self._naming.put(str(descriptor.digest), descriptor, raw)
            self._naming.remember(descriptor.digest, raw)
            return
        with self._lock:
            upload = self._begun.pop(descriptor.digest, None)
        if upload is None:
            upload = self._upload(descriptor)
            upload.begin()
        upload.send(stream)

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Let the tag mean this root, and prove it; nothing is written if it does already.

        Raises:
            Refused: the tag is immutable and means something else.
            ContentError: the registry answers with another digest afterwards.
        """
        self._endpoint.writes = True
        stops, what = self.host.stops, f"tag {reference.tag}"
        while reference.tag:
            try:
                with stops.writing(self.repository, what):
                    self._naming.set(reference.tag, root)
                break
            except CollectingGarbage:
                if not stops.may_retry(what):
                    raise

    def remember(self, descriptor: Descriptor, raw: bytes) -> None:
        """Keep a document's bytes for `name`, so that they need not be read back."""
        self._naming.remember(descriptor.digest, raw)

    def digest_of_tag(self, tag: str) -> Descriptor | None:
        """What a tag means at this destination; None if there is no such tag, or repository."""
        self._endpoint.writes = True
        return None if self.is_new else self._naming.meaning(tag)

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
        stops = self.host.stops
        if origin.repository == self.repository or not stops.may_mount(
            self.repository, origin.repository
        ):
            return False
        stops.check(self.repository)
        query = {"mount": str(descriptor.digest), "from": origin.repository}
        # The right to write comes first: some token servers only look at the first scope.
        scopes: Scopes = (push_scope(self.repository), pull_scope(origin.repository))
        target = self._endpoint.other("blobs/uploads/", query)
        no_body = {"Content-Length": "0"}
        try:
            answer = self.host.ask(
                Request("POST", target, scopes, self.repository, descriptor.short, no_body, b"")
            )
            if answer.status == 202:
                upload = self._upload(descriptor)
                upload.continue_at(answer)
                with self._lock:
                    self._begun[descriptor.digest] = upload
        except NetworkError:
            # Sending it will show whether the registry is there; mounting is not tried again.
            stops.no_mount(self.repository, origin.repository)
            return False
        answer.close()
        if answer.status in {401, 403}:
            stops.no_mount(self.repository, origin.repository)
        return answer.status == 201

    def _upload(self, descriptor: Descriptor) -> Upload:
        scopes = (push_scope(self.repository),)
        return Upload(self.host, self.repository, scopes, descriptor, self.side)

    def _resolve_digest(self, digest: Digest) -> Resolved:
        endpoint, what = self._endpoint, f"manifest {digest.short}"
        answer = endpoint.ask("GET", endpoint.manifest(str(digest)), what)
        if answer.status == 404:
            answer.close()
            answer = endpoint.ask("GET", endpoint.blob(digest), what)
        if answer.status != 200:
            raise endpoint.error(answer, what)
        return endpoint.read_document(answer, what, digest)

    def _has(self, descriptor: Descriptor) -> bool:
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
        hint = f"a foreign layer, which registries may leave out; it names {descriptor.urls[0]}"
        return NotFound(error.message, hint=hint)
    return error
