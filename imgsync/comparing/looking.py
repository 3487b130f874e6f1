"""From a lock, or from a store, to `Contents`.

What a bundle leaves to its receiver or to another volume is a part of its images all the same:
it is there when they are used. What was left out as a platform is not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.comparing.contents import Contents, ImageContents, PlatformContents
from imgsync.completeness import completeness
from imgsync.documents import reader_of
from imgsync.errors import MissingContent, NotFound
from imgsync.model.bundle import AbsentReason
from imgsync.model.manifest import Index, Manifest
from imgsync.model.mapping import Mapping as NameMapping
from imgsync.model.media_types import Kind
from imgsync.model.selection import Selection
from imgsync.platforms import platforms_of
from imgsync.presence import held_by
from imgsync.stores.image_layout import ImageLayout
from imgsync.stores.selected import Selected
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from imgsync.completeness import PlatformState
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.lock import Lock
    from imgsync.model.platform import Platform
    from imgsync.stores import Holding

_IMPLIED = {"arm64": "v8", "amd64": "v1"}


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, and under which names.

    Attributes:
        selection: which images, by their new names, and which platforms.
        mapping: gives the names.
    """

    selection: Selection = field(default_factory=Selection)
    mapping: NameMapping = field(default_factory=NameMapping)


def contents_of_lock(
    lock: Lock, label: str, view: View, roots: Iterable[Root] | None = None
) -> Contents:
    """What a bundle holds, from its lock alone; ``roots`` are those of a bundle with new names."""
    graph = Graph(descriptors={digest: lock.descriptor_of(digest) for digest in lock.objects})
    for digest, item in lock.objects.items():
        if item.children:
            children = tuple(map(lock.descriptor_of, item.children))
            graph.documents[digest] = _document(graph.descriptors[digest], children)
    platforms = {
        digest: item.platform for digest, item in lock.objects.items() if item.platform is not None
    }
    left_out = {key for key, why in lock.absent.items() if why is AbsentReason.PLATFORM}
    look = _Look(graph, platforms, view, lambda item: item.digest not in left_out)
    return look.contents(label, lock.roots if roots is None else roots)


def contents_of_holding(
    holding: Holding, label: str, view: View | None = None, *, jobs: int = 8
) -> Contents:
    """What a store holds. A bundle of imgsync is taken at the word of its lock.

    Raises:
        ImgsyncError: it cannot be read, or what it has is damaged; what it lacks is no error.
    """
    view = view or View()
    bundle = holding.bundle()
    inner = holding.inner if isinstance(holding, Selected) else holding
    lock = inner.lock() if isinstance(inner, ImageLayout) else None
    if lock is not None:
        # What a delta relies on is not in the file, and its lock knows what that is made of.
        return contents_of_lock(lock, label, view, bundle.roots)
    read = reader_of(holding, jobs=jobs)
    roots = [root.descriptor for root in bundle.roots]
    graph = walk(roots, read)
    held = held_by(holding)
    platforms = platforms_of(graph, roots, read)
    for problem in graph.problems.values():
        if not isinstance(problem, (MissingContent, NotFound)):
            raise problem

    def present(item: Descriptor) -> bool:
        return item.digest not in graph.problems and (held is None or item.digest in held)

    return _Look(graph, platforms, view, present).contents(label, bundle.roots)


@dataclass(frozen=True, slots=True)
class _Look:
    """What is known of some roots, however it became known."""

    graph: Graph
    platforms: Mapping[Digest, Platform]
    view: View
    present: Callable[[Descriptor], bool]

    def contents(self, label: str, roots: Iterable[Root]) -> Contents:
        """All that was chosen; nothing, where no image is."""
        moved = self.view.mapping.relocate(roots)
        try:
            chosen = self.view.selection.chosen(moved, self._documents_of, side=label)
        except NotFound:
            chosen = ()
        images = {name: self._image(root) for name, root in _named(chosen)}
        sizes = {
            digest: self.graph.descriptors[digest].size
            for image in images.values()
            for digest in image.objects
        }
        return Contents(label, images, sizes)

    def _image(self, root: Root) -> ImageContents:
        state = completeness(self.graph, root.descriptor, self.present, platforms=self.platforms)
        chosen = [item for item in state.states if self._is_chosen(item)]
        names = Counter(_platform_name(item) for item in chosen)
        whole: dict[str, PlatformContents] = {}
        for item in chosen:
            if not item.is_whole or not item.is_image:
                continue
            name = _platform_name(item)
            if names[name] > 1:
                name = f"{name} {item.manifest.digest.short}"
            document = self.graph.documents.get(item.manifest.digest)
            manifest = document if isinstance(document, Manifest) else None
            whole[name] = PlatformContents(
                item.manifest,
                manifest.config if manifest is not None else None,
                manifest.layers if manifest is not None else (),
            )
        return ImageContents(root.descriptor, whole, frozenset(self._objects(root, chosen)))

    def _documents_of(self, digest: Digest) -> Collection[Digest]:
        closure = self.graph.closure([self.graph.descriptors[digest]])
        return [item.digest for item in closure if item.is_document]

    def _is_chosen(self, state: PlatformState) -> bool:
        if state.platform is None or state.platform.is_unknown:
            return True
        return self.view.selection.choice.includes(state.platform)

    def _objects(self, root: Root, chosen: Sequence[PlatformState]) -> Iterator[Digest]:
        """With a choice of platforms, the content of those alone, without what is about others."""
        if self.view.selection.choice.is_all:
            items = list(self.graph.closure([root.descriptor]))
        else:
            manifests = [item.manifest for item in chosen if item.is_image]
            items = [root.descriptor, *self.graph.closure(manifests)]
        yield from (item.digest for item in items if self.present(item))


def _named(roots: Sequence[Root]) -> Iterator[tuple[str, Root]]:
    """Each root under a name of its own.

    A name by digest says nothing more where a tag of its repository means that digest; containerd
    has both of most images. What is no image that runs has its name beside it in a bundle, and
    elsewhere like any other: where it has a tag, that is its name.
    """
    extras = Counter(root.extra for root in roots if root.name is None)
    tagged = {
        (root.name.name, root.descriptor.digest)
        for root in roots
        if root.name is not None and root.name.tag
    }
    for root in roots:
        name, digest = root.name, root.descriptor.digest
        if name is None:
            label = root.extra
            is_tagged = ":" in label.rpartition("/")[2] and extras[label] == 1
            is_name = is_tagged or label.endswith(str(digest))
            yield label if is_name else f"{label}@{digest}".lstrip("@"), root
        elif name.tag or (name.name, digest) not in tagged:
            yield str(name), root


def _platform_name(state: PlatformState) -> str:
    """One spelling of each platform: ``linux/arm64`` is ``linux/arm64/v8``."""
    platform = state.platform
    if platform is None or platform.is_unknown:
        return "any"
    if _IMPLIED.get(platform.architecture) == platform.variant:
        platform = type(platform)(
            platform.os, platform.architecture, os_version=platform.os_version
        )
    return str(platform)


def _document(descriptor: Descriptor, children: tuple[Descriptor, ...]) -> Index | Manifest:
    """As much of a document as a lock knows; its bytes are not among that."""
    if descriptor.kind is Kind.INDEX:
        return Index(b"", descriptor.media_type, children, None, "", {})
    config, *layers = children
    return Manifest(b"", descriptor.media_type, config, tuple(layers), None, "", {})
