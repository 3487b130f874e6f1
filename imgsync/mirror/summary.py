"""What came of a run: one line for people, JSON for programs, figures for metrics. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.errors import ImgsyncError
    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.state import SeenBudget, State


class Status(StrEnum):
    """What came of one image."""

    UNCHANGED = "unchanged"
    NEW = "new"
    UPDATED = "updated"
    FAILED = "failed"
    LEFT = "left"
    """Not begun, or broken off: a limit was reached, or somebody ended it. The next run goes on."""


INTERRUPTED: Final = "interrupted"
"""Why a run ended early that somebody has ended."""
CHANGED: Final = frozenset({Status.NEW, Status.UPDATED})
_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """One image.

    Attributes:
        source, target: full names.
        digest: what stands at the target now, as far as is known.
        source_digest: the source's; another one if the index was rewritten.
        before: what stood at the target before; an empty text for nothing.
        error: of one that failed or was left.
        n_bytes: what a run would send of it, and of no image before it; None where it was not
            measured.
    """

    source: str
    target: str
    status: Status
    digest: str = ""
    source_digest: str = ""
    before: str = ""
    error: ImgsyncError | None = None
    n_bytes: int | None = None

    @property
    def host(self) -> str:
        """The registry that it goes to; an empty text where it has no place to go to."""
        return self.target.partition("/")[0]

    def to_json(self) -> dict[str, Any]:
        """For ``--report``."""
        value: dict[str, Any] = {
            "before": self.before or None,
            "digest": self.digest or None,
            "source": self.source,
            "source_digest": self.source_digest or None,
            "status": str(self.status),
            "target": self.target,
        }
        if self.n_bytes is not None:
            value["planned_bytes"] = self.n_bytes
        if self.error is not None:
            value["error"] = {
                "exit_code": self.error.exit_code,
                "hint": self.error.hint,
                "kind": type(self.error).__name__,
                "message": self.error.message,
            }
        return value


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run.

    Attributes:
        config: how the config is called.
        repository_failures: repositories whose tags could not be listed, with the error.
        n_sent_bytes: what was sent to destinations.
        n_extras: signatures and the like that were sent.
        stopped: why the run ended early; an empty text if it did not.
        n_planned_bytes: what a run would send; None if that was not measured.
        n_documents: manifests that were asked for; a registry may count them as pulls.
        is_interrupted: whether somebody ended it: what was not begun may not be in ``images``.
        last_success_s: when a run last ended well, this one included.
    """

    config: str
    images: tuple[ImageOutcome, ...]
    begun_s: float
    ended_s: float
    n_sent_bytes: int = 0
    n_sent: int = 0
    n_mounted: int = 0
    n_extras: int = 0
    repository_failures: tuple[tuple[str, ImgsyncError], ...] = ()
    budgets: Mapping[str, SeenBudget] = field(default_factory=dict)
    stopped: str = ""
    last_success_s: float = 0.0
    is_interrupted: bool = False
    n_planned_bytes: int | None = None
    n_documents: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """How many images each status has, zeros included."""
        counted = Counter(str(image.status) for image in self.images)
        return {str(status): counted[str(status)] for status in Status}

    @property
    def has_changed(self) -> bool:
        """Whether something is at a destination that was not there before."""
        return self.n_extras > 0 or any(image.status in CHANGED for image in self.images)

    @property
    def is_complete(self) -> bool:
        """Whether every image that was asked for is as it should be."""
        is_left = any(image.status in {Status.FAILED, Status.LEFT} for image in self.images)
        return not (is_left or self.repository_failures or self.stopped)

    def ended(self, state: State, *, dry_run: bool) -> Summary:
        """The same, and the state knows when a run last ended well."""
        if dry_run or not self.is_complete:
            return self
        state.last_success_s = self.ended_s
        return replace(self, last_success_s=self.ended_s)

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """What failed, with the error; images that were only left are not failures."""
        images = [
            (image.target or image.source, image.error)
            for image in self.images
            if image.status is Status.FAILED and image.error is not None
        ]
        return [*self.repository_failures, *images]

    @property
    def failures_by_host(self) -> dict[str, int]:
        """How many images failed, by destination; every destination is there."""
        counted = Counter(image.host for image in self.images if image.status is Status.FAILED)
        return {host: counted[host] for host in sorted({image.host for image in self.images})}

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return max(0.0, self.ended_s - self.begun_s)

    def line(self) -> str:
        """One line: what a mail from cron should say."""
        counts = [f"{count} {status}" for status, count in self.counts.items() if count] or [
            "no image"
        ]
        parts = [", ".join(counts)]
        if self.repository_failures:
            parts.append(f"{len(self.repository_failures)} repositories failed")
        if self.n_sent_bytes:
            parts.append(f"{_size(self.n_sent_bytes)} sent")
        if self.n_planned_bytes is not None:
            parts.append(
                f"{_size(self.n_planned_bytes)} to send; {self.n_documents} manifests were asked "
                "for, which is what a registry counts"
            )
        if self.n_extras:
            parts.append(f"{self.n_extras} signatures and the like")
        if self.n_mounted:
            parts.append(f"{self.n_mounted} blobs mounted")
        text = f"{self.config}: {'; '.join(parts)}; {self.duration_s:.1f} s"
        return text + (f"; stopped: {self.stopped}" if self.stopped else "")

    def to_json(self) -> dict[str, Any]:
        """For ``--report``."""
        return {
            "begun": _time(self.begun_s),
            "budgets": {
                host: {"limit": budget.limit, "remaining": budget.remaining}
                for host, budget in sorted(self.budgets.items())
            },
            "changed": self.has_changed,
            "complete": self.is_complete,
            "config": self.config,
            "counts": self.counts,
            "ended": _time(self.ended_s),
            "images": [image.to_json() for image in self.images],
            "interrupted": self.is_interrupted,
            "mounted_objects": self.n_mounted,
            "planned": None
            if self.n_planned_bytes is None
            else {"bytes": self.n_planned_bytes, "manifest_requests": self.n_documents},
            "referrers": self.n_extras,
            "repositories_failed": [
                {"message": error.message, "repository": name}
                for name, error in self.repository_failures
            ],
            "sent_bytes": self.n_sent_bytes,
            "sent_objects": self.n_sent,
            "stopped": self.stopped or None,
        }


def config_label(config: MirrorConfig) -> str:
    """How metrics and summaries call a config: its file's name."""
    return config.label.rpartition("/")[2]


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _size(n_bytes: int) -> str:
    amount, unit = float(n_bytes), "B"
    for larger in _UNITS:
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}" if unit != "B" else f"{n_bytes} B"
