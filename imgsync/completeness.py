"""Which platforms of an image are whole, and what is absent of the others. Pure.

Import asks it which platforms may be loaded, verify what is missing without a declaration, and
the containerd side for its two verdicts: *runs here* and *whole*.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from imgsync.model.manifest import Index, Manifest
from imgsync.model.media_types import Kind
from imgsync.model.platform import Platform, PlatformChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.walk import Graph

_ARM_VARIANTS: Final = ("v8", "v7", "v6", "v5")
_AMD_VARIANTS: Final = ("v4", "v3", "v2", "v1")


@dataclass(frozen=True, slots=True)
class PlatformState:
    """One manifest of an image: all of its content is there, or some of it is not.

    Attributes:
        platform: what it is for, or None where nothing says it.
        manifest: its descriptor, as the innermost index has it.
        content: the manifest itself, its config and its layers, as far as they are known.
        absent: what of this is not there.
        is_left_out: whether nothing of its own is there but, at most, the manifest: it was not
            brought, as opposed to damaged on the way.
        is_image: whether a runtime could run it; False for attestations and artifacts, and where
            the manifest is absent and its platform unknown.
    """

    platform: Platform | None
    manifest: Descriptor
    content: tuple[Descriptor, ...]
    absent: tuple[Descriptor, ...]
    is_left_out: bool
    is_image: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing is absent."""
        return not self.absent

    @property
    def label(self) -> str:
        """How messages call it: the platform where there is one."""
        if self.platform is not None and not self.platform.is_unknown:
            return str(self.platform)
        kind = "attestation" if self.platform is not None else "manifest"
        return f"{kind} {self.manifest.digest.short}"


@dataclass(frozen=True, slots=True)
class Completeness:
    """All manifests of an image, in the order of its indexes.

    Attributes:
        absent_indexes: indexes that are not there, the root among them; what is below them is
            not known.
    """

    root: Descriptor
    states: tuple[PlatformState, ...]
    absent_indexes: tuple[Descriptor, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether everything is there: it can be pushed."""
        return not self.absent_indexes and all(state.is_whole for state in self.states)

    @property
    def whole(self) -> tuple[PlatformState, ...]:
        """The images that can run somewhere."""
        return tuple(state for state in self.states if state.is_image and state.is_whole)

    @property
    def incomplete(self) -> tuple[PlatformState, ...]:
        """Everything else of which something is absent."""
        return tuple(state for state in self.states if not state.is_whole)

    def of(self, choice: PlatformChoice) -> Completeness:
        """The same with the manifests that belong to the chosen platforms."""
        if choice.is_all:
            return self
        states = (
            state
            for state in self.states
            if state.platform is None
            or (not state.platform.is_unknown and choice.includes(state.platform))
        )
        return replace(self, states=tuple(states))

    def for_host(self, host: Platform) -> PlatformState | None:
        """The manifest that a node of this platform runs, whole or not; None if it has none.

        Preferred as containerd does (platforms.Only): the node's own variant, then older ones.
        """
        for wanted in _runs_on(host):
            for state in self.states:
                if (
                    state.is_image
                    and state.platform is not None
                    and state.platform.satisfies(wanted)
                ):
                    return state
        only = [state for state in self.states if state.is_image and state.platform is None]
        return only[0] if len(self.states) == len(only) == 1 else None


def completeness(
    graph: Graph,
    root: Descriptor,
    present: Callable[[Descriptor], bool],
    *,
    platforms: Mapping[Digest, Platform] | None = None,
) -> Completeness:
    """Look at everything below a root.

    Args:
        graph: the walk of the root; documents that could not be read are absent.
        root: the image.
        present: whether content is there, in its full size.
        platforms: of manifests whose index does not say it; see `imgsync.platforms.platforms_of`.
    """
    known = platforms or {}
    states: list[PlatformState] = []
    absent_indexes: list[Descriptor] = []
    below = list(_manifests_and_lost(graph, root))
    users = Counter(
        digest
        for descriptor in below
        for digest in {child.digest for child in graph.children(descriptor.digest)}
    )
    for descriptor in below:
        document = graph.documents.get(descriptor.digest)
        platform = known.get(descriptor.digest) or descriptor.platform
        is_unknown = platform is not None and platform.is_unknown
        if document is None and descriptor.kind is Kind.INDEX:
            absent_indexes.append(descriptor)
        elif not isinstance(document, Manifest):
            is_image = platform is not None and not is_unknown
            content: tuple[Descriptor, ...] = (descriptor,)
            states.append(PlatformState(platform, descriptor, content, content, True, is_image))
        else:
            content = (descriptor, *{item.digest: item for item in document.children}.values())
            absent = tuple(item for item in content if not present(item))
            own = [item for item in content[1:] if users[item.digest] == 1]
            is_left_out = bool(absent) and all(item in absent for item in own)
            is_image = document.is_image and not is_unknown
            states.append(
                PlatformState(platform, descriptor, content, absent, is_left_out, is_image)
            )
    return Completeness(root, tuple(states), tuple(absent_indexes))


def _manifests_and_lost(graph: Graph, root: Descriptor) -> Iterator[Descriptor]:
    """Manifests, and indexes that were not read, each once, in order."""
    seen: set[Digest] = set()
    stack = [root]
    while stack:
        descriptor = stack.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        document = graph.documents.get(descriptor.digest)
        if isinstance(document, Index):
            stack.extend(reversed(document.manifests))
        elif descriptor.is_document:
            yield descriptor


def _runs_on(host: Platform) -> Iterator[Platform]:
    """What a node of this platform can run, best first."""
    match host.architecture:
        case "arm64":
            yield Platform(host.os, "arm64", host.variant, host.os_version)
            yield from (Platform(host.os, "arm", variant) for variant in _ARM_VARIANTS)
        case "arm":
            own = host.variant or "v7"
            older = _ARM_VARIANTS[_ARM_VARIANTS.index(own) :] if own in _ARM_VARIANTS else (own,)
            yield from (Platform(host.os, "arm", variant) for variant in older)
        case "amd64":
            own = host.variant or "v1"
            older = _AMD_VARIANTS[_AMD_VARIANTS.index(own) :] if own in _AMD_VARIANTS else (own,)
            yield from (Platform(host.os, "amd64", item, host.os_version) for item in older)
            yield Platform(host.os, "386")
        case _:
            yield host
