"""A mirror into a bundle or an OCI layout folder, instead of registries: ``output``.

Names are looked at as they are at a registry: one HEAD at the source, and what the file's own
index says. If nothing has changed, nothing is read. If something has, the bundle is made anew
from everything that the config selects; what the old one has is not fetched again. An image that
cannot be had any more stays as it is in the old one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.bundling.bundle import Bundled, bundle_to_file, bundle_to_store, prepare_only
from imgsync.bundling.request import BundleOptions, Request
from imgsync.errors import BudgetSpent, Conflict, ImgsyncError
from imgsync.events import Advanced, Event, Report
from imgsync.mirror.choosing import choose
from imgsync.mirror.limits import Allowance
from imgsync.mirror.looking import Looked, look
from imgsync.mirror.measuring import Measured
from imgsync.mirror.moving import outcome_of
from imgsync.mirror.opening import MirrorSources
from imgsync.mirror.sources import Documents
from imgsync.mirror.summary import INTERRUPTED, ImageOutcome, Status, Summary, config_label
from imgsync.model.lock import DOCKER_PLATFORM
from imgsync.presence import held_sizes
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.opening import AllRegistries
    from imgsync.mirror.run import RunOptions
    from imgsync.mirror.state import State
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding

LAYOUT: Final = "oci:"


@dataclass(slots=True)
class Output:
    """What stands at the place that the mirror goes to.

    Attributes:
        holding: it, or None if there is nothing.
        roots: what its names mean.
    """

    holding: Holding | None = None
    roots: dict[Reference, Root] = field(default_factory=dict)

    @classmethod
    def open(cls, output: str, report: Report) -> Output:
        """Open what is there.

        Raises:
            StoreError, ContentError: it is there, and no bundle or layout of ours.
        """
        path = Path(output.removeprefix(LAYOUT))
        if not path.exists():
            return cls()
        holding: Holding = Layout(path) if path.is_dir() else open_archive(path, report=report)
        bundle = holding.bundle()
        return cls(holding, {root.name: root for root in bundle.roots if root.name is not None})

    def at(self, target: Reference) -> _Name:
        """The target as a repository that knows what its tags mean."""
        return _Name(self, target)


@dataclass(frozen=True, slots=True)
class _Name:
    output: Output
    target: Reference

    def digest_of_tag(self, tag: str) -> Descriptor | None:
        """What a name means in the file."""
        root = self.output.roots.get(self.target.with_tag(tag))
        return root.descriptor if root is not None else None


class FileRun:
    """One run into a file; it is called once."""

    def __init__(
        self,
        config: MirrorConfig,
        registries: AllRegistries,
        state: State,
        report: Report,
        options: RunOptions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin to count time and bytes; nothing is asked yet."""
        self.state = state
        self._config = config
        self._report = report
        self._options = options
        self._clock = clock
        self._begun_s = clock()
        self._allowance = Allowance(options.time_limit_s, options.byte_limit)
        self._sources = MirrorSources(config, registries, Documents())
        self._n_bytes = 0
        self._looked: list[Looked] = []
        self._measured = Measured()

    def __call__(self) -> Summary:
        """Do it all; what fails is told in the summary.

        Raises:
            Conflict: the sources differ in what comes along; a bundle has one choice.
            ImgsyncError: the file cannot be written.
        """
        choices = {source.referrers for source in self._config.sources}
        if len(choices) > 1:
            msg = f"{self._config.label}: with output, referrers must be the same for all sources"
            raise Conflict(msg)
        output = Output.open(self._config.output, self._report)
        chosen = choose(self._config, self._sources.get, self._report, jobs=self._options.jobs)
        looked = look(
            chosen.items, self._sources.get, output.at, self.state, jobs=self._options.jobs
        )
        self._looked = looked
        outcomes = [
            ImageOutcome(str(item.source), "", Status.FAILED, error=item.error)
            for item in chosen.unplaced
        ]
        stopped = ""
        changed = [one for one in looked if one.error is None and not one.is_same]
        gone = output.roots.keys() - {one.item.target for one in looked}
        failures: dict[str, ImgsyncError] = {}
        if chosen.failures:
            # What cannot be listed would be missing from the new one.
            stopped = "not every repository can be listed, so the file stays as it is"
            failures = dict.fromkeys(map(_label, changed), chosen.failures[0][1])
        elif (changed or gone) and (not self._options.dry_run or self._options.measure):
            requests = [item for one in looked if (item := self._request(one, output)) is not None]
            options = BundleOptions(
                jobs=self._options.jobs,
                retries=self._options.retries,
                skip_missing_platforms=True,
                keep_going=True,
                referrers=next(iter(choices)),
            )
            try:
                if self._options.dry_run:
                    failures = self._measure(requests, options, output)
                else:
                    made = self._make(requests, options)
                    failures = dict(made.prepared.failures)
                    self._n_bytes = made.made.outcome.n_sent_bytes
            except BudgetSpent as spent:
                stopped = spent.message
                failures = {_label(one): spent for one in changed}
        outcomes += [self._outcome(one, failures) for one in looked]
        return self._summary(outcomes, tuple(chosen.failures), stopped)

    def interrupted(self) -> Summary:
        """What came of a run that an exception has ended: the file is as it was before."""
        outcomes = [
            outcome_of(one, one.error, status=None if one.error or one.is_same else Status.LEFT)
            for one in self._looked
        ]
        return self._summary(outcomes, (), INTERRUPTED, is_interrupted=True)

    def _request(self, looked: Looked, output: Output) -> Request | None:
        """What to ask for; of the file itself, where the source cannot be asked."""
        target, choice = looked.item.target, looked.item.platforms
        if looked.error is None:
            source = self._sources.get(looked.item.source)
            return Request(_label(looked), source, looked.item.source, name=target, choice=choice)
        root = output.roots.get(target)
        if output.holding is None or root is None:
            return None
        absent = output.holding.bundle().absent
        return Request(_label(looked), output.holding, root=root, name=target, absent=absent)

    def _measure(
        self, requests: Sequence[Request], options: BundleOptions, output: Output
    ) -> dict[str, ImgsyncError]:
        """Count what would be fetched: all that the bundle of today does not hold."""
        prepared = prepare_only(requests, DOCKER_PLATFORM, options, self._report)
        held = held_sizes(output.holding) if output.holding is not None else None
        new = [item for item in prepared.lock.present() if item.digest not in (held or ())]
        self._measured.n_bytes = sum(item.size for item in new)
        return dict(prepared.failures)

    def _make(self, requests: Sequence[Request], options: BundleOptions) -> Bundled:
        def report(event: Event) -> None:
            if isinstance(event, Advanced) and event.n_bytes > 0:
                self._allowance.add(event.n_bytes)
                self._allowance.check()
            self._report(event)

        self._allowance.check()
        place = self._config.output
        if place.startswith(LAYOUT):
            layout = Layout(Path(place.removeprefix(LAYOUT)), create=True)
            return bundle_to_store(requests, layout, DOCKER_PLATFORM, options, report)
        return bundle_to_file(requests, Path(place), DOCKER_PLATFORM, options, report)

    def _outcome(self, looked: Looked, failures: Mapping[str, ImgsyncError]) -> ImageOutcome:
        error = looked.error or failures.get(_label(looked))
        if error is not None:
            return outcome_of(looked, error)
        digest = str(looked.source_digest or "")
        status = Status.UNCHANGED
        if not looked.is_same:
            status = Status.NEW if looked.before is None else Status.UPDATED
        return outcome_of(looked, None, status=status, digest=digest)

    def _summary(
        self,
        outcomes: list[ImageOutcome],
        repository_failures: tuple[tuple[str, ImgsyncError], ...],
        stopped: str,
        *,
        is_interrupted: bool = False,
    ) -> Summary:
        now_s = self._clock()
        self.state.budgets.update(self._sources.budgets(now_s))
        summary = Summary(
            config_label(self._config),
            tuple(sorted(outcomes, key=lambda outcome: outcome.target)),
            self._begun_s,
            now_s,
            self._n_bytes,
            repository_failures=repository_failures,
            budgets=dict(self.state.budgets),
            stopped=stopped,
            last_success_s=self.state.last_success_s,
            is_interrupted=is_interrupted,
            n_planned_bytes=self._measured.n_bytes if self._options.measure else None,
            n_documents=self._sources.n_pulls,
        )
        return summary.ended(self.state, dry_run=self._options.dry_run)


def _label(looked: Looked) -> str:
    return str(looked.item.source)
