"""From a lock to its file: what is there already, what has to come, and the finish."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

from imgsync.bundling.urls import with_urls
from imgsync.documents import KeptDocuments
from imgsync.errors import AllFailed, ImgsyncError
from imgsync.events import Noted, Report
from imgsync.model.seek_table import most_bytes
from imgsync.model.tar_layout import TarLayout, tar_layout
from imgsync.plan import Plan, Wanted, make_plan
from imgsync.signing.locks import sign_lock
from imgsync.stores.archive.archive_file import ArchiveFile, packed_of, partial_of
from imgsync.stores.archive.archive_stream import ArchiveStream
from imgsync.stores.archive.beside import write_beside
from imgsync.stores.archive.frames_file import FramesFile, open_by_position
from imgsync.stores.archive.packed_file import PackedArchiveFile, is_packed_name
from imgsync.stores.archive.planned_tar import PlannedTar, leftovers_of, set_aside
from imgsync.stores.disk import check_room
from imgsync.stores.layout import Layout
from imgsync.stores.layout_bundle import LayoutBundle
from imgsync.transfer import Outcome, run

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from imgsync.bundling.preparing import Prepared
    from imgsync.bundling.request import BundleOptions
    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.stores import Destination, Source
    from imgsync.stores.archive.journal import Journal


@dataclass(frozen=True, slots=True)
class Made:
    """What came of it: the file's size in bytes, and whether it was there already."""

    size: int
    unchanged: bool
    outcome: Outcome


def make_file(
    prepared: Prepared,
    path: Path,
    journal: Journal,
    options: BundleOptions,
    report: Report,
    *,
    roots: Sequence[Root] | None = None,
    earlier: Sequence[PlannedTar] = (),
) -> Made:
    """Make the bundle at ``path``, or go on with it, or see that it is there.

    ``roots`` are those that ``index.json`` names, where they are not all of the lock's (a
    volume); what ``earlier`` bundles have is taken from there.

    Raises:
        NoSpace: the file system cannot hold it; nothing was fetched.
        NotFound, AccessDenied: the key to sign with cannot be used; nothing was fetched.
        AllFailed: blobs that no source gives; the partial stays, and the images are named.
    """
    layout = tar_layout(prepared.lock, roots)
    is_packed = is_packed_name(path)
    packed_of(path).unlink(missing_ok=True)
    raw_lock = prepared.lock.to_bytes()
    signature = _signature(path, raw_lock, options)
    if is_unchanged(path, layout):
        journal.remove()
        partial_of(path).unlink(missing_ok=True)
        write_beside(path, raw_lock, signature)
        return Made(path.stat().st_size, unchanged=True, outcome=Outcome())
    if journal.lock != raw_lock:
        set_aside(path, journal)
        journal.set_lock(raw_lock)
    partial = partial_of(path)
    needed = layout.size + (most_bytes(layout) if is_packed else 0)
    check_room(partial, needed - _allocated(partial))
    with ExitStack() as stack:
        also: list[tuple[Source, Collection[Digest]]] = []
        leftovers = [stack.enter_context(item) for item in leftovers_of(path)]
        also.extend((item, item.digests) for item in leftovers)
        also.extend((item, item.digests) for item in earlier)
        kind = PackedArchiveFile if is_packed else ArchiveFile
        file = stack.enter_context(kind(path, layout, journal, report=report))
        outcome = _fill(prepared, file, also, options, report)
        size = file.finish()
        for item in leftovers:
            item.remove()
    write_beside(path, raw_lock, signature)
    return Made(size, unchanged=False, outcome=outcome)


def make_stream(prepared: Prepared, out: BinaryIO, options: BundleOptions, report: Report) -> Made:
    """Write the bundle in order to a pipe."""
    layout = tar_layout(prepared.lock)
    stream = ArchiveStream(out, layout)
    in_order = {digest: place.offset for digest, place in layout.places.items()}
    outcome = _fill(prepared, stream, [], replace(options, jobs=1), report, in_order)
    stream.finish()
    return Made(layout.size, unchanged=False, outcome=outcome)


def make_store(
    prepared: Prepared, store: Destination, options: BundleOptions, report: Report
) -> Outcome:
    """Write the bundle's content and names into a store; a layout folder becomes a bundle."""
    if not isinstance(store, Layout):
        return _fill(prepared, store, [], options, report)
    raw_lock = prepared.lock.to_bytes()
    signature = _signature(store.path, raw_lock, options)
    bundle = LayoutBundle(store, prepared.lock)
    outcome = _fill(prepared, bundle, [], options, report)
    bundle.finish()
    if signature is not None:
        write_beside(store.path, raw_lock, signature)
    return outcome


def plan_of(
    prepared: Prepared,
    destination: Destination,
    also: Sequence[tuple[Source, Collection[Digest]]] = (),
) -> tuple[Plan, list[Source]]:
    """The plan of a bundle, and its sources in the order in which it numbers them."""
    kept = KeptDocuments(prepared.documents)
    all_also = [(kept, prepared.documents.keys()), *also]
    sources: list[Source] = [source for source, _ in all_also]
    numbers: dict[int, int] = {}
    wanted = []
    for item in prepared.chosen:
        source = item.request.source
        number = numbers.setdefault(id(source), len(sources))
        if number == len(sources):
            sources.append(source)
        wanted.append(Wanted(item.root, 0, (number,)))
    absent = prepared.lock.absent
    items = [prepared.lock.descriptor_of(key) for key in prepared.lock.objects]
    missing = destination.missing([item for item in items if item.digest not in absent])
    plan = make_plan(
        wanted,
        prepared.graph,
        [missing],
        absent=absent,
        also_in=[(number, digests) for number, (_, digests) in enumerate(all_also)],
    )
    return plan, sources


def is_unchanged(path: Path, layout: TarLayout) -> bool:
    """Whether the file at ``path`` is this very bundle.

    By its size, its lock and its ``index.json``, which name all the rest; whether its blobs are
    still right is what ``imgsync verify`` is for. Compressed it must be where its name says so.
    """
    try:
        file = open_by_position(path)
        if file is None or file.size != layout.size:
            return False
        for member in layout.members:
            if member.data is not None:
                expected = member.header + member.data
                if file.read_at(member.offset, len(expected)) != expected:
                    return False
    except ImgsyncError:
        return False
    return isinstance(file, FramesFile) == is_packed_name(path)


def _fill(
    prepared: Prepared,
    destination: Destination,
    also: Sequence[tuple[Source, Collection[Digest]]],
    options: BundleOptions,
    report: Report,
    in_order: dict[Digest, int] | None = None,
) -> Outcome:
    plan, sources = plan_of(prepared, destination, also)
    if options.at_url is not None:
        plan, more = with_urls(plan, len(sources), options.at_url)
        sources += more
    if in_order is not None:
        plan = plan.in_order(in_order)
    outcome = run(plan, sources, [destination], report, jobs=options.jobs, retries=options.retries)
    if outcome.failures:
        failures: list[tuple[str, ImgsyncError]] = [
            (prepared.chosen[number].request.label, error)
            for number, error in sorted(outcome.failures.items())
        ]
        msg = (
            f"{len(failures)} of {len(prepared.chosen)} images could not be fetched whole; "
            "no bundle was made"
        )
        hint = "what was fetched is kept: run the same command again"
        raise AllFailed(msg, failures, hint=hint)
    return outcome


def _allocated(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def _signature(path: Path, raw_lock: bytes, options: BundleOptions) -> bytes | None:
    """Made before anything is fetched: a passphrase is asked for while somebody is there."""
    return sign_lock(path, raw_lock, options.sign_key) if options.sign_key else None


def noted_failures(prepared: Prepared, report: Report) -> None:
    """Tell what ``--keep-going`` left out."""
    for label, error in prepared.failures:
        report(Noted(f"left out: {label}: {error.message}", "warning"))
