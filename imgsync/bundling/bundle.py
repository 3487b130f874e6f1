"""The whole of making a bundle: journal, preparation, file. What ``imgsync bundle`` runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from imgsync.bundling.making import Made, make_file, make_store, make_stream
from imgsync.bundling.preparing import Preparation, Prepared
from imgsync.errors import BudgetSpent, ImgsyncError, LockHeld, NetworkError, SomeFailed
from imgsync.stores.archive.archive_file import journal_of, partial_of
from imgsync.stores.archive.journal import Journal, JournalDocuments
from imgsync.stores.archive.redo import finish_rewrite

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgsync.bundling.request import BundleOptions, Request
    from imgsync.events import Report
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
    with Journal(journal_of(path)) as journal:
        was_fresh = journal.is_fresh
        if options.refresh:
            journal.forget()
        try:
            documents = JournalDocuments(journal)
            preparation = Preparation(options, documents, report, journal)
            prepared = preparation.prepare(requests, docker_platform)
            return Bundled(prepared, make_file(prepared, path, journal, options, report))
        except ImgsyncError as error:
            if was_fresh and not journal.done and not _is_worth_going_on(error):
                partial_of(path).unlink(missing_ok=True)
                journal.remove()
            raise


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
