"""Which kind of archive a file is, by what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import ContentError, InvalidArchive
from imgsync.events import Noted, Report, ignore
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.by_lock import advice_about, open_by_lock
from imgsync.stores.archive.compressed import open_tar_file
from imgsync.stores.archive.docker_save import DockerArchive
from imgsync.stores.archive.redo import finish_rewrite
from imgsync.stores.archive.tar_file import TarFile

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.stores.files import ByPosition


def open_archive(path: Path, *, report: Report = ignore) -> Archive | DockerArchive:
    """Open an archive of images of any form, compressed or not.

    Raises:
        InvalidArchive: see `archive_of`.
        NotFound, AccessDenied, StoreError, NoSpace, ContentError: it cannot be read.
    """
    if finish_rewrite(path):
        report(Noted(f"{path}: finished a change of names that was broken off"))
    try:
        archive = archive_of(open_tar_file(path, report=report))
        archive.bundle()  # it is needed anyway, and here the path is known
    except ContentError as error:
        error.hint = advice_about(path) or error.hint
        raise
    return archive


def open_damaged(path: Path, *, report: Report = ignore) -> Archive | DockerArchive:
    """The same, of an archive that may be damaged, for whoever wants to know all that is wrong.

    Raises:
        InvalidArchive, ContentError: it is not known what it holds: it is no bundle of ours, or
            its lock is lost too.
        NotFound, AccessDenied, StoreError, NoSpace: it cannot be read.
    """
    try:
        return open_archive(path, report=report)
    except ContentError as error:
        by_lock = open_by_lock(path, error)
        if by_lock is not None:
            return by_lock
        # Only the lock may be lost: then index.json still says what to look at.
        try:
            archive = archive_of(open_tar_file(path, report=report))
            if isinstance(archive, Archive):
                archive.index()
        except ContentError:
            raise error from None
        return archive


def archive_of(file: ByPosition) -> Archive | DockerArchive:
    """The archive that a tar is. An OCI layout is preferred, as containerd and docker do.

    Raises:
        InvalidArchive: it is no archive of images; the message says what was found instead.
    """
    tar = TarFile(file)
    if "oci-layout" in tar or ("index.json" in tar and "manifest.json" not in tar):
        return Archive(tar)
    if "manifest.json" in tar:
        return DockerArchive(tar)
    msg = f"{tar.side} holds no images: it has neither index.json nor manifest.json"
    raise InvalidArchive(msg, hint=_hint(tar))


def _hint(tar: TarFile) -> str:
    names = list(tar.index.entries)
    if "repositories" in names:
        return "docker before 1.10 wrote it; load it into a current docker and save it again"
    for name in names:
        folder, _, file = name.rpartition("/")
        if file in {"oci-layout", "manifest.json"}:
            return f"the images are in the folder {folder}; unpack it and give that folder"
    if any(name.startswith("blobs/") for name in names):
        return "it was cut off: the index stands at the end; get the file again"
    shown = ", ".join(names[:3])
    return f"it begins with {shown}" if names else "it is empty"
