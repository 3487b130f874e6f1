"""Layout: an OCI image layout folder (image-spec, image-layout.md), read and written."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsync.content import CHUNK_BYTES
from imgsync.errors import (
    Conflict,
    DigestMismatch,
    InvalidDigest,
    NotFound,
    StoreError,
)
from imgsync.model.bundle import Root
from imgsync.model.bundle_files import (
    ANNOTATION_CONTAINERD_NAME,
    ANNOTATION_REF_NAME,
    OCI_LAYOUT_FILE,
    blob_path,
    index_file,
)
from imgsync.model.digest import Digest
from imgsync.model.layout_index import parse_layout_file
from imgsync.model.strict_json import canonical, parse_object
from imgsync.stores.disk import turn_os_errors
from imgsync.stores.files import OpenFile, Section
from imgsync.stores.image_layout import ImageLayout, check_small
from imgsync.stores.layout_folder import INGEST, LayoutFolder, entries_of, write_all

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imgsync.content import VerifiedStream
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.lock import Lock
    from imgsync.model.reference import Reference


class Layout(ImageLayout):
    """Holding, Listing, Destination and Resuming. With ``create``, an empty one is made."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open a folder.

        Raises:
            NotFound: there is no such folder, or it is not a layout.
            InvalidArchive: a layout of another version.
        """
        self.path = path
        self._folder = LayoutFolder(path)
        self._mutex = threading.Lock()
        if create and not (path / "oci-layout").exists():
            self._make()
        with turn_os_errors(self.side):
            if not path.is_dir() or not (path / "oci-layout").exists():
                msg = f"{path} is not an OCI image layout: it has no file oci-layout"
                raise NotFound(msg, hint="give the folder that holds oci-layout and index.json")
        parse_layout_file(self.small_file("oci-layout"), f"{path}/oci-layout")

    @property
    def side(self) -> str:
        """The folder's path."""
        return str(self.path)

    # Reading.

    def small_file(self, name: str) -> bytes:
        """The bytes of ``index.json`` or ``oci-layout``."""
        file = OpenFile.at(self.path / name)
        check_small(file.size, f"{self.side}/{name}")
        return file.read_at(0, file.size)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Section:
        """The bytes of the file that has this digest for a name."""
        path = self.path / blob_path(descriptor.digest)
        try:
            file = OpenFile.at(path, self.side)
        except NotFound:
            msg = f"{self.side}: {descriptor.short} is not there"
            raise NotFound(msg) from None
        return Section(file, offset, max(0, file.size - offset))

    def sizes(self) -> Mapping[Digest, int]:
        """Every file under ``blobs/`` whose name is a digest."""
        found: dict[Digest, int] = {}
        with turn_os_errors(self.side):
            for folder in entries_of(self.path / "blobs"):
                for entry in entries_of(Path(folder.path)) if folder.is_dir() else ():
                    with suppress(InvalidDigest):
                        digest = Digest(folder.name, entry.name)
                        if entry.is_file():
                            found[digest] = entry.stat().st_size
        return found

    # Writing.

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """Those that are no file of the right size."""
        lacking: set[Digest] = set()
        for item in descriptors:
            try:
                if (self.path / blob_path(item.digest)).stat().st_size != item.size:
                    lacking.add(item.digest)
            except FileNotFoundError:
                lacking.add(item.digest)
        return lacking

    def kept(self, descriptor: Descriptor) -> Section | None:
        """What an earlier run wrote of this content, without the last byte of the whole."""
        try:
            file = OpenFile.at(self._folder.growing(descriptor.digest), self.side)
        except NotFound:
            return None
        # A run that was killed between the last byte and the rename left all of them; the last
        # one is fetched again, so that there is always a stream to prove.
        size = min(file.size, descriptor.size - 1)
        return Section(file, 0, size) if size > 0 else None

    def put(self, descriptor: Descriptor, stream: VerifiedStream) -> None:
        """Write the content beside the blobs, sync it, and give it its name."""
        final = self.path / blob_path(descriptor.digest)
        with self._folder.ingest(descriptor.digest, final) as fd:
            with turn_os_errors(self.side):
                os.ftruncate(fd, stream.tell())
                os.lseek(fd, stream.tell(), os.SEEK_SET)
            try:
                while chunk := stream.read(CHUNK_BYTES):
                    with turn_os_errors(self.side):
                        write_all(fd, chunk)
            except DigestMismatch:
                os.ftruncate(fd, 0)  # nothing of this is worth keeping
                raise

    def name(self, reference: Reference, root: Descriptor) -> None:
        """Add the name to ``index.json``, or let it mean this root."""
        self.add_root(Root(reference, root))

    def add_root(self, root: Root) -> None:
        """Add a root to ``index.json``; entries that others wrote stay as they are.

        Raises:
            Conflict: the layout is a bundle, whose lock knows nothing of this root.
        """
        (new,) = parse_object(index_file([root]), "index.json")["manifests"]
        with self._mutex, self._folder.locked():
            index = self.index()
            if index.is_ours and root.descriptor not in [old.descriptor for old in index.roots]:
                msg = f"{self.side} is a bundle, and {root.label} is not one of its images"
                raise Conflict(msg, hint="make the bundle again with this image in the list")
            value = parse_object(self.small_file("index.json"), "index.json")
            kept = [
                entry
                for entry, old in zip(value["manifests"], index.roots, strict=True)
                if not _is_replaced(old, root)
            ]
            value["manifests"] = sorted([*kept, new], key=_order)
            self._folder.sync_blobs()
            self._folder.replace_file("index.json", canonical(value))
            self._folder.tidy()

    def finish(self, roots: Collection[Root], lock: Lock) -> None:
        """Let the layout be a bundle: its lock, and an ``index.json`` that names it."""
        me = lock.descriptor()
        with self._mutex, self._folder.locked():
            self._folder.replace_file(blob_path(me.digest), lock.to_bytes())
            self._folder.sync_blobs()
            self._folder.replace_file("index.json", index_file(roots, me.digest))
            self._folder.tidy()

    def _make(self) -> None:
        with turn_os_errors(self.side):
            self.path.mkdir(parents=True, exist_ok=True)
            strangers = {entry.name for entry in entries_of(self.path)}
            if strangers - {INGEST, "blobs", "index.json"}:
                msg = f"{self.path} is neither empty nor an OCI image layout"
                raise StoreError(msg, hint="choose an empty or a new folder")
            (self.path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        if "index.json" not in strangers:
            self._folder.replace_file("index.json", index_file([]))
        self._folder.replace_file("oci-layout", OCI_LAYOUT_FILE)
        self._folder.tidy()


def _is_replaced(old: Root, new: Root) -> bool:
    if new.name is not None:
        return old.name == new.name
    return old.name is None and (old.extra, old.descriptor) == (new.extra, new.descriptor)


def _order(entry: dict[str, Any]) -> tuple[bool, str]:
    annotations = entry.get("annotations") or {}
    name = annotations.get(ANNOTATION_CONTAINERD_NAME) or annotations.get(ANNOTATION_REF_NAME)
    return (name is None, name or "")
