"""Finding: one thing that is wrong with content, told so that a user knows what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from imgsync.model.media_types import IMAGE_CONFIGS, Kind
from imgsync.walk import Graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imgsync.errors import ImgsyncError
    from imgsync.model.bundle import Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest


class Level(StrEnum):
    """How bad it is; only an error makes verification fail."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one object, or with the archive as a whole.

    Attributes:
        level: how bad it is.
        kind: index, manifest, config, layer, blob, lock, archive or image.
        problem: what is wrong, with what was expected and what was found.
        digest: the object, or None where it is about no single one.
        images: the labels of the images that need it.
        platforms: of those images, which need it.
        advice: one thing to do.
    """

    level: Level
    kind: str
    problem: str
    digest: Digest | None = None
    images: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        """One line: images, platforms, object, problem."""
        images = ", ".join(self.images[:3])
        if len(self.images) > 3:
            images += f" and {len(self.images) - 3} more"
        where = " ".join(part for part in (images, ", ".join(self.platforms)) if part)
        what = self.kind if self.digest is None else f"{self.kind} {self.digest.short}"
        return ": ".join(part for part in (where, what, self.problem) if part)

    def to_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        return {
            "level": str(self.level),
            "images": list(self.images),
            "platforms": list(self.platforms),
            "kind": self.kind,
            "digest": str(self.digest) if self.digest is not None else None,
            "problem": self.problem,
            "advice": self.advice,
        }


class Users:
    """Which images need an object, for which platforms, and as what. Built when first asked."""

    def __init__(self, graph: Graph, roots: Sequence[Root], advice: str = "") -> None:
        """Look up in this walk of these roots.

        Args:
            graph: the walk.
            roots: those of the images.
            advice: what to do about whatever is wrong, where one thing heals all.
        """
        self.advice = advice
        self._graph = graph
        self._roots = roots
        self._images: dict[Digest, list[str]] | None = None
        self._platforms: dict[Digest, dict[str, None]] = {}
        self._kinds: dict[Digest, str] = {}

    def finding(
        self, digest: Digest, problem: str, *, advice: str = "", level: Level = Level.ERROR
    ) -> Finding:
        """A finding about one object, with everybody who needs it."""
        images = self._index().get(digest, [])
        return Finding(
            level,
            self._kinds.get(digest, "blob"),
            problem,
            digest,
            tuple(images),
            tuple(self._platforms.get(digest, ())),
            advice or self.advice or _advice(is_needed=bool(images)),
        )

    def of_error(self, descriptor: Descriptor, error: ImgsyncError, side: str) -> Finding:
        """A finding of an error that names the object and the side; both are told elsewhere."""
        problem = error.message.removeprefix(f"{side}: ").removeprefix(f"{descriptor.short} ")
        return self.finding(descriptor.digest, problem, advice=error.hint)

    def _index(self) -> dict[Digest, list[str]]:
        if self._images is None:
            self._images = {}
            for root in self._roots:
                for item in self._graph.closure([root.descriptor]):
                    self._images.setdefault(item.digest, []).append(root.label)
                self._look_at(root.descriptor)
        return self._images

    def _look_at(self, root: Descriptor) -> None:
        for descriptor in self._graph.closure([root]):
            if descriptor.kind is not Kind.BLOB:
                self._kinds.setdefault(descriptor.digest, str(descriptor.kind))
            if descriptor.platform is not None and not descriptor.platform.is_unknown:
                self._platforms.setdefault(descriptor.digest, {})[str(descriptor.platform)] = None
        for descriptor, manifest in self._graph.manifests(root):
            config = "config" if manifest.config.media_type in IMAGE_CONFIGS else "blob"
            self._kinds.setdefault(manifest.config.digest, config)
            for layer in manifest.layers:
                self._kinds.setdefault(layer.digest, "layer")
            platform = descriptor.platform
            if platform is not None and not platform.is_unknown:
                for child in manifest.children:
                    self._platforms.setdefault(child.digest, {})[str(platform)] = None


def errors_in(findings: Iterable[Finding]) -> int:
    """How many findings are errors."""
    return sum(1 for finding in findings if finding.level is Level.ERROR)


def _advice(*, is_needed: bool) -> str:
    return "get it again from where it came" if is_needed else "no image needs it"
