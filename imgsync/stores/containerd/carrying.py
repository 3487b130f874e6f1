"""Carrying images into containerd, and giving them their names once they are there.

Content is loaded under ``repository@digest`` first, a name that can mean nothing else. Only when
a walk has found all of it, do the names that people use come to mean it: whatever fails or is
killed in between, no name means something half, and a name that stood keeps its meaning.
"""

from __future__ import annotations

import re
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from imgsync.content import CHUNK_BYTES, VerifiedStream
from imgsync.errors import ContainerdError, ContentError, ImgsyncError, IncompleteImport
from imgsync.stores.containerd.stream import import_stream

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from imgsync.events import Report
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores import Source
    from imgsync.stores.containerd.loopback import Loopback
    from imgsync.stores.containerd.namespace import Containerd
    from imgsync.stores.containerd.wanted import Wanted


class Carrying:
    """Loads images; what went wrong is in each image's ``error``."""

    def __init__(
        self,
        containerd: Containerd,
        source: Source,
        loopback: Loopback | None,
        report: Report,
        jobs: int,
    ) -> None:
        """Fetch through ``loopback``, or send everything as a stream if there is none."""
        self._containerd = containerd
        self._source = source
        self._loopback = loopback
        self._report = report
        self._jobs = jobs

    def load(self, moving: Sequence[Wanted], *, by_stream: bool = False) -> None:
        """Bring in what is missing; an image gets its names as soon as it is proved."""
        if self._loopback is None or by_stream:
            for wanted in moving:
                self._name([wanted])
            return
        with ThreadPoolExecutor(self._jobs, "import") as pool:
            futures: dict[Future[None], Wanted] = {
                pool.submit(self._fetch, wanted, self._loopback): wanted for wanted in moving
            }
            try:
                while futures:
                    done, _ = wait(futures, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    self._name([futures.pop(future) for future in done])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetch(self, wanted: Wanted, loopback: Loopback) -> None:
        platforms = wanted.platforms_to_fetch if wanted.lacking else ()
        if platforms is None or not wanted.carried or not wanted.can_be_fetched:
            return  # what there is to carry goes as a stream, with the names
        try:
            loopback.fetch(wanted.twins[0], platforms)
        except ContainerdError as error:
            wanted.error = self._explained(error, wanted)

    def _name(self, moving: Iterable[Wanted]) -> None:
        ready = [wanted for wanted in moving if wanted.error is None]
        if not ready:
            return
        present = self._containerd.content.digests()
        for wanted in ready:
            rest = [item for item in wanted.carried if item.digest not in present]
            if rest:
                self._send([wanted], wanted.twins[:1], rest)
                present = self._containerd.content.digests()
            if wanted.error is None:
                wanted.error = lost_error(wanted, present, self._containerd.side)
        ready = [wanted for wanted in ready if wanted.error is None]
        plain = [wanted for wanted in ready if wanted.has_all_documents]
        if not self._send(plain, None, []) and len(plain) > 1:
            for wanted in plain:
                wanted.error = None
                self._send([wanted], None, [])
        for wanted in ready:
            if not wanted.has_all_documents:
                self._tag(wanted)

    def _send(
        self, images: Sequence[Wanted], names: Sequence[str] | None, blobs: Sequence[Descriptor]
    ) -> bool:
        """One stream for some images; all their names if none are given."""
        every = {
            name: wanted.root
            for wanted in images
            for name in (names or (*wanted.names, *wanted.twins))
        }
        if not every:
            return True
        try:
            import_stream(
                self._containerd.ctr,
                self._containerd.namespace,
                every,
                blobs,
                self._source,
                self._report,
                all_platforms=all(wanted.has_all_documents for wanted in images),
            )
        except ImgsyncError as error:
            for wanted in images:
                wanted.error = error
            return False
        return True

    def _tag(self, wanted: Wanted) -> None:
        """Name an image of which a manifest is nowhere: an import would look for it."""
        twin, *twins = wanted.twins
        try:
            for name in (*wanted.names, *twins):
                self._containerd.images.tag(twin, name)
        except ContainerdError as error:
            wanted.error = error

    def _explained(self, error: ContainerdError, wanted: Wanted) -> ImgsyncError:
        """Which side is wrong: containerd proves digests, but cannot say who broke the bytes."""
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
        return error


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
        f"{side}: containerd took {wanted.label} and does not have {lost[0].short}{more}",
        hint="run it again; if it stays so, look into containerd's log",
    )
