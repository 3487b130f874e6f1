"""What an import has to do: for each root what is there, what comes, and what stays away. Pure.

The proof that comes before the first write: of every object of every image it is known whether
the namespace has it, the source gives it, or nobody does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.completeness import Completeness, PlatformState, completeness
from imgsync.errors import ImgsyncError
from imgsync.model.bundle import AbsentReason
from imgsync.model.media_types import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.walk import Graph


@dataclass(slots=True, eq=False)
class Wanted:
    """One image under all the names that it gets.

    Attributes:
        root: the index or manifest.
        names: the records to make, ``registry/repository:tag``.
        twins: the records ``registry/repository@digest`` to make, by which digest-pinned pods
            find it.
        closure: all that it is made of, children first, as far as it is known.
        missing: what of it the namespace lacks.
        lacking: what of it neither the namespace nor the source has.
        waiting_for: what of that other volumes bring; without it the image gets no name.
        relied_on: what of that a delta said the namespace has.
        damaged: what the source has in another size, with that size.
        state: which platforms are whole when everything came that can come, other volumes too.
        anchor: the record that keeps its content until it has a name, where there is one.
        replaces: whether one of the names means something else in the namespace.
        only: the one platform that is loaded, where that must be said; else empty.
        error: why it is not loaded.
    """

    root: Descriptor
    names: tuple[str, ...]
    twins: tuple[str, ...]
    closure: tuple[Descriptor, ...]
    missing: frozenset[Digest]
    lacking: frozenset[Digest]
    damaged: Mapping[Digest, int]
    state: Completeness
    waiting_for: tuple[Descriptor, ...] = ()
    relied_on: tuple[Descriptor, ...] = ()
    anchor: tuple[str, Descriptor] | None = None
    replaces: bool = False
    only: str = ""
    error: ImgsyncError | None = None

    @property
    def label(self) -> str:
        """How messages call it."""
        return (*self.names, *self.twins)[0]

    @property
    def carried(self) -> tuple[Descriptor, ...]:
        """What has to move, children first."""
        coming = self.missing - self.lacking
        return tuple(item for item in self.closure if item.digest in coming)

    @property
    def carried_bytes(self) -> int:
        """How much that is."""
        return sum(item.size for item in self.carried)

    @property
    def waits(self) -> bool:
        """Whether other volumes must come before it may have a name."""
        return bool(self.waiting_for)

    @property
    def has_blobs(self) -> bool:
        """Whether more of it is there, or comes now, than the documents that every volume has."""
        return any(not x.is_document and x.digest not in self.lacking for x in self.closure)

    @property
    def held(self) -> tuple[Descriptor, ...]:
        """All that an anchor keeps: what is there, comes now, or comes with other volumes."""
        never = self.lacking.difference(item.digest for item in self.waiting_for)
        return tuple(item for item in self.closure if item.digest not in never)

    @property
    def can_be_fetched(self) -> bool:
        """Whether containerd fetches all of it, and from us.

        It refuses empty content, and goes to the ``urls`` of a descriptor first, out into the
        network (Windows base layers).
        """
        return not any(item.size == 0 or item.urls for item in self.carried)

    @property
    def unusual(self) -> Descriptor | None:
        """Something to carry whose digest is not sha256: a fetch of containerd 2.3 takes it.

        Nothing older does, and no import: it keeps content under the sha256 of its bytes.
        """
        return next((item for item in self.carried if item.digest.algorithm != "sha256"), None)

    @property
    def has_all_documents(self) -> bool:
        """Whether every index and manifest is there, or comes."""
        return not any(item.is_document and item.digest in self.lacking for item in self.closure)

    @property
    def platforms_to_fetch(self) -> tuple[str, ...] | None:
        """The platforms to say, so that a fetch takes just what is whole; None if there are none.

        containerd takes every manifest that one of them matches (os, architecture, variant), and
        every one that says no platform. So none of those may lack anything.
        """
        groups = _groups(self.state)
        if self.state.absent_indexes or not _is_whole(groups.pop("", ())):
            return None
        return tuple(sorted(key for key, states in groups.items() if _is_whole(states))) or None

    def update(self, now: Wanted) -> None:
        """Take over what was found by looking again."""
        self.missing, self.lacking, self.state = now.missing, now.lacking, now.state
        self.waiting_for, self.relied_on = now.waiting_for, now.relied_on
        self.error = now.error

    def narrow(self, graph: Graph, required: Platform, *, by_stream: bool) -> None:
        """Carry no more than can be held, where a manifest is nowhere.

        A fetch takes the platforms that are said, an import one of them; what belongs to no
        platform (an attestation) is not held by either, and would go with the next garbage
        collection.
        """
        own = self.state.for_host(required)
        if self.has_all_documents or own is None or self.waits:
            return
        keys = self.platforms_to_fetch
        if by_stream or keys is None:
            kept_states = [own]
            self.only = _key(own.manifest.platform or own.platform)
        else:
            kept_states = [
                state for state in self.state.states if _key(state.manifest.platform) in ("", *keys)
            ]
        kept = {item.digest for item in self.closure if item.kind is Kind.INDEX}
        for state in kept_states:
            kept.add(state.manifest.digest)
            kept.update(item.digest for item in graph.children(state.manifest.digest))
        self.lacking |= {item.digest for item in self.closure if item.digest not in kept}


def make_wanted(
    roots: Iterable[Root],
    graph: Graph,
    *,
    present: Collection[Digest],
    available: Mapping[Digest, int] | None,
    absent: Mapping[Digest, AbsentReason],
    platforms: Mapping[Digest, Platform],
) -> list[Wanted]:
    """Look at every root that has a name; roots of the same digest are one image.

    Args:
        roots: with their final names.
        graph: everything below them.
        present: what the namespace has.
        available: what the source has, with sizes in bytes; None if it cannot say, and then
            everything is taken to be there.
        absent: what the source declares to be left out, and why.
        platforms: of manifests whose index does not say it.
    """
    by_digest: dict[Digest, list[Root]] = {}
    for root in roots:
        if root.name is not None:
            by_digest.setdefault(root.descriptor.digest, []).append(root)

    def is_available(item: Descriptor) -> bool:
        if item.digest in absent or item.digest in graph.problems:
            return False
        if item.digest in graph.documents:
            return True
        return available is None or available.get(item.digest) == item.size

    found = []
    for same in by_digest.values():
        descriptor = same[0].descriptor
        closure = tuple(graph.closure([descriptor]))
        missing = frozenset(item.digest for item in closure if item.digest not in present)
        lacking = frozenset(
            item.digest for item in closure if item.digest in missing and not is_available(item)
        )
        damaged = {
            digest: size
            for digest, size in (available or {}).items()
            if digest in lacking and digest not in absent and digest not in graph.problems
        }
        why = {
            reason: tuple(
                item
                for item in closure
                if item.digest in lacking and absent.get(item.digest) is reason
            )
            for reason in AbsentReason
        }
        waiting_for = why[AbsentReason.VOLUME]
        never = lacking.difference(item.digest for item in waiting_for)
        state = completeness(
            graph,
            descriptor,
            lambda item, never=never: item.digest not in never,  # type: ignore[misc] # bound now
            platforms=platforms,
        )
        if waiting_for and not any(
            item.digest not in lacking for item in closure if not item.is_document
        ):
            # Nothing of it but documents, which every volume has.
            lacking = missing
        names, twins = names_of(same)
        found.append(
            Wanted(
                descriptor,
                names,
                twins,
                closure,
                missing,
                lacking,
                damaged,
                state,
                waiting_for,
                why[AbsentReason.RECEIVER],
            )
        )
    return found


def names_of(roots: Sequence[Root]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The records of roots that are one image: by tag, and by digest."""
    names = dict.fromkeys(
        str(root.name.with_tag(root.name.tag)) for root in roots if root.name and root.name.tag
    )
    twins = dict.fromkeys(
        str(root.name.at(root.descriptor.digest)) for root in roots if root.name is not None
    )
    return tuple(names), tuple(twins)


def _key(platform: Platform | None) -> str:
    """As ``--platform`` takes it; containerd compares nothing else (platforms.Any, 1.6)."""
    if platform is None:
        return ""
    variant = platform.variant
    if (platform.architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
        variant = ""
    parts = [platform.os, platform.architecture] + ([variant] if variant else [])
    return "/".join(parts)


def _groups(state: Completeness) -> dict[str, list[PlatformState]]:
    """All manifests by what containerd tells them apart by."""
    groups: dict[str, list[PlatformState]] = {}
    for item in state.states:
        groups.setdefault(_key(item.manifest.platform), []).append(item)
    return groups


def _is_whole(states: Iterable[PlatformState]) -> bool:
    return all(state.is_whole for state in states)
