"""Bundles for tests: made from images in memory, with the pure functions that plan them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.documents import reader_of
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.lock import DOCKER_PLATFORM, Lock
from imgsync.model.platform import Platform, PlatformChoice
from imgsync.model.reference import Reference
from imgsync.model.tar_header import END_OF_ARCHIVE, padding
from imgsync.model.tar_layout import TarLayout, tar_layout
from imgsync.platforms import absent_of, platforms_of
from imgsync.stores.memory import Memory
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.images import Images


def memory_of(images: Images, names: Iterable[str] | None = None) -> Memory:
    """The images in a store; what has no name is an extra root."""
    memory = Memory()
    memory.blobs = {Digest.parse(digest): data for digest, data in images.blobs.items()}
    for name in images.names if names is None else names:
        root = Descriptor.from_json(images.names[name])
        reference = Reference.parse(name)
        origin = replace(reference, digest=root.digest)
        memory.roots.append(Root(reference, root, origin=str(origin)))
    if names is None:
        for entry, repositories in images.unnamed:
            root = Descriptor.from_json(entry)
            subject = images.json(str(root.digest)).get("subject")
            memory.roots.append(
                Root(
                    None,
                    root,
                    extra=f"{repositories[0] if repositories else 'unknown'}@{root.digest}",
                    subject=Digest.parse(subject["digest"]) if subject else None,
                )
            )
    return memory


def lock_of(
    memory: Memory, choice: str = "all", *, docker_platform: Platform = DOCKER_PLATFORM
) -> Lock:
    """The lock of a bundle of everything, with content of these platforms only."""
    read = reader_of(memory)
    roots = [root.descriptor for root in memory.roots]
    graph = walk(roots, read)
    platforms = platforms_of(graph, roots, read)
    wanted = PlatformChoice.parse([choice])
    left_out: set[Digest] = set()
    needed: set[Digest] = set()
    for root in roots:
        absent = absent_of(graph, root, wanted, platforms, skip_missing=True)
        left_out |= absent
        needed |= {item.digest for item in graph.closure([root])} - absent
    return Lock.make(
        Bundle(tuple(memory.roots), dict.fromkeys(left_out - needed, AbsentReason.PLATFORM)),
        graph,
        docker_platform=docker_platform,
        platforms=platforms,
    )


def bundle_bytes(memory: Memory, lock: Lock, layout: TarLayout | None = None) -> bytes:
    """The bundle's file."""
    layout = layout or tar_layout(lock)
    parts = []
    for member in layout.members:
        data = member.data
        if data is None:
            assert member.descriptor is not None
            data = memory.blobs[member.descriptor.digest]
        parts += [member.header, data, bytes(padding(len(data)))]
    return b"".join([*parts, END_OF_ARCHIVE])


def write_bundle(path: Path, images: Images, choice: str = "all") -> Path:
    """A bundle of these images."""
    memory = memory_of(images)
    path.write_bytes(bundle_bytes(memory, lock_of(memory, choice)))
    return path
