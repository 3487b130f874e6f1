"""One run of a mirror: choose, look, move what changed, and remember. Then it ends.

Images are moved in batches, so that a first run with thousands of them finishes some before it
has read all, and a limit leaves whole images behind instead of half ones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

from imgsync.errors import BudgetSpent
from imgsync.mirror.choosing import Chosen, choose
from imgsync.mirror.limits import Allowance
from imgsync.mirror.looking import Looked, look
from imgsync.mirror.measuring import Measured
from imgsync.mirror.mounts import Mounts
from imgsync.mirror.moving import Mover, outcome_of
from imgsync.mirror.opening import AllRegistries, MirrorSources
from imgsync.mirror.recheck import EVERY_S, Recheck
from imgsync.mirror.sources import Documents
from imgsync.mirror.state import State
from imgsync.mirror.summary import INTERRUPTED, ImageOutcome, Status, Summary, config_label
from imgsync.pushing.request import PushOptions
from imgsync.referrers.collecting import Collector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from imgsync.events import Report
    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.items import Unplaced
    from imgsync.mirror.receipts import Receipt
    from imgsync.pushing.gate import Gate
    from imgsync.referrers.choice import ReferrerChoice

BATCH: Final = 32
"""Images that are planned together: many enough to keep all workers busy, few enough to stop."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run may do."""

    jobs: int = 8
    retries: int = 3
    time_limit_s: float | None = None
    byte_limit: int | None = None
    dry_run: bool = False
    measure: bool = False
    """In a dry run, read manifests to tell bytes."""
    recheck_s: float = EVERY_S


class MirrorRun:
    """One run; it is called once.

    Attributes:
        state: what was known before; it is added to, and the caller saves it whatever happens.
    """

    def __init__(
        self,
        config: MirrorConfig,
        registries: AllRegistries,
        state: State,
        report: Report,
        options: RunOptions | None = None,
        write_receipt: Callable[[Receipt], None] = lambda _receipt: None,
        gate: Gate | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin to count time and bytes; nothing is asked yet."""
        self.state = state
        self._config = config
        self._registries = registries
        self._report = report
        self._options = options or RunOptions()
        self._clock = clock
        self._begun_s = clock()
        self._allowance = Allowance(self._options.time_limit_s, self._options.byte_limit)
        self._documents = Documents()
        self._sources = MirrorSources(config, registries, self._documents)
        self._lock = threading.Lock()
        self._outcomes: list[ImageOutcome] = []
        self._chosen = Chosen()
        self._measured = Measured()
        self._collectors: dict[str, Collector] = {}
        self._recheck = Recheck(
            state, self._collector, self._sources.get, self._options.recheck_s, clock
        )
        self._gate = gate
        self._mover = Mover(
            self._sources.get,
            registries.repository,
            self._documents,
            Mounts(),
            self._allowance,
            state,
            report,
            self._push_options,
            gate,
            self._recheck.learn,
            write_receipt,
        )

    def __call__(self) -> Summary:
        """Do it all; what fails is told in the summary.

        Raises:
            Whatever ends a run for good, such as Ctrl-C; what was done stays done.
        """
        chosen = choose(self._config, self._sources.get, self._report, jobs=self._options.jobs)
        self._chosen = chosen
        self._outcomes += [_unplaced(item) for item in chosen.unplaced]
        looked = look(
            chosen.items,
            self._sources.get,
            self._registries.repository,
            self.state,
            jobs=self._options.jobs,
            gate=self._gate,
        )
        due = self._due(looked)
        moving = [one for one in looked if self._has_to_move(one, due)]
        stopped = self._move(moving)
        return self._summary(chosen, stopped)

    def interrupted(self) -> Summary:
        """What came of a run that an exception has ended; called once, instead."""
        known = {one.target for one in (*self._outcomes, *self._mover.moved.outcomes)}
        self._outcomes += [
            ImageOutcome(str(item.source), str(item.target), Status.LEFT)
            for item in self._chosen.items
            if str(item.target) not in known
        ]
        return self._summary(self._chosen, INTERRUPTED, is_interrupted=True)

    def _collector(self, choice: ReferrerChoice) -> Collector:
        """What looks for what is about images; one for each choice and run."""
        with self._lock:
            key = str(choice)
            if key not in self._collectors:
                jobs = self._options.jobs
                self._collectors[key] = Collector(choice, self._report, jobs=jobs)
            return self._collectors[key]

    def _push_options(self, choice: ReferrerChoice) -> PushOptions:
        collector = None if choice.is_none else self._collector(choice)
        jobs, retries = self._options.jobs, self._options.retries
        return PushOptions(jobs, retries, rewrite_index=True, collector=collector)

    def _due(self, looked: Sequence[Looked]) -> set[int]:
        """Those unchanged images about which there is something new."""
        if self._options.dry_run:
            return set()
        return {id(one) for one in self._recheck.due(one for one in looked if one.is_same)}

    def _has_to_move(self, looked: Looked, due: Collection[int]) -> bool:
        """Whether it does, or has to be looked at in full; of others the outcome is noted."""
        if looked.error is None and (not looked.is_same or id(looked) in due):
            return True
        digest = str(looked.before.digest) if looked.is_same and looked.before else ""
        if looked.is_same and looked.source_digest is not None:
            self.state.remember_seen(looked.item.key, looked.source_digest)
        self._outcomes.append(outcome_of(looked, looked.error, digest=digest))
        return False

    def _move(self, moving: Sequence[Looked]) -> str:
        """Move all of them; says why not, if a limit was reached."""
        if self._options.dry_run and not self._options.measure:
            self._outcomes += self._would_move(moving)
            return ""
        batches = list(_batches(moving))
        for number, batch in enumerate(batches):
            try:
                self._allowance.check()
                if self._options.dry_run:
                    self._mover.measure(batch, self._measured)
                else:
                    self._mover.move(batch)
                self._documents.clear()
            except BudgetSpent as spent:
                known = {outcome.target for outcome in self._mover.moved.outcomes}
                for looked in chain.from_iterable(batches[number:]):
                    if str(looked.item.target) not in known:
                        self._outcomes.append(outcome_of(looked, spent))
                return spent.message
        return self._allowance.spent

    def _would_move(self, moving: Sequence[Looked]) -> list[ImageOutcome]:
        """What a run would make of them; no manifest is read, since that may count as a pull."""
        targets = [looked.item.target for looked in moving]
        refused = self._gate.refused(targets) if self._gate is not None and targets else {}
        outcomes = []
        for looked in moving:
            error = refused.get(looked.item.target.name)
            status = Status.NEW if looked.before is None else Status.UPDATED
            outcomes.append(outcome_of(looked, error, status=None if error else status))
        return outcomes

    def _summary(self, chosen: Chosen, stopped: str, *, is_interrupted: bool = False) -> Summary:
        now_s = self._clock()
        self.state.budgets.update(self._sources.budgets(now_s))
        moved = self._mover.moved
        outcomes = [*self._outcomes, *moved.outcomes]
        is_left = any(outcome.status is Status.LEFT for outcome in outcomes)
        summary = Summary(
            config_label(self._config),
            tuple(sorted(outcomes, key=lambda outcome: outcome.target)),
            self._begun_s,
            now_s,
            moved.n_sent_bytes,
            moved.n_sent,
            moved.n_mounted,
            moved.n_extras,
            tuple(chosen.failures),
            dict(self.state.budgets),
            stopped if is_left or is_interrupted else "",
            self.state.last_success_s,
            is_interrupted,
            self._measured.n_bytes if self._options.measure else None,
            self._sources.n_pulls,
        )
        return summary.ended(self.state, dry_run=self._options.dry_run)


def _batches(moving: Sequence[Looked]) -> Iterator[Sequence[Looked]]:
    """Images of one choice of platforms and of what comes along, of one source together.

    What changed comes first, before a limit is used up by looking for signatures.
    """
    groups: dict[str, list[Looked]] = {}
    for looked in sorted(moving, key=lambda one: (one.is_same, one.item.source.name)):
        key = f"{looked.is_same} {looked.item.platforms} {looked.item.referrers}"
        groups.setdefault(key, []).append(looked)
    for group in groups.values():
        for start in range(0, len(group), BATCH):
            yield group[start : start + BATCH]


def _unplaced(unplaced: Unplaced) -> ImageOutcome:
    return ImageOutcome(str(unplaced.source), "", Status.FAILED, error=unplaced.error)
