"""What there is to say of the images of a namespace: verdicts and findings. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidReference
from imgsync.model.reference import Reference
from imgsync.stores.containerd.anchors import is_anchor
from imgsync.stores.containerd.images import PINNED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.completeness import Completeness, PlatformState
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.nodes.facts import NamespaceFacts

KUBERNETES: Final = "k8s.io"


class Kind(StrEnum):
    """What a finding is about; these words are in the JSON and do not change."""

    DAMAGED = "damaged"
    NOT_A_NAME = "not-a-name"
    NOT_NORMALISED = "not-normalised"
    OTHER_DIGEST = "other-digest"
    NO_TWIN = "no-digest-twin"
    NOT_PINNED = "not-pinned"
    NOT_SEEN = "not-seen-by-kubelet"
    GHOST = "ghost"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; ``subject`` is a name or a digest."""

    kind: Kind
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """One image under all its names.

    Attributes:
        state: which platforms are whole.
        own: the manifest that this node runs, if it has one.
        damaged: what of it is bad.
        findings: about it and its names.
    """

    root: Descriptor
    names: tuple[str, ...]
    state: Completeness
    own: PlatformState | None
    damaged: tuple[Digest, ...]
    findings: tuple[Finding, ...]

    @property
    def is_image(self) -> bool:
        """Whether any node could run it; charts and signatures are not."""
        return any(item.is_image for item in self.state.states) or bool(self.state.absent_indexes)

    @property
    def runs_here(self) -> bool:
        """Whether all is there that this node needs of it."""
        return self.own is not None and self.own.is_whole

    @property
    def is_whole(self) -> bool:
        """Whether everything is there: it can be pushed."""
        return self.state.is_whole

    @property
    def missing(self) -> tuple[Descriptor, ...]:
        """What of it is not there, or bad; not what a platform that was never brought needs."""
        lost = {item.digest: item for item in self.state.absent_indexes}
        for state in self.state.states:
            if not state.is_left_out or state is self.own:
                lost.update((item.digest, item) for item in state.absent)
        return tuple(lost.values())

    def passes(self, require: str) -> bool:
        """Whether it is what was required: ``runs`` or ``whole``."""
        if require == "whole" or not self.is_image:
            return self.is_whole
        return self.runs_here


def check_images(facts: NamespaceFacts) -> tuple[ImageCheck, ...]:
    """Every image of the namespace, those of the same content together, by name."""
    checks = []
    for digest, root in facts.roots.items():
        names = facts.names_of(digest)
        state = facts.state(digest)
        damaged = tuple(
            item.digest
            for item in facts.graph.closure([root])
            if item.digest in facts.damaged and item.digest in facts.present
        )
        findings = [Finding(Kind.DAMAGED, str(item), facts.damaged[item]) for item in damaged]
        for name in names:
            findings += _about_name(facts, name, digest)
        own = state.for_host(facts.node)
        checks.append(ImageCheck(root, names, state, own, damaged, tuple(findings)))
    return tuple(sorted(checks, key=lambda check: check.names))


def check_namespace(facts: NamespaceFacts) -> tuple[Finding, ...]:
    """What is to be said of the namespace beside its images."""
    waiting = [name for name in facts.records if is_anchor(name)]
    findings = [
        Finding(Kind.WAITING, name, "keeps content of an import that is not finished")
        for name in sorted(waiting)
    ]
    known = {str(_parsed(record.name) or record.name) for record in facts.images()}
    for image in facts.kubelet or ():
        findings += [
            Finding(Kind.GHOST, name, "the kubelet sees it, and containerd has no such name")
            for name in (*image.tags, *image.digests)
            if name not in known and not is_anchor(name)
        ]
    return tuple(findings)


def _about_name(facts: NamespaceFacts, name: str, digest: Digest) -> Iterator[Finding]:
    reference = _parsed(name)
    if reference is None:
        text = "this is no name of an image: the kubelet will not find it"
        yield Finding(Kind.NOT_A_NAME, name, text)
        return
    if str(reference) != name:
        text = f"kubelets ask for {reference}, which is another name to containerd"
        yield Finding(Kind.NOT_NORMALISED, name, text)
    if reference.digest is not None and reference.digest != digest:
        yield Finding(Kind.OTHER_DIGEST, name, f"it means {digest}")
    twin = str(reference.at(digest))
    if reference.digest is None and twin not in facts.records:
        text = "pods that ask by digest will not find it"
        yield Finding(Kind.NO_TWIN, name, text)
    if facts.namespace != KUBERNETES:
        return
    labels = facts.records[name].labels
    if not PINNED.items() <= labels.items():
        text = "the kubelet may remove it when the disk is full"
        yield Finding(Kind.NOT_PINNED, name, text)
    if facts.kubelet is not None and not _is_seen(facts, str(reference)):
        yield Finding(Kind.NOT_SEEN, name, "the kubelet does not see it")


def _is_seen(facts: NamespaceFacts, name: str) -> bool:
    return any(name in image.tags or name in image.digests for image in facts.kubelet or ())


def _parsed(name: str) -> Reference | None:
    try:
        return Reference.parse(name)
    except InvalidReference:
        return None
