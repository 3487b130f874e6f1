"""A repository as a mirror reads it: each document once, within its budget, at its pace."""

from __future__ import annotations

import io
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from imgsync.content import read_verified
from imgsync.errors import NotFound
from imgsync.mirror.limits import DEFAULT_PULLS_FLOOR, PullBudget
from imgsync.mirror.pacing import Paced
from imgsync.referrers.places import Referring
from imgsync.stores import Source
from imgsync.walk import check_document_size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from imgsync.content import Readable
    from imgsync.mirror.limits import Throttle
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.referrers.places import Referrer
    from imgsync.stores import Resolved
    from imgsync.stores.registry.quota import Quota


class Documents:
    """Documents of a batch of images, kept so that looking and moving read each only once.

    Attributes:
        left_out: manifests of platforms that nobody wants; they are not read at all, because
            each read may count as a pull.
    """

    def __init__(self) -> None:
        self.kept: dict[Digest, bytes] = {}
        self.left_out: Collection[Digest] = ()

    def clear(self) -> None:
        """Forget all of them: the next batch has others."""
        self.kept.clear()
        self.left_out = ()


class PullGuard:
    """Keeps one registry's budget above its floor; used by several threads.

    The budget is what the registry last said. Reads that are under way count as made.

    Attributes:
        n_pulls: how many manifests were asked for.
    """

    def __init__(
        self, host: str, quota: Callable[[], Quota | None], floor: int | None = None
    ) -> None:
        """``quota`` gives what the registry last said, or None for no limit."""
        self._host = host
        self._quota = quota
        self._floor = DEFAULT_PULLS_FLOOR if floor is None else floor
        self._lock = threading.Lock()
        self._n_under_way = 0
        self.n_pulls = 0

    @contextmanager
    def pull(self) -> Iterator[None]:
        """Read one manifest.

        Raises:
            BudgetSpent: it would be one too many; nothing was asked.
        """
        with self._lock:
            quota = self._quota()
            if quota is not None:
                budget = PullBudget(quota.limit, quota.remaining, quota.window_s, self._floor)
                if not budget.allows(self._n_under_way + 1):
                    raise budget.spent(self._host)
            self._n_under_way += 1
            self.n_pulls += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_under_way -= 1


class Origin(Source, Referring, Protocol):
    """A repository at a source."""


class MirrorRepository:
    """A source that keeps documents, asks the guard before it reads one, and is not too fast."""

    def __init__(
        self, inner: Origin, documents: Documents, guard: PullGuard, pace: Throttle | None = None
    ) -> None:
        """Read from ``inner``; ``pace`` is for bytes of blobs."""
        self._inner = inner
        self._documents = documents
        self._guard = guard
        self._pace = pace
        self.side = inner.side
        self._lock = threading.Lock()
        self._tags: list[str] | None = None

    def resolve(self, reference: Reference) -> Resolved:
        """What a name means now; by digest that reads the document, which is kept."""
        if reference.digest is None:
            return self._inner.resolve(reference)
        with self._guard.pull():
            resolved = self._inner.resolve(reference)
        if resolved.raw is not None:
            self._documents.kept[resolved.descriptor.digest] = resolved.raw
        return resolved

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The content's bytes from an offset on."""
        if descriptor.is_document:
            return io.BytesIO(self._document(descriptor)[offset:])
        stream = self._inner.open(descriptor, offset)
        return stream if self._pace is None else Paced(stream, self._pace)

    def tags(self) -> list[str]:
        """All tags; asked for once a run, as a pull of none."""
        with self._lock:
            if self._tags is None:
                self._tags = self._inner.tags()
            return self._tags

    def has_referrers_api(self, subject: Digest) -> bool:
        """Whether the registry has the API."""
        return self._inner.has_referrers_api(subject)

    def referrers(self, subject: Digest) -> Sequence[Referrer]:
        """What the API says is about a digest."""
        return self._inner.referrers(subject)

    def referrers_by_tag(self, subject: Digest) -> Sequence[Referrer]:
        """What the fallback tag says, which is a manifest like any other."""
        with self._guard.pull():
            return self._inner.referrers_by_tag(subject)

    def _document(self, descriptor: Descriptor) -> bytes:
        raw = self._documents.kept.get(descriptor.digest)
        if raw is not None:
            return raw
        if descriptor.digest in self._documents.left_out:
            raise NotFound(f"{descriptor.short} is of a platform that was not chosen")
        check_document_size(descriptor)
        with self._guard.pull():
            raw = read_verified(self._inner.open(descriptor), descriptor, side=self.side)
        self._documents.kept[descriptor.digest] = raw
        return raw
