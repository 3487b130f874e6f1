"""The content of a namespace: what is there, its bytes, its labels, and its garbage.

``images check`` calls images complete that are not, so what is there is asked of the content
store itself: ``content ls -q`` has one digest a line. Sizes are not asked for; ``content ls``
rounds them. containerd never has content of another size than its digest implies.
"""

from __future__ import annotations

import secrets
import subprocess
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContainerdError, NotFound
from imgsync.stores.containerd.command import Ended, failure
from imgsync.stores.containerd.parse import parse_content, parse_digests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.model.digest import Digest
    from imgsync.stores.containerd.command import Ctr

_SKIP_BYTES: Final = 1024 * 1024


class Content:
    """The content store, as one namespace sees it."""

    def __init__(self, ctr: Ctr, namespace: str) -> None:
        """Ask through this ``ctr``."""
        self._ctr = ctr
        self._namespace = namespace

    def digests(self) -> set[Digest]:
        """All that the namespace has."""
        return parse_digests(self._ctr.text(self._namespace, "content", "ls", "-q"))

    def open(self, digest: Digest, offset: int, side: str) -> ContentStream:
        """The bytes from an offset on; ``content get`` cannot start there, so they are skipped."""
        process = self._ctr.start(self._namespace, "content", "get", str(digest))
        return ContentStream(process, digest, offset, side)

    def labels(self) -> dict[Digest, dict[str, str]]:
        """The labels of all that the namespace has."""
        return parse_content(self._ctr.text(self._namespace, "content", "ls"))

    def label(self, digest: Digest, labels: Mapping[str, str]) -> None:
        """Set labels of content that is there; an empty value removes one."""
        words = [f"{key}={value}" for key, value in labels.items()]
        self._ctr.run(self._namespace, "content", "label", str(digest), *words)

    def adopt(self, digest: Digest, size: int) -> bool:
        """Take over content that another namespace has; whether that worked. No byte moves.

        containerd keeps one copy for all namespaces, and gives it to whoever commits its digest,
        even without sending it. Nothing holds it then: it goes with the next collection, unless
        an import refers to it before. The input must be a file; /dev/null cannot be seeked.
        """
        words = ("--expected-size", str(size), "--expected-digest", str(digest))
        key = f"imgsync-adopt-{secrets.token_hex(8)}"
        ended = self._ctr.ended_with_empty_file(self._namespace, "content", "ingest", *words, key)
        return ended.status == 0

    def remove(self, *digests: Digest) -> None:
        """Take content out of this namespace, whatever refers to it."""
        self._ctr.run(self._namespace, "content", "rm", *map(str, digests))

    def collect_garbage(self) -> None:
        """Let containerd delete, now, what nothing in this namespace needs.

        Removing a lease is the only way to start a collection and wait for it that changes
        nothing else. Only what would go within minutes anyway is deleted.
        """
        lease = self._ctr.text(self._namespace, "leases", "create", "--expires", "1m").strip()
        self._ctr.run(self._namespace, "leases", "rm", "--sync", lease)


class ContentStream:
    """The standard output of ``content get``."""

    def __init__(
        self, process: subprocess.Popen[bytes], digest: Digest, offset: int, side: str
    ) -> None:
        self._process = process
        self._digest = digest
        self._side = side
        self._to_skip = offset

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; empty at the end.

        Raises:
            NotFound: the content is not there.
            ContainerdError: anything else that ``ctr`` says.
        """
        while self._to_skip:
            skipped = self._read(min(self._to_skip, _SKIP_BYTES))
            if not skipped:
                return b""
            self._to_skip -= len(skipped)
        return self._read(size)

    def close(self) -> None:
        """End the command."""
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def _read(self, size: int) -> bytes:
        out = self._process.stdout
        assert out is not None  # noqa: S101 - it was started with a pipe
        data = out.read(size)
        if not data and size:
            self._check()
        return data

    def _check(self) -> None:
        err = self._process.stderr
        message = err.read().decode(errors="replace") if err is not None else ""
        status = self._process.wait()
        if status == 0:
            return
        self.close()
        if "not found" in message:
            msg = f"{self._side}: {self._digest.short} is not there"
            raise NotFound(msg)
        raise failure(Ended(("content", "get"), status, b"", message))


def read_content(content: Content, digest: Digest, side: str, limit: int) -> bytes:
    """All bytes of a document; nothing proves them here.

    Raises:
        NotFound: it is not there.
        ContainerdError: it has more than ``limit`` bytes, or ``ctr`` failed.
    """
    stream = content.open(digest, 0, side)
    try:
        data = stream.read(limit + 1)
        if len(data) <= limit and not stream.read(1):
            return data
    finally:
        stream.close()
    msg = f"{side}: {digest.short} has more than {limit} bytes"
    raise ContainerdError(msg)
