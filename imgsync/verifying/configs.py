"""Config against layers: what a runtime would stumble over though every digest is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError
from imgsync.model.image_config import ImageConfig, parse_config
from imgsync.model.manifest import MAX_DOCUMENT_BYTES, Manifest
from imgsync.verifying.findings import Finding, Level, Users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.walk import Graph, Read

Configs = dict["Digest", "ImageConfig | ImgsyncError"]


def image_manifests(graph: Graph, roots: Iterable[Root]) -> Iterator[tuple[Descriptor, Manifest]]:
    """The manifests of images that a runtime could run, each once."""
    seen: set[Digest] = set()
    for root in roots:
        for descriptor, manifest in graph.manifests(root.descriptor):
            is_unknown = descriptor.platform is not None and descriptor.platform.is_unknown
            if manifest.is_image and not is_unknown and descriptor.digest not in seen:
                seen.add(descriptor.digest)
                yield descriptor, manifest


def read_configs(
    manifests: Iterable[Manifest],
    read_many: Callable[[Sequence[Descriptor]], Iterable[Read]],
    wanted: Callable[[Descriptor], bool],
) -> Configs:
    """The configs of images, parsed; for each that is not what it must be, the error.

    One that is larger than any registry's manifest is left to the hashing of blobs.
    """
    descriptors = {
        manifest.config.digest: manifest.config
        for manifest in manifests
        if manifest.config.size <= MAX_DOCUMENT_BYTES and wanted(manifest.config)
    }
    configs: Configs = {}
    for descriptor, answer in read_many(list(descriptors.values())) if descriptors else ():
        if isinstance(answer, ImgsyncError):
            configs[descriptor.digest] = answer
            continue
        try:
            configs[descriptor.digest] = parse_config(answer, f"config {descriptor.digest.short}")
        except ImgsyncError as error:
            configs[descriptor.digest] = error
    return configs


def platforms_of_configs(
    manifests: Iterable[tuple[Descriptor, Manifest]], configs: Configs
) -> dict[Digest, Platform]:
    """The platform of each manifest: its index says it, else its config."""
    platforms: dict[Digest, Platform] = {}
    for descriptor, manifest in manifests:
        config = configs.get(manifest.config.digest)
        if descriptor.platform is not None and descriptor.platform.os:
            platforms[descriptor.digest] = descriptor.platform
        elif isinstance(config, ImageConfig) and config.platform is not None:
            platforms[descriptor.digest] = config.platform
    return platforms


def check_configs(
    manifests: Iterable[tuple[Descriptor, Manifest]], configs: Configs, users: Users
) -> Iterator[Finding]:
    """What does not fit between config, layers and the platform that the index says."""
    for descriptor, manifest in manifests:
        config = configs.get(manifest.config.digest)
        if not isinstance(config, ImageConfig):
            continue
        n_layers = len(manifest.layers)
        digest = manifest.config.digest
        if len(config.diff_ids) != n_layers:
            problem = f"has {len(config.diff_ids)} diff_ids, its manifest has {n_layers} layers"
            yield users.finding(digest, problem, advice="no runtime unpacks it; build it again")
        elif config.n_layer_steps is not None and config.n_layer_steps > n_layers:
            problem = f"tells of {config.n_layer_steps} layers, its manifest has {n_layers}"
            yield users.finding(digest, problem, advice="build it again", level=Level.WARNING)
        said = descriptor.platform
        if said is not None and config.platform is not None and not _agree(said, config.platform):
            problem = f"is for {config.platform}, the index says {said}"
            advice = "a node that trusts the index fails at start"
            yield users.finding(digest, problem, advice=advice, level=Level.WARNING)


def check_diff_ids(
    manifests: Iterable[tuple[Descriptor, Manifest]],
    configs: Configs,
    found: Mapping[Digest, Digest | ImgsyncError],
    users: Users,
) -> Iterator[Finding]:
    """Layers whose decompressed bytes are not what the config says (``--deep``)."""
    told: set[tuple[Digest, Digest]] = set()
    for _, manifest in manifests:
        config = configs.get(manifest.config.digest)
        if not isinstance(config, ImageConfig):
            continue
        for layer, wanted in zip(manifest.layers, config.diff_ids, strict=False):
            inside = found.get(layer.digest)
            if inside is None or inside == wanted or (layer.digest, wanted) in told:
                continue
            told.add((layer.digest, wanted))
            if isinstance(inside, ImgsyncError):
                problem = inside.message.rpartition(f"{layer.short}")[2].lstrip(": ")
            else:
                problem = f"holds {inside} when decompressed, its config says {wanted}"
            yield users.finding(
                layer.digest, problem, advice="no runtime unpacks it; build the image again"
            )


def _agree(one: Platform, other: Platform) -> bool:
    same_variant = not one.variant or not other.variant or one.satisfies(other)
    return (one.os, one.architecture) == (other.os, other.architecture) and same_variant
