"""Stops: what of a registry takes nothing more in this run, and what takes it only later.

A full project refuses every further blob of every image, and a registry in read-only mode every
write. The first refusal is remembered, and all later writes fail with it at once, without a
request; other projects, and other registries, go on.

An object that a garbage collection is about to delete cannot be stored until that is over
(harbor, src/server/middleware/blob). Then the next try of that object waits, and nothing else.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from imgsync.errors import CollectingGarbage, ImgsyncError, ProjectFull, ReadOnly
from imgsync.events import Report, Retried

if TYPE_CHECKING:
    from collections.abc import Iterator

GC_FIRST_WAIT_S: Final = 10.0
GC_LONGEST_WAIT_S: Final = 120.0
"""One object is soon deleted; the collection as a whole may take hours, but not for it."""

_EVERYTHING: Final = ""


class Stops:
    """Of one registry; used by many threads."""

    def __init__(self, name: str, retries: int, report: Report) -> None:
        """``name`` is the registry's; ``retries`` how often an object is waited for."""
        self._name = name
        self._retries = retries
        self._report = report
        self._errors: dict[str, ImgsyncError] = {}
        self._collected: Counter[str] = Counter()
        self._no_mounts: set[tuple[str, str]] = set()
        self._closed = threading.Event()
        self.gc_first_wait_s = GC_FIRST_WAIT_S

    def stop(self, project: str, error: ImgsyncError) -> None:
        """Let every later write into this project fail with this error."""
        self._errors.setdefault(project, error)

    def check(self, repository: str) -> None:
        """Before each write.

        Raises:
            ImgsyncError: what stopped this project, or the whole registry, before.
        """
        for scope in (_EVERYTHING, _project(repository)):
            known = self._errors.get(scope)
            if known is not None:
                raise type(known)(known.message, hint=known.hint)

    @contextmanager
    def writing(self, repository: str, what: str) -> Iterator[None]:
        """Around each write of an object.

        Raises:
            ImgsyncError: what stopped this project, or the whole registry, before.
        """
        self.check(repository)
        self._wait(what)
        try:
            yield
        except ProjectFull as error:
            self.stop(_project(repository), error)
            raise
        except ReadOnly as error:
            self.stop(_EVERYTHING, error)
            raise
        except CollectingGarbage:
            self._collected[what] += 1
            raise

    def may_retry(self, what: str) -> bool:
        """Whether an object that is being deleted is worth another try."""
        return self._collected[what] <= self._retries

    def no_mount(self, target: str, origin: str) -> None:
        """We may not read there, or not for this: Harbor decides so by projects."""
        self._no_mounts.add((_project(target), _project(origin)))

    def may_mount(self, target: str, origin: str) -> bool:
        """Whether mounting between the projects of these repositories was not yet refused."""
        return (_project(target), _project(origin)) not in self._no_mounts

    def close(self) -> None:
        """Wake up all who wait: the run ends."""
        self._closed.set()

    def _wait(self, what: str) -> None:
        n_times = self._collected[what]
        if n_times:
            wait_s = min(self.gc_first_wait_s * 2 ** (n_times - 1), GC_LONGEST_WAIT_S)
            why = "a garbage collection is about to delete just this"
            self._report(Retried(f"{self._name}: {what}", why, wait_s))
            self._closed.wait(wait_s)


def _project(repository: str) -> str:
    return repository.partition("/")[0]
