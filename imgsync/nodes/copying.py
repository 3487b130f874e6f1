"""Images from one namespace into another of the same containerd, without moving their content.

containerd keeps one copy for all namespaces and gives it to whoever commits its digest. So the
content is taken over, and an import of just an ``index.json`` refers to it; then it is proved.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imgsync.documents import reader_of
from imgsync.errors import Conflict, NotFound
from imgsync.events import Noted, Report
from imgsync.model.selection import spellings
from imgsync.stores.containerd.import_request import Carrier, ImportOptions, ImportResult
from imgsync.stores.containerd.importing import import_images
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.content import Readable
    from imgsync.model.bundle import Bundle, Root
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Resolved
    from imgsync.stores.containerd.namespace import Containerd


def copy_images(
    source: Containerd,
    target: Containerd,
    names: Sequence[str],
    options: ImportOptions,
    report: Report,
) -> ImportResult:
    """Let the images of one namespace be in another too; all of them, if none is named.

    What the source has in part, the target has in part.

    Raises:
        Conflict: both are the same namespace.
        NotFound: there is no such image.
        LockHeld: another run works on the target.
    """
    if source.namespace == target.namespace:
        raise Conflict(f"{source.side} is both where images come from and where they go")
    roots = _chosen(source, names, report)
    graph = walk([root.descriptor for root in roots], reader_of(source, jobs=options.jobs))
    options = replace(options, carrier=Carrier.STREAM, adopt_bytes=1)
    return import_images(target, roots, graph, _Listed(source, graph), options, report)


def _chosen(source: Containerd, names: Sequence[str], report: Report) -> list[Root]:
    roots = source.bundle().roots
    named = [root for root in roots if root.name is not None]
    if len(named) < len(roots):
        text = f"not copied, these are no names of images: {len(roots) - len(named)}"
        report(Noted(text, "warning"))
    chosen = []
    for name in names or ("*",):
        found = [
            root
            for root in named
            if root.name is not None
            and any(fnmatchcase(text, name) for text in spellings(root.name))
        ]
        if not found:
            elsewhere = ", ".join(sorted(set(source.namespaces()) - {source.namespace}))
            msg = f"{source.side} has no image {name}" if names else f"{source.side} has no image"
            raise NotFound(msg, hint=f"other namespaces are {elsewhere}" if elsewhere else "")
        chosen += [root for root in found if root not in chosen]
    return chosen


class _Listed:
    """A namespace that can say what it has, as far as some images need it."""

    def __init__(self, inner: Containerd, graph: Graph) -> None:
        self._inner = inner
        present = inner.content.digests()
        self._sizes = {
            digest: item.size for digest, item in graph.descriptors.items() if digest in present
        }

    @property
    def side(self) -> str:
        return self._inner.side

    def sizes(self) -> Mapping[Digest, int]:
        return self._sizes

    def bundle(self) -> Bundle:
        return self._inner.bundle()

    def resolve(self, reference: Reference) -> Resolved:
        return self._inner.resolve(reference)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        return self._inner.open(descriptor, offset)
