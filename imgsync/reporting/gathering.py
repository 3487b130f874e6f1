"""From a store to what a report tells of it. Only documents and configs are read."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.completeness import Completeness, completeness
from imgsync.documents import reader_of
from imgsync.errors import MissingContent, NotFound
from imgsync.inspect import form_of
from imgsync.model.image_config import ImageConfig
from imgsync.presence import held_by
from imgsync.reporting.evidence import Evidence, Kind, about_of, kind_of_document
from imgsync.reporting.facts import Absence, ImageReport, PlatformFacts, Report, column_of
from imgsync.stores import Locked
from imgsync.stores.selected import Selected
from imgsync.verifying.configs import Configs, image_manifests, platforms_of_configs, read_configs
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from imgsync.completeness import PlatformState
    from imgsync.model.bundle import AbsentReason, Bundle, Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores import Holding


def report_of(
    holding: Holding,
    title: str,
    *,
    file_size: int | None = None,
    files: tuple[str, ...] = (),
    jobs: int = 8,
) -> Report:
    """What a store holds, as a report tells it; ``files`` are those of several together.

    Raises:
        ImgsyncError: it cannot be read, or a document is damaged; what it lacks is no error.
    """
    bundle = holding.bundle()
    roots = [root.descriptor for root in bundle.roots]
    read = reader_of(holding, jobs=jobs)
    graph = walk(roots, read, absent=bundle.absent)
    for problem in graph.problems.values():
        if not isinstance(problem, (MissingContent, NotFound)):
            raise problem
    seen = _Seen(bundle, graph, held_by(holding), {}, {})
    manifests = list(image_manifests(graph, bundle.roots))
    seen.configs = read_configs([item for _, item in manifests], read, seen.is_there)
    platforms = platforms_of_configs(manifests, seen.configs)
    for root in bundle.roots:
        seen.states[root.descriptor.digest] = completeness(
            graph, root.descriptor, seen.is_there, platforms=platforms
        )
    inner = holding.inner if isinstance(holding, Selected) else holding
    lock = inner.lock() if isinstance(inner, Locked) else None
    there = seen.sizes(roots)
    images = [root for root in bundle.roots if seen.is_image(root)]
    others = tuple(seen.others())
    return Report(
        title,
        form_of(inner, bundle),
        tuple(seen.images(images, others)),
        len(there),
        sum(there.values()),
        others,
        # Each of several volumes has its own, and there is no file with that of the set.
        lock.descriptor().digest if lock is not None and len(files) < 2 else None,
        file_size,
        lock.failed if lock is not None else (),
        seen.sizes(root.descriptor for root in images),
        files,
    )


@dataclass(slots=True)
class _Seen:
    """All that was read, and the questions that it answers."""

    bundle: Bundle
    graph: Graph
    held: Collection[Digest] | None
    configs: Configs
    states: dict[Digest, Completeness]

    def is_there(self, item: Descriptor) -> bool:
        """Whether content is in the store."""
        if item.digest in self.bundle.absent or item.digest in self.graph.problems:
            return False
        return self.held is None or item.digest in self.held

    def is_image(self, root: Root) -> bool:
        """Whether it can run, or could if it were whole."""
        states = self.states[root.descriptor.digest].states
        return any(item.is_image for item in states) or (not states and root.name is not None)

    def sizes(self, roots: Iterable[Descriptor]) -> Mapping[Digest, int]:
        """What of the roots is there, each object once."""
        closure = self.graph.closure(roots)
        return {item.digest: item.size for item in closure if self.is_there(item)}

    # Images.

    def images(self, roots: list[Root], others: tuple[Evidence, ...]) -> Iterator[ImageReport]:
        """Each image, with what speaks about it."""
        closures = [list(self.graph.closure([root.descriptor])) for root in roots]
        # Two names of one root are one user of its content.
        by_root = {
            root.descriptor.digest: closure for root, closure in zip(roots, closures, strict=True)
        }
        users = Counter(item.digest for closure in by_root.values() for item in closure)
        evidence = _by_subject(others)
        for root, closure in zip(roots, closures, strict=True):
            mine = [item for item in closure if self.is_there(item)]
            state = self.states[root.descriptor.digest]
            yield ImageReport(
                root,
                tuple(self._platform(item) for item in state.states if item.is_image),
                sum(item.size for item in mine),
                sum(item.size for item in mine if users[item.digest] == 1),
                tuple(_about(closure, evidence)),
                self._absences(item for item in closure if not self.is_there(item)),
            )

    def _platform(self, state: PlatformState) -> PlatformFacts:
        manifest = self.graph.documents.get(state.manifest.digest)
        parts = self.graph.children(state.manifest.digest)
        config = self.configs.get(parts[0].digest) if parts else None
        known = config if isinstance(config, ImageConfig) else None
        labels = {
            **(manifest.annotations if manifest is not None else {}),
            **(known.labels if known is not None else {}),
        }
        return PlatformFacts(
            str(state.platform) if state.platform is not None else "any",
            column_of(state.platform),
            state.manifest,
            parts[1:],
            sum(item.size for item in state.content),
            known.created if known is not None else "",
            labels,
            self._absences(state.absent),
        )

    def _absences(self, items: Iterable[Descriptor]) -> tuple[Absence, ...]:
        found: defaultdict[AbsentReason | None, dict[Digest, int]] = defaultdict(dict)
        for item in items:
            found[self.bundle.absent.get(item.digest)][item.digest] = item.size
        order = sorted(found, key=lambda reason: (reason is not None, str(reason)))
        return tuple(
            Absence(reason, len(found[reason]), sum(found[reason].values())) for reason in order
        )

    # Everything else.

    def others(self) -> Iterator[Evidence]:
        """Roots that are no images, and the parts of images that are none, each once."""
        seen: set[Digest] = set()
        for root in self.bundle.roots:
            is_image = self.is_image(root)
            for state in self.states[root.descriptor.digest].states:
                if state.is_image or state.manifest.digest in seen:
                    continue
                seen.add(state.manifest.digest)
                yield self._evidence(state, None if is_image else root)

    def _evidence(self, state: PlatformState, root: Root | None) -> Evidence:
        descriptor, document = state.manifest, self.graph.documents.get(state.manifest.digest)
        name = root.label if root is not None else ""
        tag = _tag_of(root)
        kind, form = Kind.ARTIFACT, descriptor.media_type
        if document is not None:
            kind, form = kind_of_document(document, tag)
        about = about_of(document, descriptor, tag)
        if about is None and root is not None:
            about = root.subject
        size = sum(item.size for item in state.content)
        return Evidence(kind, form, about, name, descriptor, size, state.is_whole)


def _tag_of(root: Root | None) -> str:
    return root.tag if root is not None else ""


def _by_subject(others: Iterable[Evidence]) -> Mapping[Digest, list[Evidence]]:
    found: defaultdict[Digest, list[Evidence]] = defaultdict(list)
    for item in others:
        if item.about is not None:
            found[item.about].append(item)
    return found


def _about(
    closure: Iterable[Descriptor], evidence: Mapping[Digest, list[Evidence]]
) -> Iterator[Evidence]:
    """What speaks about an image or a part of it, and about that: signatures of its SBOM."""
    digests = [item.digest for item in closure]
    seen: set[Digest] = set()
    while digests:
        for item in evidence.get(digests.pop(0), ()):
            if item.descriptor.digest not in seen:
                seen.add(item.descriptor.digest)
                yield item
                digests.append(item.descriptor.digest)
