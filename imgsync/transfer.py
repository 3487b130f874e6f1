"""The engine: runs a plan. The only threads of a transfer are here.

Between every source and every destination stands a `VerifiedStream`. A source that fails or lies
is passed over for that object; a destination's failure is the image's. One failure fails exactly
the images that need that object, and everything else goes on.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.errors import BudgetSpent, ImgsyncError, NoSpace
from imgsync.events import Event, Failed, Planned, Report
from imgsync.mover import Mover, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.plan import Plan
    from imgsync.stores import Destination, Source


@dataclass(slots=True)
class Outcome:
    """What came of a plan: for each failed image (an index into ``plan.wanted``) its error."""

    failures: dict[int, ImgsyncError] = field(default_factory=dict)
    n_sent: int = 0
    n_sent_bytes: int = 0
    n_mounted: int = 0


def run(
    plan: Plan,
    sources: Sequence[Source],
    destinations: Sequence[Destination],
    report: Report,
    *,
    jobs: int = 4,
    retries: int = 3,
) -> Outcome:
    """Move everything that the plan says, with ``jobs`` workers, and set the names.

    Raises:
        BudgetSpent: a source's quota is used up; what was done stays done.
        NoSpace: a destination is full; likewise.
        Anything else that is no ImgsyncError is a bug, and ends the run.
    """
    return _Run(plan, sources, destinations, report, jobs, retries).run()


class _Run:
    def __init__(
        self,
        plan: Plan,
        sources: Sequence[Source],
        destinations: Sequence[Destination],
        report: Report,
        jobs: int,
        retries: int,
    ) -> None:
        self._plan = plan
        self._report_unlocked = report
        self._mover = Mover(plan, sources, destinations, self._report, retries, self._check_stop)
        self._n_tasks = len(plan.steps) + len(plan.names)
        self._jobs = max(1, min(jobs, self._n_tasks))
        self._lock = threading.Lock()
        self._report_lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._outcome = Outcome()
        self._errors: dict[int, ImgsyncError] = {}
        self._fatal: BaseException | None = None
        self._n_left = self._n_tasks
        # Tasks are numbered: the steps, then the names behind them.
        self._n_waits = [0] * self._n_tasks
        self._hard: list[list[int]] = [[] for _ in range(self._n_tasks)]
        self._soft: list[list[int]] = [[] for _ in range(self._n_tasks)]
        for task, step in enumerate(plan.steps):
            for before in step.after:
                self._hard[before].append(task)
            if step.wait_for is not None:
                self._soft[step.wait_for].append(task)
            self._n_waits[task] = len(step.after) + (step.wait_for is not None)
        for task, naming in enumerate(plan.names, len(plan.steps)):
            for before in naming.after:
                self._hard[before].append(task)
            self._n_waits[task] = len(naming.after)
        self._ready = deque(task for task, waits in enumerate(self._n_waits) if waits == 0)

    def run(self) -> Outcome:
        plan = self._plan
        self._report(Planned(len(plan.steps), plan.n_bytes, plan.n_present, plan.n_present_bytes))
        workers = [
            threading.Thread(target=self._work, name=f"transfer-{number}")
            for number in range(self._jobs)
        ]
        for worker in workers:
            worker.start()
        try:
            with self._changed:
                while self._n_left and self._fatal is None:
                    self._changed.wait()
        except BaseException as error:
            # Ctrl-C arrives here: the workers stop at their next chunk, then it goes on upwards.
            with self._changed:
                self._fatal = self._fatal or error
                self._changed.notify_all()
            raise
        finally:
            for worker in workers:
                worker.join()
        if self._fatal is not None:
            raise self._fatal
        return self._outcome

    def _report(self, event: Event) -> None:
        with self._report_lock:
            self._report_unlocked(event)

    def _check_stop(self) -> None:
        if self._fatal is not None:
            raise Stopped

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._ready and self._n_left and self._fatal is None:
                    self._changed.wait()
                if self._fatal is not None or not self._n_left:
                    return
                task = self._ready.popleft()
            error: ImgsyncError | None = None
            try:
                self._do(task)
            except (BudgetSpent, NoSpace) as spent:
                self._stop(spent)
                return
            except ImgsyncError as failed:
                error = failed
            except Stopped:
                return
            except BaseException as bug:  # noqa: BLE001 - it is raised again, in the caller's thread
                self._stop(bug)
                return
            self._end(task, error)

    def _stop(self, why: BaseException) -> None:
        with self._changed:
            self._fatal = self._fatal or why
            self._changed.notify_all()

    def _end(self, task: int, error: ImgsyncError | None) -> None:
        with self._changed:
            self._n_left -= 1
            doomed = deque[int]()
            for after in self._hard[task]:
                self._release(after, error, doomed)
            for after in self._soft[task]:
                self._release(after, None, doomed)
            while doomed:
                lost = doomed.popleft()
                self._n_left -= 1
                cause = self._errors[lost]
                self._lose(lost, cause)
                for after in self._hard[lost]:
                    self._release(after, cause, doomed)
                for after in self._soft[lost]:
                    self._release(after, None, doomed)
            if error is not None:
                self._lose(task, error)
            self._changed.notify_all()
        if error is not None and task < len(self._plan.steps):
            self._report(Failed(self._plan.steps[task].descriptor.short, error))

    def _release(self, task: int, error: ImgsyncError | None, doomed: deque[int]) -> None:
        self._n_waits[task] -= 1
        if error is not None:
            self._errors.setdefault(task, error)
        if self._n_waits[task] == 0:
            (doomed if task in self._errors else self._ready).append(task)

    def _lose(self, task: int, error: ImgsyncError) -> None:
        name = task - len(self._plan.steps)
        if name >= 0:
            self._outcome.failures[self._plan.names[name].wanted] = error

    def _do(self, task: int) -> None:
        steps = self._plan.steps
        if task < len(steps):
            step = steps[task]
            how = self._mover.move(step)
            with self._lock:
                if how == "mounted":
                    self._outcome.n_mounted += 1
                else:
                    self._outcome.n_sent += 1
                    self._outcome.n_sent_bytes += step.descriptor.size
            return
        image = self._plan.wanted[self._plan.names[task - len(steps)].wanted]
        if image.root.name is not None:
            self._mover.name(image.destination, image.root.name, image.root.descriptor)
