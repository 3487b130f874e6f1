"""What a report tells, as frozen values that know their JSON (``docs/report.md``)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from imgsync.reporting.evidence import Evidence, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgsync.model.bundle import AbsentReason, Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform

FORMAT: Final = "imgsync.report/1"
TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
SOURCE: Final = "org.opencontainers.image.source"
REVISION: Final = "org.opencontainers.image.revision"
LICENCES: Final = "org.opencontainers.image.licenses"
VENDOR: Final = "org.opencontainers.image.vendor"
BASE: Final = "org.opencontainers.image.base.name"
_OTHER_KEYS: Final = {
    SOURCE: ("org.opencontainers.image.url", "org.label-schema.vcs-url", "org.label-schema.url"),
    LICENCES: ("org.label-schema.license", "license"),
    VERSION: ("org.label-schema.version", "version"),
    VENDOR: ("org.label-schema.vendor", "vendor", "maintainer"),
}
"""What images wrote before there were the names of the image-spec, or still do."""


@dataclass(frozen=True, slots=True)
class Absence:
    """Some content that is not there.

    Attributes:
        reason: why, as it is declared; None where nothing declares it.
    """

    reason: AbsentReason | None
    n_objects: int
    n_bytes: int

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        reason = str(self.reason) if self.reason is not None else None
        return {"reason": reason, "objects": self.n_objects, "bytes": self.n_bytes}


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """One manifest of an image that a runtime could run.

    Attributes:
        name: ``os/architecture[/variant][:os.version]``; ``any`` where nothing says it.
        column: the same without what goes without saying: the version of an os, of which Windows
            has many for one image, and the variants ``arm64/v8`` and ``amd64/v1``.
        layers: lowest first, and empty where the manifest is not there.
        size: bytes of manifest, config and layers, whether or not they are there.
        labels: of the config, and of the manifest's annotations.
        absences: what of it is not there, by reason.
    """

    name: str
    column: str
    manifest: Descriptor
    layers: tuple[Descriptor, ...]
    size: int
    created: str
    labels: Mapping[str, str]
    absences: tuple[Absence, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all of it is there."""
        return not self.absences

    @property
    def is_declared(self) -> bool:
        """Whether everything that is not there is declared to be left out."""
        return all(absence.reason is not None for absence in self.absences)

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "platform": self.name,
            "digest": str(self.manifest.digest),
            "whole": self.is_whole,
            "size": self.size,
            "created": self.created or None,
            "labels": dict(self.labels),
            "layers": [{"digest": str(layer.digest), "size": layer.size} for layer in self.layers],
            "absent": [absence.to_json() for absence in self.absences],
        }


@dataclass(frozen=True, slots=True)
class ImageReport:
    """One image.

    Attributes:
        size: bytes of everything that it needs and that is there.
        own_size: of that, what no other image here needs.
        evidence: signatures, SBOMs and the like about it, or about a part of it.
        absences: what of it is not there, by reason, other platforms included.
    """

    root: Root
    platforms: tuple[PlatformFacts, ...]
    size: int
    own_size: int
    evidence: tuple[Evidence, ...] = ()
    absences: tuple[Absence, ...] = ()

    @property
    def name(self) -> str:
        """As it is called."""
        return self.root.label

    @property
    def created(self) -> str:
        """The newest of its platforms', as the configs say; an empty text if none does."""
        return max((item.created for item in self.platforms), default="")

    @property
    def labels(self) -> Mapping[str, str]:
        """Those of its first platform that has any."""
        return next((item.labels for item in self.platforms if item.labels), {})

    @property
    def is_declared(self) -> bool:
        """Whether everything that is not there is declared to be left out."""
        return all(absence.reason is not None for absence in self.absences)

    def label(self, key: str) -> str:
        """A label by its name in the image-spec, or by an older one."""
        labels = self.labels
        return next(
            (labels[name] for name in (key, *_OTHER_KEYS.get(key, ())) if labels.get(name)), ""
        )

    @property
    def is_signed(self) -> bool:
        """Whether there is a signature of its root, or of each of its platforms; not if it is good.

        A signature of its SBOM is none of the image.
        """
        signed = {item.about for item in self._direct(Kind.SIGNATURE)}
        parts = {item.manifest.digest for item in self.platforms}
        return self.root.descriptor.digest in signed or (bool(parts) and parts <= signed)

    def has(self, kind: Kind) -> bool:
        """Whether there is whole evidence of this kind about it or a part of it."""
        return any(True for _ in self._direct(kind))

    def _direct(self, kind: Kind) -> Iterator[Evidence]:
        indirect = {item.descriptor.digest for item in self.evidence}
        for item in self.evidence:
            if item.kind is kind and item.is_whole and item.about not in indirect:
                yield item

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "origin": self.root.origin or None,
            "digest": str(self.root.descriptor.digest),
            "mediaType": self.root.descriptor.media_type,
            "size": self.size,
            "ownSize": self.own_size,
            "created": self.created or None,
            "source": self.label(SOURCE) or None,
            "licences": self.label(LICENCES) or None,
            "version": self.label(VERSION) or None,
            "signed": self.is_signed,
            "evidence": [str(item.descriptor.digest) for item in self.evidence],
            "absent": [absence.to_json() for absence in self.absences],
            "platforms": [item.to_json() for item in self.platforms],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a report tells.

    Attributes:
        title: what it is about, as people call it.
        form: which kind of store it is, in words.
        lock: the digest of the lock, of a bundle.
        file_size: bytes of the file, where it is one.
        n_objects, n_bytes: what is there, each object once.
        others: content that no runtime runs; the evidence about images is among it.
        failed: names that were asked for and left out when the bundle was made.
        files: of several that make it up together, such as volumes, their names.
    """

    title: str
    form: str
    images: tuple[ImageReport, ...]
    n_objects: int
    n_bytes: int
    others: tuple[Evidence, ...] = ()
    lock: Digest | None = None
    file_size: int | None = None
    failed: tuple[str, ...] = ()
    sizes: Mapping[Digest, int] = field(default_factory=dict, repr=False)
    files: tuple[str, ...] = ()

    @property
    def platforms(self) -> tuple[str, ...]:
        """All platforms, without versions of an os: those that most images have come first."""
        counts = Counter(
            name for image in self.images for name in {item.column for item in image.platforms}
        )
        return tuple(sorted(counts, key=lambda name: (-counts[name], name)))

    @property
    def saved(self) -> int:
        """Bytes that sharing saves: each image for itself would take so much more."""
        return sum(image.size for image in self.images) - self.n_image_bytes

    @property
    def n_image_bytes(self) -> int:
        """Bytes of the images, each object once."""
        return sum(self.sizes.values())

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "format": FORMAT,
            "title": self.title,
            "form": self.form,
            "lock": str(self.lock) if self.lock is not None else None,
            "fileSize": self.file_size,
            "objects": self.n_objects,
            "bytes": self.n_bytes,
            "failed": list(self.failed),
            "images": [image.to_json() for image in self.images],
            "others": [_other_json(item) for item in self.others],
        }


def column_of(platform: Platform | None) -> str:
    """See `PlatformFacts.column`."""
    if platform is None:
        return "any"
    is_implied = (platform.architecture, platform.variant) in {("arm64", "v8"), ("amd64", "v1")}
    return str(replace(platform, os_version="", variant="" if is_implied else platform.variant))


def _other_json(item: Evidence) -> dict[str, Any]:
    return {
        "kind": str(item.kind),
        "form": item.form,
        "name": item.name or None,
        "about": str(item.about) if item.about is not None else None,
        "digest": str(item.descriptor.digest),
        "size": item.size,
        "whole": item.is_whole,
    }
