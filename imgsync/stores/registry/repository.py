"""Repository: one repository of a registry, read from and written to.

Requests are counted: a name is one HEAD (or the one GET by digest that brings the document too),
an object one GET; of what is sent, each object is one HEAD, and POST and PUT where it is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import ChildrenUnknown, CollectingGarbage, Refused
from imgsync.stores.registry.endpoint import Endpoint
from imgsync.stores.registry.mirrored import MirrorSource, open_mirrored
from imgsync.stores.registry.naming import Naming
from imgsync.stores.registry.reading import Reading
from imgsync.stores.registry.referrers import Referrer, has_api, list_by_tag, list_referrers
from imgsync.stores.registry.refusals import OTHER_DIGEST
from imgsync.stores.registry.tags import list_tags
from imgsync.stores.registry.uploads import Uploads

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imgsync.content import Readable, VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Destination, Resolved
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
        self._reading = Reading(self._endpoint)
        self._naming = Naming(self._endpoint)
        self._uploads = Uploads(self._endpoint)

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
        if reference.digest is not None:
            return self._reading.document(reference.digest)
        return self._reading.tag(reference.tag)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The content's bytes from an offset on; goes on by itself when the line is cut.

        Raises:
            NotFound, AccessDenied: the registry says no.
        """
        return open_mirrored(
            self._mirrors, descriptor, offset, lambda start: self._reading.open(descriptor, start)
        )

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
        there = self.host.each(self._reading.has, list(each.values()))
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
            try:
                self._put(descriptor, stream)
            except Refused as error:
                if descriptor.digest.algorithm != "sha256" and not isinstance(
                    error, ChildrenUnknown
                ):
                    error.hint = error.hint or OTHER_DIGEST
                raise

    def _put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        if descriptor.is_document:
            raw = stream.read()
            self._naming.put(str(descriptor.digest), descriptor, raw)
            self._naming.remember(descriptor.digest, raw)
            return
        self._uploads.put(descriptor, stream)

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
        return self._uploads.mount(descriptor, origin.repository)
