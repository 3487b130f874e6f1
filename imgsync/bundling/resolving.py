"""From names to roots: all names in parallel, each once, and kept by the journal."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError, InvalidInput, NotFound
from imgsync.events import Noted, Report, Resolved
from imgsync.model.bundle import Root

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from imgsync.bundling.request import BundleOptions, Request
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores.archive.journal import Journal

_AN_HOUR_S = 3600


class Resolver:
    """Resolves requests; documents that come with an answer go into ``documents``."""

    def __init__(
        self,
        options: BundleOptions,
        journal: Journal | None,
        documents: MutableMapping[Digest, bytes],
        report: Report,
    ) -> None:
        """Keep what is needed; without a journal nothing is remembered."""
        self._options = options
        self._journal = journal
        self._documents = documents
        self._report = report
        self._lock = threading.Lock()
        self._n_done = 0
        self._n_total = 0

    def resolve(self, requests: Sequence[Request]) -> list[Root | ImgsyncError]:
        """For each request its root, or why there is none."""
        self._n_total = len(requests)
        self._tell_age(requests)
        with ThreadPoolExecutor(self._options.jobs, "resolve") as pool:
            return list(pool.map(self._resolve, requests))

    def _resolve(self, request: Request) -> Root | ImgsyncError:
        try:
            root = self._root_of(request)
        except ImgsyncError as error:
            return error
        with self._lock:
            self._n_done += 1
            event = Resolved(request.label, root.descriptor, self._n_done, self._n_total)
            self._report(event)
        return root

    def _root_of(self, request: Request) -> Root:
        if request.root is not None:
            known = request.root
            return Root(
                request.name if request.extra == "" else None,
                known.descriptor,
                known.origin,
                _platforms(request, known),
                request.extra,
                request.subject or known.subject,
            )
        reference = request.reference
        if reference is None:
            msg = f"{request.label}: nothing says what it is"
            raise InvalidInput(msg)
        descriptor = self._known(request)
        if descriptor is None:
            answer = request.source.resolve(reference)
            descriptor = answer.descriptor
            with self._lock:
                if answer.raw is not None:
                    self._documents[descriptor.digest] = answer.raw
                if self._journal is not None:
                    self._journal.add_resolved(_key(request), descriptor)
            if reference.digest is not None and reference.tag:
                self._check_tag(request, descriptor)
        origin = reference if reference.digest is not None else None
        return Root(
            request.name if request.extra == "" else None,
            descriptor,
            str(origin or _with_digest(request, descriptor)),
            _platforms(request, None),
            request.extra,
            request.subject,
        )

    def _known(self, request: Request) -> Descriptor | None:
        if self._journal is None:
            return None
        known = self._journal.resolved.get(_key(request))
        return known[0] if known is not None else None

    def _tell_age(self, requests: Sequence[Request]) -> None:
        if self._journal is None:
            return
        times = [
            self._journal.resolved[_key(request)][1]
            for request in requests
            if request.reference is not None and _key(request) in self._journal.resolved
        ]
        if times:
            age_s = max(0, time.time() - min(times))
            age = f"{age_s / _AN_HOUR_S:.1f} hours" if age_s >= _AN_HOUR_S else f"{age_s:.0f} s"
            self._report(
                Noted(
                    f"going on with the digests of {len(times)} names that an earlier run "
                    f"resolved, the oldest {age} ago; --refresh resolves them anew"
                )
            )

    def _check_tag(self, request: Request, pinned: Descriptor) -> None:
        """Tell that a tag has moved on; the digest says what is meant."""
        reference = request.reference
        if reference is None:
            return
        try:
            now = str(request.source.resolve(reference.with_tag(reference.tag)).descriptor.digest)
        except NotFound:
            now = "nothing"
        if now != str(pinned.digest):
            message = f"{request.label}: the tag {reference.tag} now means {now}"
            if self._options.strict_tags:
                raise InvalidInput(message, hint="take the digest out, or leave --strict-tags away")
            with self._lock:
                self._report(Noted(f"{message}; the digest asked for is bundled", "warning"))


def _key(request: Request) -> str:
    return f"{request.source.side} {request.reference}"


def _with_digest(request: Request, descriptor: Descriptor) -> str:
    return f"{request.reference}@{descriptor.digest}"


def _platforms(request: Request, known: Root | None) -> str:
    if not request.choice.is_all:
        return str(request.choice)
    return known.platforms if known is not None else ""
