"""Our own bundle: the lock against the manifests, and every byte that is no blob's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput
from imgsync.model.bundle_files import index_file
from imgsync.model.descriptor import Descriptor
from imgsync.model.tar_header import END_OF_ARCHIVE, padding
from imgsync.model.tar_layout import tar_layout
from imgsync.model.volumes import named_roots
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.by_lock import (
    LOCK_BEGINS,
    ArchiveByLock,
    advice_to_heal,
    advice_without_lock,
)
from imgsync.verifying.findings import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.model.layout_index import LayoutIndex
    from imgsync.model.lock import Lock
    from imgsync.model.tar_layout import TarLayout
    from imgsync.stores import Holding
    from imgsync.stores.archive.tar_file import TarFile
    from imgsync.stores.image_layout import ImageLayout
    from imgsync.verifying.findings import Users
    from imgsync.walk import Graph

CHANGED = "the bundle was changed after it was made; get it again, or make it again from its lock"


def check_own(holding: ImageLayout, lock: Lock, graph: Graph, users: Users) -> Iterator[Finding]:
    """Everything about a bundle that has a good lock."""
    index = holding.index()
    yield from check_lock(lock, index, graph, holding.sizes(), users)
    if any(root.descriptor.digest not in lock.objects for root in index.roots):
        return  # told already; nothing can be computed from a lock of other images
    if isinstance(holding, Archive):
        yield from check_bytes(holding.tar, lock, index.roots, advice_for(holding, lock))
    elif holding.small_file("index.json") != index_file(index.roots, index.lock):
        yield _finding("index.json is not written as imgsync writes it")


def advice_for(holding: Holding, lock: Lock | None) -> str:
    """What heals damage of this store; empty if it is no bundle in a file, or its lock is lost."""
    if lock is None or not isinstance(holding, Archive):
        return ""
    return advice_to_heal(Path(holding.side))


def advice_without(holding: Holding) -> str:
    """What to do where the lock is lost; empty if this is no file."""
    return advice_without_lock(Path(holding.side)) if isinstance(holding, Archive) else ""


def check_readable(holding: Holding) -> Iterator[Finding]:
    """That a bundle is a tar which everybody can read."""
    if isinstance(holding, ArchiveByLock):
        problem = holding.cause.message.removeprefix(f"{holding.side}").removeprefix(": ").strip()
        yield Finding(Level.ERROR, "archive", problem, advice=advice_to_heal(Path(holding.side)))


def check_unneeded(holding: ImageLayout, graph: Graph) -> Iterator[Finding]:
    """Blobs that no image needs: a note, unless one is a lock that ``index.json`` lost sight of."""
    index, held = holding.index(), holding.sizes()
    unneeded = sorted(held.keys() - graph.descriptors.keys() - {index.lock})
    for digest in unneeded if not index.is_ours else ():
        descriptor = Descriptor("", digest, held[digest])
        if holding.open(descriptor).read(len(LOCK_BEGINS)) == LOCK_BEGINS:
            problem = "is the lock of a bundle, and index.json does not name it"
            is_file = isinstance(holding, Archive)
            advice = advice_to_heal(Path(holding.side)) if is_file else CHANGED
            yield Finding(Level.ERROR, "lock", problem, digest, advice=advice)
    if unneeded:
        n_bytes = sum(held[digest] for digest in unneeded)
        problem = f"holds {len(unneeded)} blobs that no image needs ({n_bytes} bytes)"
        yield Finding(Level.NOTE, "archive", problem)


def check_lock(
    lock: Lock, index: LayoutIndex, graph: Graph, held: Mapping[Digest, int], users: Users
) -> Iterator[Finding]:
    """What the file holds and what it declares absent are exactly what the manifests need."""
    if lock.descriptor().digest != index.lock:
        yield _finding("the lock is not written as imgsync writes it", "lock")
    try:
        if _roots(index.roots) != _roots(named_roots(lock)):
            yield _finding("index.json and the lock have different images", "lock")
    except InvalidInput as error:
        yield _finding(error.message, "lock")
    needed = {item.digest: item for item in graph.closure(root.descriptor for root in lock.roots)}
    for digest, item in needed.items():
        known = lock.objects.get(digest)
        if known is None:
            yield users.finding(digest, "is needed and the lock does not know it", advice=CHANGED)
        elif known.size != item.size:
            problem = f"has {item.size} bytes, the lock says {known.size}"
            yield users.finding(digest, problem, advice=CHANGED)
        if digest in graph.documents:
            children = tuple(child.digest for child in graph.children(digest))
            if known is not None and known.children != children:
                yield users.finding(digest, "has other children than the lock says", advice=CHANGED)
    for digest in lock.absent:
        if digest in held:
            yield users.finding(digest, "is declared absent and is there", advice=CHANGED)
    for digest in lock.objects.keys() - needed.keys() - _below_unread(lock, graph):
        yield users.finding(digest, "is in the lock and no manifest needs it", advice=CHANGED)


def check_bytes(tar: TarFile, lock: Lock, roots: Sequence[Root], advice: str) -> Iterator[Finding]:
    """Headers, padding, the small files and the end, computed again and compared.

    Names are taken from ``index.json``: they may have been changed since the bundle was made, and
    everything else that follows from them must have been changed with them.
    """
    for problem in _wrong_bytes(tar, tar_layout(lock, roots)):
        yield Finding(Level.ERROR, "archive", problem, advice=advice)


def _wrong_bytes(tar: TarFile, layout: TarLayout) -> Iterator[str]:
    if tar.file.size != layout.size:
        yield f"the file has {tar.file.size} bytes, {layout.size} expected"
    position, before, pending = 0, b"", "the beginning"
    for member in layout.members:
        entry = tar.index.entries.get(member.name)
        if entry is None or entry.data_offset != member.data_offset:
            where = "is not there" if entry is None else f"is at byte {entry.data_offset}"
            yield f"{member.name} {where}, expected at byte {member.data_offset}"
            return
        if position >= tar.file.size:
            return  # told by the size, and of each blob by its hash
        expected = before + member.header
        found = tar.file.read_at(position, len(expected))
        yield from _compare(expected, found, position, f"{pending} or the header of {member.name}")
        if member.data is not None and member.descriptor is None:
            data = tar.file.read_at(member.data_offset, member.size)
            yield from _compare(member.data, data, member.data_offset, member.name)
        position = member.data_offset + member.size
        before = bytes(padding(member.size))
        pending = f"the padding of {member.name}"
    expected = before + END_OF_ARCHIVE
    found = tar.file.read_at(position, len(expected))
    yield from _compare(expected, found, position, f"{pending} or the end")
    extra = tar.index.entries.keys() - {member.name for member in layout.members}
    for name in sorted(extra):
        yield f"{name} is no member of this bundle"


def _compare(expected: bytes, found: bytes, offset: int, what: str) -> Iterator[str]:
    if expected == found:
        return
    if len(found) < len(expected):
        yield f"{what}: the file ends at byte {offset + len(found)}"
        return
    at = next(n for n, (one, two) in enumerate(zip(expected, found, strict=True)) if one != two)
    yield f"{what}: byte {offset + at} is {found[at]:#04x}, {expected[at]:#04x} expected"


def _roots(roots: Sequence[Root]) -> set[tuple[bool, Digest, Digest | None]]:
    return {(root.name is None, root.descriptor.digest, root.subject) for root in roots}


def _below_unread(lock: Lock, graph: Graph) -> set[Digest]:
    """What only the lock knows to be needed: below documents that are absent or damaged."""
    below: set[Digest] = set()
    stack = [digest for digest in lock.objects if digest not in graph.documents]
    while stack:
        children = lock.objects[stack.pop()].children or ()
        new = [child for child in children if child not in below and child in lock.objects]
        below.update(new)
        stack.extend(new)
    return below


def _finding(problem: str, kind: str = "archive") -> Finding:
    return Finding(Level.ERROR, kind, problem, advice=CHANGED)
