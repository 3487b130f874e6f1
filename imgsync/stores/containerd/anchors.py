"""Anchors: records of ours that keep content which no name holds yet.

Volumes arrive one by one, and runs are killed. Until an image is whole nothing may have its name,
and what nothing names goes with the next garbage collection. So an index of our own is imported
first that lists all that the image is made of: containerd labels it with every digest, and keeps
what has one of them, even if it comes later (seen on 1.6.20). To CRI it is no image, because
nothing in it is a manifest: the kubelet never sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imgsync.documents import KeptDocuments
from imgsync.events import ignore
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.strict_json import canonical
from imgsync.stores.containerd.delta import Delta
from imgsync.stores.containerd.namespace import ANCHOR_PREFIX
from imgsync.stores.containerd.stream import import_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgsync.stores.containerd.namespace import Containerd
    from imgsync.stores.containerd.wanted import Wanted

NOW: Final = f"{ANCHOR_PREFIX}now"
"""The record that keeps what one import has brought, until all of its images have names."""

_HELD: Final = "application/octet-stream"
"""So that containerd looks for no children in what it is to keep."""


def is_anchor(name: str) -> bool:
    """Whether a record is no image, but one of ours that keeps content."""
    return name.startswith(ANCHOR_PREFIX)


def anchor_name(root: Digest) -> str:
    """The record that keeps what has come of this image."""
    return f"{ANCHOR_PREFIX}{root.algorithm}-{root.hex[:64]}"


def anchor_document(items: Iterable[Descriptor]) -> bytes:
    """An index that lists content as what it is not; the same content gives the same bytes."""
    entries = [
        {"mediaType": _HELD, "digest": str(item.digest), "size": item.size}
        for item in sorted(items, key=lambda item: str(item.digest))
    ]
    return canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


class Anchors:
    """Those of one namespace, while an import has it locked."""

    def __init__(self, containerd: Containerd, records: Iterable[str]) -> None:
        """Know those that are among the namespace's records."""
        self._containerd = containerd
        self._standing = {name for name in records if is_anchor(name)}

    def hold(self, images: Sequence[Wanted]) -> None:
        """Whatever comes of these images from now on stays, also if this run is killed.

        Each that waits for other volumes has an anchor of its own, which stays until they came;
        the others have one together, which the next import replaces.

        Raises:
            ContainerdError: ``ctr`` failed; nothing is held that was not before.
        """
        documents: dict[Digest, bytes] = {}
        names: dict[str, Descriptor] = {}
        for wanted in images:
            if wanted.waits:
                anchor = _anchor(wanted.held, documents)
                wanted.anchor = (anchor_name(wanted.root.digest), anchor)
                names[wanted.anchor[0]] = anchor
        together = {item.digest: item for w in images if not w.waits for item in w.held}
        if together:
            names[NOW] = _anchor(together.values(), documents)
        self._make(names, documents)

    def keep(self, items: Iterable[Descriptor]) -> None:
        """This content stays, whatever happens to what refers to it, until the next import.

        Raises:
            ContainerdError: ``ctr`` failed.
        """
        documents: dict[Digest, bytes] = {}
        self._make({NOW: _anchor(items, documents)}, documents)

    def release(self, images: Sequence[Wanted]) -> None:
        """Forget the anchors of those images that have their names now, and of none that failed.

        Raises:
            ContainerdError: ``ctr`` failed.
        """
        done = [wanted for wanted in images if wanted.error is None and not wanted.waits]
        names = {anchor_name(wanted.root.digest) for wanted in done}
        if all(wanted.error is None for wanted in images):
            names.add(NOW)
        names &= self._standing
        if names:
            self._containerd.images.remove(*sorted(names))
            self._standing -= names

    def _make(self, names: Mapping[str, Descriptor], documents: Mapping[Digest, bytes]) -> None:
        if not names:
            return
        blobs = list({item.digest: item for item in names.values()}.values())
        import_stream(
            self._containerd.ctr,
            self._containerd.namespace,
            Delta(names, blobs),
            KeptDocuments(documents),
            ignore,
        )
        self._standing |= names.keys()


def _anchor(items: Iterable[Descriptor], documents: dict[Digest, bytes]) -> Descriptor:
    raw = anchor_document(items)
    anchor = Descriptor(OCI_INDEX, Digest.of(raw), len(raw))
    documents[anchor.digest] = raw
    return anchor
