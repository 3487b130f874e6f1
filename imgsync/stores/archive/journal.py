"""The journal of a bundle that is being made: what a run that stops leaves to the next one.

An append-only file beside the partial. Each record is a line, ``crc32 json``: a record that was
cut by a crash, and everything behind it, is dropped when the journal is opened again. The journal
is a hint only; the hash decides whether bytes are kept (``docs/format.md``, "Beside the bundle").
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, Final, Self

from imgsync.errors import ImgsyncError, LockHeld
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_VERSION: Final = 1


class Journal:
    """What was resolved, read and stored so far. Used by several threads at once.

    Attributes:
        resolved: what each name meant, and when (seconds since the epoch).
        documents: raw manifests and configs by digest.
        lock: the raw lock of the plan that the partial belongs to, or None before there is one.
        done: blobs that were stored whole.
        progress: for blobs under way, how many bytes were stored.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the journal, and hold its lock until `close`.

        Raises:
            LockHeld: another run makes the same bundle.
        """
        self.path = path
        self.resolved: dict[str, tuple[Descriptor, float]] = {}
        self.documents: dict[Digest, bytes] = {}
        self.lock: bytes | None = None
        self.done: set[Digest] = set()
        self.progress: dict[Digest, int] = {}
        self._mutex = threading.Lock()
        with turn_os_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o644)
        try:
            self._take_lock()
            self._load()
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def is_fresh(self) -> bool:
        """Whether no earlier run left anything."""
        return not self.resolved and not self.documents and self.lock is None

    def add_resolved(self, name: str, descriptor: Descriptor) -> None:
        """Keep what a name means, with the time."""
        now = time.time()
        self.resolved[name] = (descriptor, now)
        self._append({"resolved": name, "is": descriptor.to_json(), "at": round(now)})

    def add_document(self, digest: Digest, raw: bytes) -> None:
        """Keep a document's bytes."""
        self.documents[digest] = raw
        text = base64.b64encode(raw).decode()
        self._append({"document": str(digest), "raw": text})

    def set_lock(self, raw: bytes) -> None:
        """Begin a plan: what was stored before belongs to another one."""
        self.lock = raw
        self.done.clear()
        self.progress.clear()
        self._append({"lock": base64.b64encode(raw).decode()})

    def add_done(self, digest: Digest) -> None:
        """A blob is in its place, whole and proved."""
        self.done.add(digest)
        self.progress.pop(digest, None)
        self._append({"done": str(digest)})

    def add_progress(self, digest: Digest, n_bytes: int) -> None:
        """The first ``n_bytes`` of a blob are in their place."""
        self.progress[digest] = n_bytes
        self._append({"begun": str(digest), "n": n_bytes})

    def forget(self) -> None:
        """Start with nothing, as ``--refresh`` asks; stored blobs are still known by the lock."""
        self.resolved.clear()
        self._append({"refresh": True})

    def close(self) -> None:
        """Give back the file and its lock."""
        os.close(self._fd)

    def remove(self) -> None:
        """Delete the journal: the bundle is finished."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        """Close it when the block ends."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """See `close`."""
        self.close()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{self.path}: another run makes this bundle"
            raise LockHeld(msg, hint="wait for it, or end it; its work is kept") from None

    def _append(self, value: dict[str, Any]) -> None:
        text = json.dumps(value, separators=(",", ":")).encode()
        line = b"%08x %s\n" % (zlib.crc32(text), text)
        with self._mutex, turn_os_errors(self.path):
            os.write(self._fd, line)

    def _load(self) -> None:
        with turn_os_errors(self.path), self.path.open("rb") as file:
            good = 0
            for line in file:
                value = _record(line)
                if value is None or not self._apply(value):
                    break
                good += len(line)
            os.ftruncate(self._fd, good)
        if good == 0:
            self._append({"journal": _VERSION})

    def _apply(self, value: dict[str, Any]) -> bool:
        try:
            match value:
                case {"resolved": str(name), "is": dict(root), "at": int(when)}:
                    self.resolved[name] = (Descriptor.from_json(root), float(when))
                case {"document": str(text), "raw": str(raw)}:
                    self.documents[Digest.parse(text)] = base64.b64decode(raw)
                case {"lock": str(raw)}:
                    self.lock = base64.b64decode(raw)
                    self.done.clear()
                    self.progress.clear()
                case {"done": str(text)}:
                    self.done.add(Digest.parse(text))
                    self.progress.pop(Digest.parse(text), None)
                case {"begun": str(text), "n": int(n_bytes)}:
                    self.progress[Digest.parse(text)] = n_bytes
                case {"refresh": True}:
                    self.resolved.clear()
                case {"journal": int(version)}:
                    return version == _VERSION
                case _:
                    return False
        except (ImgsyncError, ValueError):
            return False
        return True


def _record(line: bytes) -> dict[str, Any] | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    value = json.loads(text)
    return value if isinstance(value, dict) else None


class JournalDocuments(dict[Digest, bytes]):
    """The documents of a journal as a mapping, which writes down what is added to it."""

    def __init__(self, journal: Journal) -> None:
        """Start with what the journal has."""
        super().__init__(journal.documents)
        self._journal = journal

    def __setitem__(self, digest: Digest, raw: bytes) -> None:
        """Keep the bytes, in memory and on disk."""
        super().__setitem__(digest, raw)
        self._journal.add_document(digest, raw)

    def __iter__(self) -> Iterator[Digest]:
        """Over the digests."""
        return super().__iter__()
