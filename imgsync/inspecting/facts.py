"""Facts about what a store holds, as frozen values that know their JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsync.completeness import Completeness
    from imgsync.inspecting.docker import DockerSight
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """One manifest of an image.

    Attributes:
        platform: what it is for, or what it is (``attestation …``).
        size: bytes of the manifest, its config and its layers.
        is_whole: whether all of that is there.
        created, labels: as its config says, where it is an image whose config is there.
    """

    platform: str
    descriptor: Descriptor
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    size: int
    is_whole: bool
    created: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        return {
            "platform": self.platform,
            "digest": str(self.descriptor.digest),
            "mediaType": self.descriptor.media_type,
            "config": self.config.to_json() if self.config is not None else None,
            "layers": [layer.to_json() for layer in self.layers],
            "size": self.size,
            "whole": self.is_whole,
            "created": self.created or None,
            "labels": self.labels,
        }


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One name, or one extra root.

    Attributes:
        platforms: those that are whole.
        incomplete: those of which something is not there.
        n_layers: different layers of all platforms that are whole.
        size: bytes of everything that it needs and that is there.
        shared_size: bytes of that which another image here needs too.
        docker: what docker gets of it by ``docker load``, and if nothing, why.
        about: the digest that it is about, if it is a signature, an SBOM or the like.
        kind: which of these it is.
    """

    root: Root
    completeness: Completeness
    manifests: tuple[ManifestFacts, ...]
    platforms: tuple[str, ...]
    incomplete: tuple[str, ...]
    n_layers: int
    size: int
    shared_size: int
    docker: DockerSight
    about: Digest | None = None
    kind: str = ""

    def to_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        root = self.root
        return {
            "name": str(root.name) if root.name is not None else None,
            "extra": root.extra or None,
            "subject": str(self.about) if self.about is not None else None,
            "kind": self.kind or None,
            "origin": root.origin or None,
            "digest": str(root.descriptor.digest),
            "mediaType": root.descriptor.media_type,
            "platforms": list(self.platforms),
            "incomplete": list(self.incomplete),
            "layers": self.n_layers,
            "size": self.size,
            "sharedSize": self.shared_size,
            "docker": {"sees": self.docker.sees or None, "why": self.docker.why or None},
            "manifests": [item.to_json() for item in self.manifests],
        }


@dataclass(frozen=True, slots=True)
class Facts:
    """What a store holds.

    Attributes:
        form: which kind of store it is, in words.
        n_objects, n_bytes: what is there, each object once.
        absent: how many objects are declared absent, by reason.
    """

    side: str
    form: str
    images: tuple[ImageFacts, ...]
    n_objects: int
    n_bytes: int
    absent: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        return {
            "target": self.side,
            "form": self.form,
            "objects": self.n_objects,
            "bytes": self.n_bytes,
            "absent": self.absent,
            "images": [image.to_json() for image in self.images],
        }
