"""What verification says in the end: about each image, and about the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgsync.verifying.findings import Finding, Level

if TYPE_CHECKING:
    from imgsync.completeness import Completeness
    from imgsync.model.bundle import Root
    from imgsync.model.platform import Platform


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """What was found about one image.

    Attributes:
        completeness: its platforms, of those that were asked for.
        errors: those that are about it.
        is_partial: whether something of it is declared absent.
    """

    root: Root
    completeness: Completeness
    errors: tuple[Finding, ...]
    is_partial: bool

    @property
    def is_ok(self) -> bool:
        """Whether all that should be there is there, and right."""
        return not self.errors

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms that are whole."""
        return tuple(dict.fromkeys(state.label for state in self.completeness.whole))

    def runs_on(self, host: Platform) -> bool:
        """Whether a node of this platform has all that it needs to run it, and all of it right.

        What is no image at all has nothing that could fail to run.
        """
        state = self.completeness.for_host(host)
        if state is None:
            return not self.completeness.absent_indexes and not any(
                state.is_image for state in self.completeness.states
            )
        wrong = {finding.digest for finding in self.errors}
        return state.is_whole and not any(item.digest in wrong for item in state.content)

    def to_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        return {
            "name": self.root.label,
            "digest": str(self.root.descriptor.digest),
            "ok": self.is_ok,
            "partial": self.is_partial,
            "platforms": list(self.platforms),
            "incomplete": [state.label for state in self.completeness.incomplete],
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that was found.

    Attributes:
        side: what was verified.
        n_objects: how many objects were proved.
        n_bytes: how many bytes of them.
        declared: how many objects are declared absent.
    """

    side: str
    images: tuple[ImageVerdict, ...]
    findings: tuple[Finding, ...]
    n_objects: int
    n_bytes: int
    declared: int = 0

    @property
    def is_ok(self) -> bool:
        """Whether there is no error; warnings and notes do not count."""
        return not any(finding.level is Level.ERROR for finding in self.findings)

    @property
    def partial(self) -> tuple[str, ...]:
        """Of a bundle that declares content absent, the platforms that each image has whole."""
        if not any(image.is_partial for image in self.images):
            return ()
        runnable = [
            image
            for image in self.images
            if any(state.is_image for state in image.completeness.states)
        ]
        sets = [image.platforms for image in runnable]
        common = [name for name in sets[0] if all(name in other for other in sets)] if sets else []
        return tuple(common)

    def to_json(self) -> dict[str, Any]:
        """For ``--format json``."""
        return {
            "target": self.side,
            "ok": self.is_ok,
            "partial": list(self.partial),
            "objects": self.n_objects,
            "bytes": self.n_bytes,
            "declaredAbsent": self.declared,
            "images": [image.to_json() for image in self.images],
            "findings": [finding.to_json() for finding in self.findings],
        }
