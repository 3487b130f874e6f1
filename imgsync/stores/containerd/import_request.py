"""What is asked of an import, and what came of it. Frozen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imgsync.completeness import Completeness
    from imgsync.errors import ImgsyncError
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform


class Carrier(StrEnum):
    """How content gets into containerd."""

    LOOPBACK = "loopback"
    STREAM = "stream"


class OnExistingName(StrEnum):
    """What to do where a name stands in the namespace with another digest."""

    REPLACE = "replace"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The options of an import.

    Attributes:
        node: the platform of the node, for the verdict *runs here*.
        required: the platform that must be whole of an image that comes in part; None for the
            node's.
        carrier: None for loopback where that can work, else stream.
        twins: also make the records ``repository@digest``.
        pin: let the kubelet's garbage collection leave them alone.
        unpack: also unpack the node's platform, which is otherwise done at the first start.
        sources: label all content with the repositories of its names, as a pull does.
        jobs: how many images are fetched at once.
        adopt_bytes: content from this size on is taken over from other namespaces, one by one,
            before anything is streamed; below it, sending is as quick.
    """

    node: Platform
    required: Platform | None = None
    carrier: Carrier | None = None
    twins: bool = True
    pin: bool = False
    unpack: bool = False
    sources: bool = False
    on_existing_name: OnExistingName = OnExistingName.REPLACE
    jobs: int = 4
    adopt_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Imported:
    """One image, and what came of it.

    Attributes:
        names: its records, those by digest last; the ones to come, while it waits.
        status: imported, unchanged, waiting (for other volumes) or failed.
        before: what names of it meant before, where that was another digest.
        state: which platforms are whole in the namespace now.
        runs_here: whether the node's platform is, and the image has its names.
        waiting_for: what other volumes bring.
    """

    names: tuple[str, ...]
    root: Descriptor
    status: str
    before: Mapping[str, Digest]
    state: Completeness
    runs_here: bool
    error: ImgsyncError | None = None
    waiting_for: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportResult:
    """All images, in the order in which they were asked for.

    Attributes:
        n_moved: how many objects were sent; what containerd had, or adopted from another of its
            namespaces, was not.
        present: all that the namespace has in the end, after garbage was collected.
        named: the roots that have a name there.
    """

    imported: tuple[Imported, ...]
    n_moved: int = 0
    n_moved_bytes: int = 0
    present: Collection[Digest] = ()
    named: Collection[Digest] = ()

    @property
    def failures(self) -> list[tuple[str, ImgsyncError]]:
        """Each failed image with its error."""
        return [(item.names[0], item.error) for item in self.imported if item.error is not None]
