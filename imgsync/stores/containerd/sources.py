"""Where content is from: the labels that a pull leaves on it, and an import does not.

``containerd.io/distribution.source.HOST`` names the repositories of a host that have the content.
``ctr images push`` mounts by it instead of sending, and Spegel offers nothing to other nodes that
lacks it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from imgsync.stores.containerd.namespace import JOBS, reference_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imgsync.model.digest import Digest
    from imgsync.stores.containerd.namespace import Containerd

_PREFIX: Final = "containerd.io/distribution.source."
_MAX_BYTES: Final = 4096
"""Of a label's key and value together; containerd refuses more (labels.Validate)."""


def source_label(registry: str) -> str:
    """The label of a registry: its host is said without the port, as containerd does."""
    if registry.startswith("["):
        return _PREFIX + registry[1:].partition("]")[0]
    return _PREFIX + registry.partition(":")[0]


def with_source(labels: Mapping[str, str], registry: str, repository: str) -> dict[str, str]:
    """What has to be set, so that content is known to be in this repository too; or nothing."""
    key = source_label(registry)
    known = {name for name in labels.get(key, "").split(",") if name}
    value = ",".join(sorted({*known, repository}))
    if repository in known or len(key) + len(value) > _MAX_BYTES:
        return {}
    return {key: value}


def missing_sources(
    images: Iterable[tuple[Iterable[str], Iterable[Digest]]],
    labels: Mapping[Digest, Mapping[str, str]],
) -> dict[Digest, dict[str, str]]:
    """The labels that content lacks, so that each is known to be in the repositories of its images.

    Args:
        images: the names of each, and all that it is made of.
        labels: those of all content that is there; of other content nothing is said.
    """
    missing: dict[Digest, dict[str, str]] = {}
    for names, digests in images:
        references = [found for name in names if (found := reference_of(name)) is not None]
        repositories = {(found.registry, found.repository) for found in references}
        for digest in set(digests) & labels.keys():
            for registry, repository in sorted(repositories):
                known = {**labels[digest], **missing.get(digest, {})}
                if new := with_source(known, registry, repository):
                    missing.setdefault(digest, {}).update(new)
    return missing


def label_sources(
    containerd: Containerd, images: Iterable[tuple[Iterable[str], Iterable[Digest]]]
) -> int:
    """Label what lacks it, a command for each object; how many there were.

    Raises:
        ContainerdError: ``ctr`` failed; some may lack labels still.
    """
    content = containerd.content
    missing = missing_sources(images, content.labels())
    with ThreadPoolExecutor(JOBS, "labels") as pool:
        list(pool.map(content.label, missing.keys(), missing.values()))
    return len(missing)
