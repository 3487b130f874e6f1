"""Carrying images into containerd, and giving them their names once they are there.

A fetch loads content under ``repository@digest``, a name that can mean nothing else. Only when a
walk has found all of it, do the names that people use come to mean it. A stream of ours proves
every byte before it says a name, so it may say them at once; but not one that stands and means
something else, which is set after the walk like the others. Whatever fails or is killed in between,
no name means something half, and a name that stood keeps its meaning.
"""

from __future__ import annotations

import re
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from imgsync.content import CHUNK_BYTES, VerifiedStream
from imgsync.errors import (
    ContainerdError,
    ContentError,
    ImgsyncError,
    IncompleteImport,
    Unreachable,
)
from imgsync.stores.containerd.delta import Delta
from imgsync.stores.containerd.stream import import_stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from imgsync.events import Report
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores import Source
    from imgsync.stores.containerd.loopback import Loopback
    from imgsync.stores.containerd.namespace import Containerd
    from imgsync.stores.containerd.stream import Send
    from imgsync.stores.containerd.wanted import Wanted

SMALL_BYTES: Final = 16 * 1024 * 1024
"""Below this a stream is faster. A fetch moves bytes three times as fast, but takes at least 0.1 s,
and over a second on 1.x where platforms of an image share a layer."""

BATCH_BYTES: Final = 64 * 1024 * 1024
BATCH_IMAGES: Final = 32


class Carrying:
    """Loads images; what went wrong is in each image's ``error``."""

    def __init__(
        self,
        containerd: Containerd,
        source: Source,
        loopback: Loopback | None,
        report: Report,
        *,
        jobs: int = 1,
        always_fetch: bool = False,
        adopt_bytes: int,
        send: Send | None = None,
    ) -> None:
        """Fetch through ``loopback``, or send everything as a stream if there is none.

        Images are fetched ``jobs`` at a time; small ones only with ``always_fetch``. Of what comes
        by ``send``, nobody here has seen the bytes.
        """
        self._containerd = containerd
        self._source = source
        self._loopback = loopback
        self._report = report
        self._jobs = jobs
        self._always_fetch = always_fetch
        self._adopt_bytes = adopt_bytes
        self._send_content = send or import_stream
        self._is_seen = send is None

    def load(self, moving: Sequence[Wanted], *, by_stream: bool = False) -> None:
        """Bring in what is missing; an image gets its names as soon as it is proved."""
        to_fetch = [] if by_stream else [item for item in moving if self._is_for_fetch(item)]
        to_stream = [item for item in moving if item not in to_fetch]
        for wanted in to_stream:
            wanted.error = wanted.error or unusual_error(wanted)
        with ThreadPoolExecutor(self._jobs, "import") as pool:
            futures: dict[Future[None], Wanted] = {
                pool.submit(self._fetch, wanted): wanted for wanted in to_fetch
            }
            try:
                if not by_stream:
                    self._adopt(to_stream)
                for batch in _batches(to_stream):
                    self._stream(batch)
                while futures:
                    done, _ = wait(futures, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    self._stream([futures.pop(future) for future in done])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                if self._loopback is not None:
                    self._loopback.stop()
                raise

    def _is_for_fetch(self, wanted: Wanted) -> bool:
        is_worth_it = (
            self._always_fetch
            or not wanted.has_all_documents
            or wanted.unusual is not None
            or wanted.carried_bytes >= SMALL_BYTES
        )
        return (
            is_worth_it
            and self._loopback is not None
            and wanted.can_be_fetched
            and not wanted.only
            and not wanted.waits
            and (not wanted.lacking or wanted.platforms_to_fetch is not None)
        )

    def _fetch(self, wanted: Wanted) -> None:
        assert self._loopback is not None  # noqa: S101 - see _is_for_fetch
        platforms = (wanted.platforms_to_fetch or ()) if wanted.lacking else ()
        try:
            self._loopback.fetch(wanted.twins[0], platforms)
        except ImgsyncError as error:
            wanted.error = self._explained(error, wanted)

    def _adopt(self, images: Sequence[Wanted]) -> None:
        """Take over what another namespace has, where that is worth a command for each.

        A fetch does it by itself. Where namespaces are kept apart, the first refusal says so.
        """
        large = {
            item.digest: item
            for wanted in images
            for item in wanted.carried
            if item.size >= self._adopt_bytes
        }
        for namespace in self._containerd.namespaces() if large else ():
            if namespace == self._containerd.namespace:
                continue
            for digest in self._containerd.other(namespace).content.digests() & large.keys():
                if not self._containerd.content.adopt(digest, large.pop(digest).size):
                    return

    def _stream(self, images: Sequence[Wanted]) -> None:
        """Send what is still missing of these images, and name those that are there then."""
        images = [wanted for wanted in images if wanted.error is None]
        if not images:
            return
        present = self._containerd.content.digests()
        rest = {
            item.digest: item
            for wanted in images
            for item in wanted.carried
            if item.digest not in present
        }
        if rest:
            if not self._send(images, list(rest.values())) and len(images) > 1:
                for wanted in images:
                    wanted.error = None
                    self._stream([wanted])
                return
            present = self._containerd.content.digests()
        for wanted in images:
            wanted.error = wanted.error or lost_error(wanted, present, self._containerd.side)
        self._name(
            [
                item
                for item in images
                if item.error is None and not item.waits and (not rest or self._is_named_last(item))
            ]
        )

    def _name(self, images: Sequence[Wanted]) -> None:
        plain = [wanted for wanted in images if wanted.has_all_documents]
        if not self._send(plain, []) and len(plain) > 1:
            for wanted in plain:
                wanted.error = None
                self._send([wanted], [])
        for wanted in images:
            if not wanted.has_all_documents:
                self._tag(wanted)

    def _send(self, images: Sequence[Wanted], blobs: Sequence[Descriptor]) -> bool:
        """One stream for some images, under all their names.

        Together with content, names are left alone that are to be set last.
        """
        names: dict[str, Descriptor] = {}
        for wanted in images:
            if wanted.waits:
                names.update([wanted.anchor] if wanted.anchor is not None else ())
                continue
            is_by_twin = blobs and self._is_named_last(wanted)
            own = wanted.twins[:1] if is_by_twin else (*wanted.names, *wanted.twins)
            names.update(dict.fromkeys(own, wanted.root))
        if not names:
            return True
        try:
            send = self._send_content if blobs else import_stream
            send(
                self._containerd.ctr,
                self._containerd.namespace,
                Delta(names, blobs, next((wanted.only for wanted in images if wanted.only), "")),
                self._source,
                self._report,
            )
        except ImgsyncError as error:
            for wanted in images:
                wanted.error = error
            return False
        return True

    def _is_named_last(self, wanted: Wanted) -> bool:
        """Whether its names wait for the walk: one means something, or nobody saw the bytes."""
        return wanted.replaces or not self._is_seen

    def _tag(self, wanted: Wanted) -> None:
        """Name an image of which a manifest is nowhere: an import would look for it."""
        twin, *twins = wanted.twins
        try:
            for name in (*wanted.names, *twins):
                self._containerd.images.tag(twin, name)
        except ContainerdError as error:
            wanted.error = error

    def _explained(self, error: ImgsyncError, wanted: Wanted) -> ImgsyncError:
        """Which side is wrong: containerd proves digests, but cannot say who broke the bytes."""
        if isinstance(error, Unreachable):
            return error
        named = {match[1] for match in re.finditer(r"expected \w+:([0-9a-f]{64,})", error.message)}
        suspects = [item for item in wanted.carried if item.digest.hex in named]
        try:
            for item in suspects or wanted.carried:
                stream = VerifiedStream(self._source.open(item), item, side=self._source.side)
                with stream:
                    while stream.read(CHUNK_BYTES):
                        pass
        except ContentError as found:
            return found
        except ImgsyncError:
            pass
        return unusual_error(wanted) or error


def _batches(images: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """Small images together, so that their number costs little; one that lacks documents alone."""
    batch: list[Wanted] = []
    n_bytes = 0
    for wanted in images:
        if not wanted.has_all_documents:
            yield [wanted]
            continue
        if batch and (n_bytes + wanted.carried_bytes > BATCH_BYTES or len(batch) == BATCH_IMAGES):
            yield batch
            batch, n_bytes = [], 0
        batch.append(wanted)
        n_bytes += wanted.carried_bytes
    if batch:
        yield batch


def unusual_error(wanted: Wanted) -> ContainerdError | None:
    """The error of an image that this containerd, or this carrier, cannot keep."""
    item = wanted.unusual
    if item is None:
        return None
    msg = f"{item.short} is named by {item.digest.algorithm}, and containerd could not keep it"
    return ContainerdError(msg, hint="containerd 2.3 can, without --carrier stream")


def lost_error(wanted: Wanted, present: Collection[Digest], side: str) -> IncompleteImport | None:
    """The error of an image of which something is not there that must be; None if all is."""
    lost = [
        item
        for item in wanted.closure
        if item.digest not in present and item.digest not in wanted.lacking
    ]
    if not lost:
        return None
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return IncompleteImport(
        f"{side}: containerd took it, and does not have {lost[0].short}{more}",
        hint="run it again; if it stays so, look into containerd's log",
    )
