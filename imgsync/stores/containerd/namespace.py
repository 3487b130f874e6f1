"""Containerd: a namespace of a containerd as a store that is read from.

It is written to by `imgsync.stores.containerd.importing`: what is there whole and under which
name is decided by walks, and not object by object.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import get_ident
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError, InvalidInput, InvalidReference, NotFound
from imgsync.events import Report, ignore
from imgsync.model.bundle import Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.manifest import MAX_DOCUMENT_BYTES
from imgsync.model.reference import Reference
from imgsync.stores import Resolved
from imgsync.stores.containerd.content import Content, ContentStream, read_content
from imgsync.stores.containerd.images import Images
from imgsync.stores.containerd.parse import parse_containers
from imgsync.stores.selected import Selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgsync.model.digest import Digest
    from imgsync.stores.containerd.command import Ctr
    from imgsync.stores.containerd.parse import ImageRecord

_NAMESPACE: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*", re.ASCII)
_MAX_NAMESPACE: Final = 76
ANCHOR_PREFIX: Final = "imgsync.local/waiting:"
"""Records that keep content without naming an image; see `imgsync.stores.containerd.anchors`."""
JOBS: Final = 4


class Containerd:
    """Holding: the images of one namespace.

    Attributes:
        content: its content store.
        images: its image records.
    """

    def __init__(self, ctr: Ctr, namespace: str) -> None:
        """Look at this namespace; it need not exist.

        Raises:
            InvalidInput: no namespace can be called that.
        """
        check_namespace(namespace)
        self.ctr = ctr
        self.namespace = namespace
        self.content = Content(ctr, namespace)
        self.images = Images(ctr, namespace)
        self._locked_by: int | None = None

    @property
    def side(self) -> str:
        """How messages call it."""
        return f"containerd namespace {self.namespace}"

    def other(self, namespace: str) -> Containerd:
        """Another namespace of the same containerd."""
        return Containerd(self.ctr, namespace)

    @contextmanager
    def locked(self, report: Report = ignore) -> Iterator[None]:
        """Keep other runs away from this namespace.

        Within the block the same thread may ask for it again, so that several steps can be one.

        Raises:
            LockHeld, ContainerdError: see `Ctr.locked`.
        """
        if self._locked_by == get_ident():
            yield
            return
        with self.ctr.locked(self.namespace, report):
            self._locked_by = get_ident()
            try:
                yield
            finally:
                self._locked_by = None

    def namespaces(self) -> list[str]:
        """All that there are."""
        return self.ctr.text(self.namespace, "namespaces", "ls", "-q").split()

    def used_images(self) -> dict[str, str]:
        """The image records that containers were made from, each with one of the containers."""
        return parse_containers(self.ctr.text(self.namespace, "containers", "ls"))

    def open(self, descriptor: Descriptor, offset: int = 0) -> ContentStream:
        """The content's bytes, as the daemon hands them out."""
        return self.content.open(descriptor.digest, offset, self.side)

    def bundle(self) -> Bundle:
        """Every image record that has a name: those of CRI and of imports say nothing themselves.

        A record whose root is not there has the size 0; a walk finds that out.
        """
        records = [
            record
            for record in self.images.all().values()
            if not is_cri_record(record.name) and not record.name.startswith(ANCHOR_PREFIX)
        ]
        return Bundle(tuple(self._roots(records)))

    def resolve(self, reference: Reference) -> Resolved:
        """What the name means.

        Raises:
            NotFound: no such name; the message says in which other namespaces it is.
        """
        record = self.record(reference)
        raw = read_content(self.content, record.digest, self.side, MAX_DOCUMENT_BYTES)
        return Resolved(Descriptor(record.media_type, record.digest, len(raw)), raw)

    def descriptor(self, record: ImageRecord) -> Descriptor:
        """What a record means, with the size that its root has.

        Raises:
            NotFound: the root is not there.
        """
        raw = read_content(self.content, record.digest, self.side, MAX_DOCUMENT_BYTES)
        return Descriptor(record.media_type, record.digest, len(raw))

    def image(self, reference: Reference) -> Selected:
        """One image as a Holding.

        Raises:
            NotFound: see `resolve`.
        """
        descriptor = self.resolve(reference).descriptor
        return Selected(
            self,
            [Root(reference.with_tag(reference.tag) if reference.tag else reference, descriptor)],
        )

    def record(self, reference: Reference) -> ImageRecord:
        """The image record that a name means: verbatim, else one that docker would read so.

        Raises:
            NotFound: see `resolve`.
        """
        found = find_record(self.images.all().values(), reference)
        if found is not None:
            return found
        elsewhere = [
            name
            for name in self.namespaces()
            if name != self.namespace
            and find_record(self.other(name).images.all().values(), reference) is not None
        ]
        msg = f"{self.side} has no image {reference}"
        hint = f"namespace {', '.join(elsewhere)} has it: -n {elsewhere[0]}" if elsewhere else ""
        raise NotFound(msg, hint=hint)

    def unpack(self, digest: Digest) -> None:
        """Make file systems of the layers of the node's platform, for containers to start from.

        Raises:
            ContainerdError: the snapshotter failed; the image is there all the same.
        """
        self.ctr.run(self.namespace, "snapshots", "unpack", str(digest))

    def _roots(self, records: list[ImageRecord]) -> Iterable[Root]:
        """The size of a root is that of its bytes: ``images ls`` gives that of all its content."""
        digests = sorted({record.digest for record in records})
        with ThreadPoolExecutor(JOBS, "roots") as pool:
            sizes = dict(zip(digests, pool.map(self._size, digests), strict=True))
        for record in records:
            descriptor = Descriptor(record.media_type, record.digest, sizes[record.digest])
            reference = reference_of(record.name)
            extra = "" if reference is not None and str(reference) == record.name else record.name
            yield Root(reference, descriptor, extra=extra)

    def _size(self, digest: Digest) -> int:
        try:
            return len(read_content(self.content, digest, self.side, MAX_DOCUMENT_BYTES))
        except ImgsyncError:
            return 0


def check_namespace(namespace: str) -> None:
    """Refuse what containerd would refuse.

    Raises:
        InvalidInput: the message says the rule.
    """
    if len(namespace) > _MAX_NAMESPACE or not _NAMESPACE.fullmatch(namespace):
        msg = f"{namespace!r} is not a containerd namespace: letters and digits, '.-_' between"
        raise InvalidInput(msg, hint="kubernetes uses k8s.io, docker moby, ctr default")


def is_cri_record(name: str) -> bool:
    """Whether this is the record ``sha256:<config>`` that CRI keeps beside each image."""
    return name.startswith("sha256:")


def reference_of(name: str) -> Reference | None:
    """The name of a record as a reference; None if it is none."""
    try:
        return Reference.parse(name)
    except InvalidReference:
        return None


def find_record(records: Iterable[ImageRecord], reference: Reference) -> ImageRecord | None:
    """The record of this name; where both stand there, the verbatim one."""
    found = None
    wanted = {str(reference), str(reference.with_tag(reference.tag))} if reference.tag else None
    for record in records:
        if record.name == str(reference):
            return record
        parsed = reference_of(record.name)
        if parsed is None or is_cri_record(record.name):
            continue
        if parsed == reference or (
            wanted is not None and str(parsed) in wanted and reference.digest == record.digest
        ):
            found = found or record
    return found
