"""Which content of an image belongs to the platforms that were chosen. Pure.

An index keeps its bytes and digest, so all manifests travel, whatever was chosen; what is left
out is the configs and layers of the others. A child without a platform of its own gets the one of
its config; one that is no image at all (an artifact) is content of every platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import InvalidDigest, NotFound
from imgsync.model.digest import Digest
from imgsync.model.manifest import ATTESTATION_SUBJECT
from imgsync.model.platform import Platform, PlatformChoice
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.walk import Graph, Read

    ReadMany = Callable[[Sequence[Descriptor]], Iterable[Read]]

HINT = "choose one of those, or leave the image out"


def platforms_of(
    graph: Graph, roots: Iterable[Descriptor], read_many: ReadMany
) -> dict[Digest, Platform]:
    """The platform of each manifest below the roots: its index says it, else its config.

    Configs are read only where no index says it. One that cannot be read is a problem of the
    graph, like any document.
    """
    platforms: dict[Digest, Platform] = {}
    unsaid: dict[Digest, list[Digest]] = {}
    configs: dict[Digest, Descriptor] = {}
    for root in roots:
        for descriptor, manifest in graph.manifests(root):
            if descriptor.platform is not None and descriptor.platform.os:
                platforms.setdefault(descriptor.digest, descriptor.platform)
            elif manifest.is_image:
                unsaid.setdefault(manifest.config.digest, []).append(descriptor.digest)
                configs[manifest.config.digest] = manifest.config
    for config, answer in read_many(list(configs.values())) if configs else ():
        if not isinstance(answer, bytes):
            graph.problems[config.digest] = answer
            continue
        platform = Platform.from_json(parse_object(answer, f"config {config.digest.short}"))
        if platform.os:
            for digest in unsaid[config.digest]:
                platforms.setdefault(digest, platform)
    return platforms


def absent_of(
    graph: Graph,
    root: Descriptor,
    choice: PlatformChoice,
    platforms: Mapping[Digest, Platform],
    *,
    skip_missing: bool = False,
    hint: str = HINT,
) -> set[Digest]:
    """The configs and layers below ``root`` that the choice leaves out.

    ``hint`` is what to do where a platform that was named is lacking.

    Raises:
        NotFound: the image lacks a platform that was named (unless ``skip_missing``), or has
            none of those that were chosen; the message names what it has.
    """
    if choice.is_all:
        return set()
    images = [
        platforms[descriptor.digest]
        for descriptor, _ in graph.manifests(root)
        if descriptor.digest in platforms and not platforms[descriptor.digest].is_unknown
    ]
    if images:
        _check_choice(choice, images, skip_missing=skip_missing, hint=hint)
    return left_out_of(graph, root, choice, platforms)


def left_out_of(
    graph: Graph, root: Descriptor, choice: PlatformChoice, platforms: Mapping[Digest, Platform]
) -> set[Digest]:
    """The same of an image that need not have any of the platforms."""
    kept: set[Digest] = set()
    left_out: set[Digest] = set()
    for descriptor, manifest in graph.manifests(root):
        side = kept if is_kept(descriptor, choice, platforms) else left_out
        side.update(child.digest for child in manifest.children)
    return left_out - kept


def describe(platforms: Iterable[Platform]) -> str:
    """For messages: the platforms, sorted, each once."""
    return ", ".join(sorted({str(platform) for platform in platforms}))


def _check_choice(
    choice: PlatformChoice, images: Sequence[Platform], *, skip_missing: bool, hint: str
) -> None:
    lacking = [wish for wish in choice.wanted if not any(image.satisfies(wish) for image in images)]
    if lacking and not skip_missing:
        msg = f"has no {describe(lacking)}; it has {describe(images)}"
        raise NotFound(msg, hint=hint)
    if not any(choice.includes(image) for image in images):
        msg = f"has no platform of {choice}; it has {describe(images)}"
        raise NotFound(msg, hint=HINT)


def is_kept(
    descriptor: Descriptor,
    choice: PlatformChoice,
    platforms: Mapping[Digest, Platform | None],
) -> bool:
    """Whether a manifest's content is wanted; one that is of no platform belongs to all."""
    platform = platforms.get(descriptor.digest)
    if platform is None:
        return True
    if not platform.is_unknown:
        return choice.includes(platform)
    # An attestation goes where the manifest goes that it speaks about.
    try:
        subject = Digest.parse(descriptor.annotations.get(ATTESTATION_SUBJECT, ""))
    except InvalidDigest:
        return True
    about = platforms.get(subject)
    return about is None or choice.includes(about)
