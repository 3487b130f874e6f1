"""From what a user typed to a store that holds images.

Registries and containerd are opened by functions that the caller gives, so that nobody pays for
requests who only reads a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput, InvalidReference, NotFound, StoreError
from imgsync.events import Report, ignore
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.reference import Reference
from imgsync.stores.archive.opening import open_archive, open_damaged
from imgsync.stores.docker_daemon import save_from_daemon
from imgsync.stores.layout import Layout
from imgsync.stores.selected import Selected
from imgsync.stores.single import Single

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.model.bundle import Root
    from imgsync.stores import Holding, Source


def open_source(
    target: str | ImageSource,
    *,
    repository: Callable[[Reference], Source],
    containerd: Callable[[ImageSource], Holding],
    docker: str = "docker",
    report: Report = ignore,
    even_damaged: bool = False,
) -> Holding:
    """Open a bundle, an archive of another tool, a folder, or an image of a registry or daemon.

    Args:
        target: as it was typed (`imgsync.model.image_source`), or already read.
        repository: opens the repository of an image of a registry.
        containerd: opens ``containerd:NAME`` or, without a name, the whole namespace.
        docker: the command for ``docker-daemon:NAME``.
        report: gets notes about what takes time or room.
        even_damaged: read a damaged bundle by its lock, for whoever wants to know all its damage.

    Raises:
        InvalidReference, InvalidInput: it is no source of images.
        NotFound: there is no such file, or no such image in it.
        ContentError: it is damaged.
    """
    source = read_target(target) if isinstance(target, str) else target
    match source.transport:
        case Transport.REGISTRY:
            reference = source.reference
            if reference is None:
                raise NotFound(f"{source} names no image")
            return Single(repository(reference), reference)
        case Transport.CONTAINERD:
            return containerd(source)
        case Transport.DOCKER_DAEMON:
            return save_from_daemon(source.label, docker=docker, report=report)
        case _:
            holding = _open_path(source, report, even_damaged=even_damaged)
            return Selected(holding, _labelled(holding, source)) if source.label else holding


def read_target(text: str) -> ImageSource:
    """The source that a text means: a file or layout folder that is there is meant before a name.

    Raises:
        InvalidReference, InvalidInput: it is none; where it looks like a path, that is said.
    """
    if text == "-":
        msg = "images are not read from standard input: they are read at any place"
        raise InvalidInput(msg, hint="write what comes through a pipe to a file first")
    path = Path(text)
    if path.is_file() or (path / "oci-layout").is_file():
        return ImageSource(Transport.FILE, path=text)
    try:
        return ImageSource.parse(text)
    except InvalidReference as error:
        if path.exists():
            hint = "it is a folder, but not an OCI image layout: it has no file oci-layout"
            raise InvalidReference(error.message, hint=hint) from None
        raise


def _open_path(source: ImageSource, report: Report, *, even_damaged: bool) -> Holding:
    path = Path(source.path)
    if path.is_dir():
        return Layout(path)
    if source.transport is Transport.LAYOUT and path.exists():
        msg = f"{path} is a file, a folder was named with oci:"
        raise StoreError(msg, hint=f"did you mean oci-archive:{path}?")
    return open_damaged(path, report=report) if even_damaged else open_archive(path, report=report)


def _labelled(holding: Holding, source: ImageSource) -> Sequence[Root]:
    """The roots that ``:name`` behind a path means: a full name, a short one, or a tag."""
    roots = holding.bundle().roots
    label = source.label
    try:
        reference = Reference.parse(label)
    except InvalidReference:
        reference = None
    for found in (
        [root for root in roots if label in {root.extra, str(root.name)}],
        [root for root in roots if root.name is not None and root.name == reference],
        [root for root in roots if root.name is not None and root.name.tag == label],
        [root for root in roots if str(root.descriptor.digest) == label],
    ):
        if len({root.descriptor.digest for root in found}) == 1:
            return found
        if found:
            names = ", ".join(root.label for root in found[:5])
            msg = f"{source}: {label} means several images: {names}"
            raise NotFound(msg, hint="give the full name")
    names = ", ".join(root.label for root in roots[:5]) or "no image"
    msg = f"{source.path} has no image {label}"
    raise NotFound(msg, hint=f"it has {names}")
