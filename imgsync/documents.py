"""Reading documents: in parallel, each once, proved, and kept raw for whoever writes them."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from imgsync.content import read_verified
from imgsync.errors import ImgsyncError, NotFound
from imgsync.stores import Resolved, in_turn
from imgsync.walk import check_document_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Source
    from imgsync.walk import Read


class DocumentReader:
    """Reads documents for `imgsync.walk.walk`; ``kept`` holds the bytes of all that were read.

    ``sources_of`` gives for a descriptor every source that may have it, best first: one that
    fails or lies is passed over. ``kept`` may come filled from a journal; those are not read again.
    """

    def __init__(
        self,
        sources_of: Callable[[Descriptor], Sequence[Source]],
        *,
        jobs: int = 1,
        kept: MutableMapping[Digest, bytes] | None = None,
    ) -> None:
        self.kept: MutableMapping[Digest, bytes] = {} if kept is None else kept
        self._sources_of = sources_of
        self._jobs = jobs

    def __call__(self, descriptors: Sequence[Descriptor]) -> list[Read]:
        """The bytes of each, or the error of the last source that was tried."""
        if self._jobs == 1 or len(descriptors) == 1:
            return [(item, self._read(item)) for item in descriptors]
        with ThreadPoolExecutor(self._jobs, "read") as pool:
            return list(zip(descriptors, pool.map(self._read, descriptors), strict=True))

    def _read(self, descriptor: Descriptor) -> bytes | ImgsyncError:
        kept = self.kept.get(descriptor.digest)
        if kept is not None:
            return kept
        last: ImgsyncError = NotFound(f"{descriptor.short} is in no source")
        try:
            check_document_size(descriptor)
        except ImgsyncError as error:
            return error
        for source in in_turn(self._sources_of(descriptor)):
            try:
                raw = read_verified(source.open(descriptor), descriptor, side=source.side)
            except ImgsyncError as error:
                last = error
            else:
                self.kept[descriptor.digest] = raw
                return raw
        return last


def reader_of(source: Source, *, jobs: int = 1) -> DocumentReader:
    """A reader of everything from one source."""
    sources = (source,)
    return DocumentReader(lambda _descriptor: sources, jobs=jobs)


class KeptDocuments:
    """A source of the documents that a run has read already, so that none is fetched twice."""

    def __init__(self, documents: Mapping[Digest, bytes], side: str = "kept documents") -> None:
        """Serve what is in the mapping, now and later."""
        self.side = side
        self._documents = documents

    def resolve(self, reference: Reference) -> Resolved:
        """Nothing: documents have digests here, no names."""
        msg = f"{self.side}: {reference} is not here"
        raise NotFound(msg)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """A document's bytes."""
        raw = self._documents.get(descriptor.digest)
        if raw is None:
            msg = f"{self.side}: {descriptor.short} is not here"
            raise NotFound(msg)
        return io.BytesIO(raw[offset:])
