"""The whole of making a bundle: journal, preparation, file. What ``imgsync bundle`` runs."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from imgsync.bundling.making import Made, make_file, make_store, make_stream
from imgsync.bundling.preparing import Preparation, Prepared
from imgsync.errors import BudgetSpent, ImgsyncError, LockHeld, NetworkError, SomeFailed
from imgsync.events import Noted
from imgsync.model.volumes import VolumePlan, split
from imgsync.stores.archive.archive_file import journal_of, partial_of
from imgsync.stores.archive.journal import Journal, JournalDocuments
from imgsync.stores.archive.planned_tar import PlannedTar, previous_of
from imgsync.stores.archive.redo import finish_rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imgsync.bundling.request import BundleOptions, Request
    from imgsync.events import Report
    from imgsync.model.lock import Volume
    from imgsync.model.platform import Platform
    from imgsync.stores import Destination


@dataclass(frozen=True, slots=True)
class Bundled:
    """What a run made, of what."""

    prepared: Prepared
    made: Made


def bundle_to_file(
    requests: Sequence[Request],
    path: Path,
    docker_platform: Platform,
    options: BundleOptions,
    report: Report,
) -> Bundled:
    """Make the bundle at ``path``; the same call again goes on where one stopped.

    Raises:
        LockHeld: another run makes this bundle.
        AllFailed, BudgetSpent, Conflict, NoSpace: see `Preparation.prepare` and `make_file`.
    """
    finish_rewrite(path)
    with Journal(journal_of(path)) as journal, _earlier([path]) as earlier:
        was_fresh = journal.is_fresh
        if options.refresh:
            journal.forget()
        try:
            documents = JournalDocuments(journal)
            preparation = Preparation(options, documents, report, journal, earlier)
            prepared = preparation.prepare(requests, docker_platform)
            made = make_file(prepared, path, journal, options, report, earlier=earlier)
            return Bundled(prepared, made)
        except ImgsyncError as error:
            if was_fresh and not journal.done and not _is_worth_going_on(error):
                partial_of(path).unlink(missing_ok=True)
                journal.remove()
            raise


def bundle_to_volumes(
    requests: Sequence[Request],
    path: Path,
    size: int,
    docker_platform: Platform,
    options: BundleOptions,
    report: Report,
) -> list[tuple[Path, VolumePlan, Bundled]]:
    """Make the bundle as volumes of at most ``size`` bytes beside ``path``.

    Each is made like a bundle of its own and can be carried away when it is finished. One journal
    holds what was resolved and read for all of them.

    Raises:
        InvalidInput: a volume cannot hold the manifests.
        As `bundle_to_file`.
    """
    with Journal(journal_of(path)) as journal, _earlier(volumes_beside(path)) as earlier:
        if options.refresh:
            journal.forget()
        documents = JournalDocuments(journal)
        preparation = Preparation(options, documents, report, journal, earlier)
        prepared = preparation.prepare(requests, docker_platform)
        plans = split(prepared.lock, size)
        made = []
        for plan in plans:
            file = volume_path(path, plan.volume)
            part = replace(prepared, lock=plan.lock)
            if plan.is_oversized:
                report(Noted(f"{file}: holds one blob that is larger than a volume", "warning"))
            with Journal(journal_of(file)) as progress:
                result = make_file(
                    part, file, progress, options, report, roots=plan.roots, earlier=earlier
                )
            made.append((file, plan, Bundled(part, result)))
        journal.remove()
        return made


@contextmanager
def _earlier(paths: Sequence[Path]) -> Iterator[list[PlannedTar]]:
    """The bundles of ours that stand at these paths, open; what they have is not fetched."""
    with ExitStack() as stack:
        found = [previous_of(path) for path in paths]
        yield [stack.enter_context(item) for item in found if item is not None]


def volume_path(path: Path, volume: Volume) -> Path:
    """``site.tar`` as ``site.02of12.tar``: they sort in their order."""
    width = len(str(volume.of))
    number = f"{volume.number:0{width}}of{volume.of}"
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def volumes_beside(path: Path) -> list[Path]:
    """The volumes of this bundle that are there, of whatever set."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.\d+of\d+{re.escape(path.suffix)}")
    return [file for file in path.parent.iterdir() if pattern.fullmatch(file.name)]


def bundle_to_stream(
    requests: Sequence[Request],
    out: BinaryIO,
    docker_platform: Platform,
    options: BundleOptions,
    report: Report,
) -> Bundled:
    """Write the bundle in order to a pipe; nothing is kept of a run that breaks off."""
    prepared = prepare_only(requests, docker_platform, options, report)
    return Bundled(prepared, make_stream(prepared, out, options, report))


def bundle_to_store(
    requests: Sequence[Request],
    store: Destination,
    docker_platform: Platform,
    options: BundleOptions,
    report: Report,
) -> Bundled:
    """Write the bundle's content and names into a store, such as an OCI layout folder."""
    prepared = prepare_only(requests, docker_platform, options, report)
    outcome = make_store(prepared, store, options, report)
    n_bytes = sum(
        item.size for key, item in prepared.lock.objects.items() if key not in prepared.lock.absent
    )
    return Bundled(prepared, Made(n_bytes, unchanged=outcome.n_sent == 0, outcome=outcome))


def prepare_only(
    requests: Sequence[Request],
    docker_platform: Platform,
    options: BundleOptions,
    report: Report,
) -> Prepared:
    """Resolve and walk, and keep nothing: the plan of ``--dry-run``, and of a pipe."""
    return Preparation(options, {}, report).prepare(requests, docker_platform)


def _is_worth_going_on(error: ImgsyncError) -> bool:
    """Whether what was read so far is worth keeping: the cause may pass by itself."""
    if isinstance(error, SomeFailed):
        return any(_is_worth_going_on(failure) for _, failure in error.failures)
    return isinstance(error, (NetworkError, BudgetSpent, LockHeld))
