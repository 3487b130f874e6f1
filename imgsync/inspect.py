"""The facts about what a store holds: for a table, and in full for programs. Nothing is proved.

`imgsync.verify` proves; this only reads documents, and asks which content is there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from imgsync.completeness import Completeness, completeness
from imgsync.documents import reader_of
from imgsync.inspecting.docker import DockerEyes
from imgsync.inspecting.facts import Facts, ImageFacts, ManifestFacts
from imgsync.model.image_config import ImageConfig
from imgsync.model.manifest import Manifest
from imgsync.model.platform import PlatformChoice
from imgsync.platforms import left_out_of
from imgsync.presence import held_by, is_containerd
from imgsync.reporting.evidence import about_of, kind_of_document
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.docker_save import DockerArchive
from imgsync.stores.image_layout import ImageLayout
from imgsync.stores.joined import Joined
from imgsync.verifying.configs import Configs, image_manifests, platforms_of_configs, read_configs
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imgsync.completeness import PlatformState
    from imgsync.model.bundle import Bundle, Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.stores import Holding
    from imgsync.walk import Graph


ALL = PlatformChoice()


def inspect(holding: Holding, *, choice: PlatformChoice = ALL, jobs: int = 8) -> Facts:
    """Read what a store holds; of its images only what was chosen of their platforms.

    Raises:
        ContentError: its index is damaged.
        NotFound, NetworkError, …: it cannot be read.
    """
    bundle = holding.bundle()
    read = reader_of(holding, jobs=jobs)
    graph = walk([root.descriptor for root in bundle.roots], read, absent=bundle.absent)
    held = held_by(holding)

    def present(descriptor: Descriptor) -> bool:
        if descriptor.digest in bundle.absent or descriptor.digest in graph.problems:
            return False
        return held is None or descriptor.digest in held

    manifests = list(image_manifests(graph, bundle.roots))
    configs = read_configs([manifest for _, manifest in manifests], read, present)
    platforms = platforms_of_configs(manifests, configs)
    states = [
        completeness(graph, root.descriptor, present, platforms=platforms).of(choice)
        for root in bundle.roots
    ]
    closures = [_closure(graph, root.descriptor, choice, platforms) for root in bundle.roots]
    there = {item.digest: item.size for part in closures for item in part if present(item)}
    users = Counter(item.digest for part in closures for item in part)
    docker = DockerEyes(holding, graph, present, platforms)
    images = []
    for root, state, closure in zip(bundle.roots, states, closures, strict=True):
        mine = [item.digest for item in closure if item.digest in there]
        facts = tuple(_manifest_facts(state, graph, configs))
        images.append(
            ImageFacts(
                root,
                state,
                facts,
                _labels(state.whole),
                _labels(item for item in state.incomplete if item.is_image),
                len({layer.digest for item in facts if item.is_whole for layer in item.layers}),
                sum(there[digest] for digest in mine),
                sum(there[digest] for digest in mine if users[digest] > 1),
                docker.sight(root),
                *_about(root, graph),
            )
        )
    reasons = Counter(str(reason) for reason in bundle.absent.values())
    return Facts(
        holding.side,
        form_of(holding, bundle),
        tuple(images),
        len(there),
        sum(there.values()),
        dict(sorted(reasons.items())),
    )


def form_of(holding: Holding, bundle: Bundle) -> str:
    """Which kind of store it is, in words."""
    if isinstance(holding, DockerArchive):
        return "docker-save archive"
    if isinstance(holding, ImageLayout):
        what = "archive" if isinstance(holding, Archive) else "folder"
        if holding.index().is_ours:
            return f"imgsync bundle ({'partial, ' if bundle.absent else ''}{what})"
        return f"OCI layout ({what})"
    if isinstance(holding, Joined):
        kind = "volumes" if holding.lock() is not None else "sources"
        return f"{holding.n_parts} {kind} together"
    return "containerd namespace" if is_containerd(holding) else "images"


def _about(root: Root, graph: Graph) -> tuple[Digest | None, str]:
    """What a root is about, and as what; an image is about nothing."""
    document = graph.documents.get(root.descriptor.digest)
    about = root.subject or about_of(document, root.descriptor, root.tag)
    if about is None or document is None:
        return about, ""
    return about, str(kind_of_document(document, root.tag)[0])


def _closure(
    graph: Graph, root: Descriptor, choice: PlatformChoice, platforms: Mapping[Digest, Platform]
) -> list[Descriptor]:
    left_out = left_out_of(graph, root, choice, platforms)
    return [item for item in graph.closure([root]) if item.digest not in left_out]


def _labels(states: Iterable[PlatformState]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(state.label for state in states))


def _manifest_facts(state: Completeness, graph: Graph, configs: Configs) -> Iterable[ManifestFacts]:
    for item in state.states:
        document = graph.documents.get(item.manifest.digest)
        manifest = document if isinstance(document, Manifest) else None
        layers = manifest.layers if manifest is not None else ()
        parts = {
            part.digest: part.size for part in (manifest.children if manifest is not None else ())
        }
        config = configs.get(manifest.config.digest) if manifest is not None else None
        known = config if isinstance(config, ImageConfig) else None
        yield ManifestFacts(
            item.label,
            item.manifest,
            manifest.config if manifest is not None else None,
            layers,
            item.manifest.size + sum(parts.values()),
            item.is_whole,
            known.created if known is not None else "",
            dict(known.labels) if known is not None else {},
        )
