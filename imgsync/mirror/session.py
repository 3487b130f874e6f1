"""A run as cron wants it: one at a time, everything kept, and told, whatever ends it."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError
from imgsync.events import Noted
from imgsync.mirror.files import beside, write_file
from imgsync.mirror.into_file import FileRun
from imgsync.mirror.lock import hold_lock
from imgsync.mirror.metrics import metrics_text
from imgsync.mirror.receipts import append_receipts
from imgsync.mirror.run import MirrorRun, RunOptions
from imgsync.mirror.state import load_state, save_state

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.events import Report
    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.opening import AllRegistries
    from imgsync.mirror.receipts import Receipt
    from imgsync.mirror.state import State
    from imgsync.mirror.summary import Summary
    from imgsync.pushing.gate import Gate


class MirrorInterrupted(KeyboardInterrupt):
    """Somebody ended the run; everything is kept and told.

    Attributes:
        summary: what was done.
    """

    def __init__(self, summary: Summary) -> None:
        super().__init__()
        self.summary = summary


@dataclass(frozen=True, slots=True)
class MirrorFiles:
    """What a mirror keeps and writes; None is not wanted.

    Attributes:
        state: with the receipts and the lock beside it.
        report: JSON of the run.
        metrics: for Prometheus.
    """

    state: Path
    report: Path | None = None
    metrics: Path | None = None

    @property
    def receipts(self) -> Path:
        """Every push of this mirror, for ever."""
        return beside(self.state, "receipts.jsonl")

    @property
    def lock(self) -> Path:
        """Held while a run is under way."""
        return beside(self.state, "lock")


def mirror_once(
    config: MirrorConfig,
    registries: AllRegistries,
    files: MirrorFiles,
    report: Report,
    options: RunOptions,
    command: str,
    gate: Gate | None = None,
) -> Summary:
    """One run with everything around it.

    Raises:
        LockHeld: another run is under way.
        MirrorInterrupted: Ctrl-C, or a signal; report and metrics are written before.
        Whatever ends a run for good; the state is saved all the same.
    """
    with ExitStack() as stack:
        if not options.dry_run:
            stack.enter_context(hold_lock(files.lock, command))
        state, note = load_state(files.state)
        if note:
            report(Noted(note, "warning"))
        for line in config.notes:
            report(Noted(line))

        def write_receipt(receipt: Receipt) -> None:
            append_receipts(files.receipts, [receipt])

        run: FileRun | MirrorRun
        if config.output:
            run = FileRun(config, registries, state, report, options)
        else:
            run = MirrorRun(config, registries, state, report, options, write_receipt, gate)
        try:
            summary = run()
        except KeyboardInterrupt:
            summary = run.interrupted()
            _tell(files, summary)
            raise MirrorInterrupted(summary) from None
        finally:
            if not options.dry_run:
                _save(files, state, report)
        _tell(files, summary)
        return summary


def _save(files: MirrorFiles, state: State, report: Report) -> None:
    """Save the state; that it cannot be is no reason to fail, as it is never needed."""
    try:
        save_state(files.state, state)
    except ImgsyncError as error:
        report(Noted(f"the state cannot be saved: {error.message}", "warning"))


def _tell(files: MirrorFiles, summary: Summary) -> None:
    if files.report is not None:
        value = json.dumps(summary.to_json(), indent=2, sort_keys=True) + "\n"
        write_file(files.report, value.encode())
    if files.metrics is not None:
        write_file(files.metrics, metrics_text(summary).encode())


def wait(seconds: float) -> None:
    """Wait before a run; apart, so that tests need not."""
    if seconds > 0:
        time.sleep(seconds)
