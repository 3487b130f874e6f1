"""Other names for what a store holds: a bundle, a folder. Content and digests stay.

What cannot be renamed as it is (an archive of another tool, a compressed bundle) is told with the
command that makes a bundle of it under the new names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imgsync.errors import Conflict, InvalidInput, NotFound
from imgsync.model.bundle_files import ANNOTATION_CONTAINERD_NAME, ANNOTATION_REF_NAME, index_file
from imgsync.model.digest import Digest
from imgsync.model.selection import spellings
from imgsync.model.strict_json import canonical, parse_object
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.frames_file import FramesFile
from imgsync.stores.archive.packed_file import is_packed_name
from imgsync.stores.archive.rewrite import renamed_in_place, renamed_to_file
from imgsync.stores.layout import Layout
from imgsync.stores.layout_folder import LayoutFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from imgsync.model.bundle import Root
    from imgsync.model.lock import Lock
    from imgsync.model.mapping import Mapping
    from imgsync.model.reference import Reference
    from imgsync.stores import Holding

_COSIGN_TAG = re.compile(r":(sha256)-([0-9a-f]{64})(?:\.[a-z]+)?")
"""Tags by which signatures, and referrers where a registry has no list of them, are found."""


@dataclass(frozen=True, slots=True)
class Renaming:
    """Roots as they are and as they are to be, one for one; two may become the same.

    Attributes:
        before: in the order of the store.
        after: the same roots under their new names.
        result: ``after`` with each image once, which is what the store is to hold.
    """

    before: tuple[Root, ...]
    after: tuple[Root, ...]
    result: tuple[Root, ...]

    @property
    def changes(self) -> tuple[tuple[Root, Root], ...]:
        """What gets another name."""
        pairs = zip(self.before, self.after, strict=True)
        return tuple((old, new) for old, new in pairs if old.label != new.label)


def find_labelled(roots: Sequence[Root], label: str, side: str) -> tuple[Root, ...]:
    """The roots that ``FILE:LABEL`` means, all of them without a label.

    Raises:
        NotFound: none of them is called that.
    """
    if not label:
        return tuple(roots)
    found = tuple(
        root
        for root in roots
        if label == root.label or (root.name is not None and label in set(spellings(root.name)))
    )
    if not found:
        msg = f"{side} has no image {label}"
        has = ", ".join(root.label for root in roots[:5])
        raise NotFound(msg, hint=f"it has {has}" if has else "")
    return found


def documents_below(lock: Lock, root: Digest) -> set[Digest]:
    """A root and every document below it, any of which a signature may be about."""
    found: set[Digest] = set()
    stack = [root]
    while stack:
        digest = stack.pop()
        if digest not in found and digest in lock.objects:
            found.add(digest)
            stack.extend(lock.objects[digest].children or ())
    return found


def plan_renaming(roots: Sequence[Root], chosen: Sequence[Root], mapping: Mapping) -> Renaming:
    """What ``mapping`` makes of the chosen roots; the others keep their names.

    Raises:
        Conflict: two roots with different content would get one name.
    """
    moving = {id(root) for root in chosen}
    after = tuple(mapping.move(root) if id(root) in moving else root for root in roots)
    return _checked(tuple(roots), after)


def plan_name(
    roots: Sequence[Root],
    chosen: Sequence[Root],
    name: Reference,
    documents_of: Callable[[Digest], Collection[Digest]],
) -> Renaming:
    """Give the one chosen image this name.

    What is about it (signatures, SBOMs) follows into the repository, unless another image of the
    old one still needs it there.

    Raises:
        InvalidInput: several images were chosen.
        Conflict: another image has the name.
    """
    images = [root for root in chosen if root.name is not None]
    if len(images) != 1 and len(roots) != 1:
        has = f"{len(images)} images: {', '.join(root.label for root in images[:5])}"
        msg = f"one name, and {has}"
        raise InvalidInput(msg, hint="choose one with --image, or rename them all with --to")
    image = images[0] if images else roots[0]
    documents = set(documents_of(image.descriptor.digest))
    staying = {
        digest
        for root in roots
        if root is not image and root.name is not None and image.name is not None
        if root.name.name == image.name.name
        for digest in documents_of(root.descriptor.digest)
    }
    about = documents - staying
    after = tuple(
        root.named(name) if root is image else _beside(root, image, name, about) for root in roots
    )
    return _checked(tuple(roots), after)


def rename_bundle(archive: Archive, path: Path, renaming: Renaming, out: Path | None) -> None:
    """Write the new names to the bundle ``out``, or into the bundle itself.

    Raises:
        InvalidInput: imgsync did not write the archive, or compressed it for a name without
            ``.zst``, or not for one with it.
        InvalidArchive, NoSpace, LockHeld, AccessDenied: see `imgsync.stores.archive.rewrite`.
    """
    lock = archive.lock()
    if lock is None:
        msg = f"{path} was not made by imgsync, and its tail cannot be written anew"
        raise InvalidInput(msg, hint=_make_anew(f"oci-archive:{path}"))
    file = archive.tar.file
    frames = file if isinstance(file, FramesFile) else None
    if frames is None and file.size != path.stat().st_size:
        msg = f"{path} is compressed"
        raise InvalidInput(msg, hint=_make_anew(str(path)))
    if out is None:
        if frames is not None:
            msg = f"{path} is compressed, and not changed in place"
            raise InvalidInput(msg, hint="-o NEW.tar.zst makes a new bundle")
        renamed_in_place(path, lock, renaming.before, renaming.result)
        return
    if is_packed_name(out) != (frames is not None):
        msg = f"{path} is {'' if frames is not None else 'not '}compressed; {out} says otherwise"
        raise InvalidInput(msg, hint=_make_anew(str(path)))
    renamed_to_file(path, out, lock, renaming.before, renaming.result, frames=frames)


def rename_layout(layout: Layout, renaming: Renaming) -> None:
    """Write the new names into the ``index.json`` of a folder.

    All else that its entries say stays, whoever wrote them.

    Raises:
        Conflict: somebody else changed it meanwhile.
    """
    folder = LayoutFolder(layout.path)
    with folder.locked():
        index = layout.index()
        if [root.descriptor for root in index.roots] != [r.descriptor for r in renaming.before]:
            msg = f"{layout.side} was changed by something else at the same moment"
            raise Conflict(msg, hint="run the command again")
        if index.is_ours:
            data = index_file(renaming.result, index.lock)
        else:
            data = _foreign_index(layout, renaming)
        folder.replace_file("index.json", data)
        folder.tidy()


def refuse(holding: Holding, source: str) -> None:
    """Say why a store of this kind gets no other names.

    Raises:
        InvalidInput: always.
    """
    msg = f"{holding.side} cannot be retagged as it is"
    raise InvalidInput(msg, hint=_make_anew(source))


def _checked(before: tuple[Root, ...], after: tuple[Root, ...]) -> Renaming:
    result: dict[tuple[str, str], Root] = {}
    for old, new in zip(before, after, strict=True):
        key = (new.label, "" if new.name is not None else str(new.descriptor.digest))
        other = result.setdefault(key, new)
        if other.descriptor.digest != new.descriptor.digest:
            first = before[after.index(other)]
            msg = (
                f"{first.label} ({first.descriptor.digest.short}) and {old.label} "
                f"({old.descriptor.digest.short}) would both be called {new.label}"
            )
            raise Conflict(msg, hint="--keep-registry keeps them apart, or a rule of --map")
    if not result:
        msg = "there is no image to be renamed"
        raise NotFound(msg)
    return Renaming(before, after, tuple(result.values()))


def _beside(root: Root, image: Root, name: Reference, about: Collection[Digest]) -> Root:
    if root.name is not None or image.name is None:
        return root
    end = root.extra.removeprefix(image.name.name)
    if end == root.extra or end[:1] not in {":", "@"}:
        return root
    tag = _COSIGN_TAG.fullmatch(end)
    subject = Digest(tag[1], tag[2]) if tag is not None else root.subject
    return replace(root, extra=f"{name.name}{end}") if subject in about else root


def _foreign_index(layout: Layout, renaming: Renaming) -> bytes:
    value = parse_object(layout.small_file("index.json"), "index.json")
    entries: list[dict[str, Any]] = []
    written: set[tuple[str, str]] = set()
    for entry, root in zip(value["manifests"], renaming.after, strict=True):
        if root.name is not None:
            key = (str(root.name), str(root.descriptor.digest))
            if key in written:
                continue
            written.add(key)
            name = str(root.name)
            notes = dict(entry.get("annotations") or {})
            notes |= {ANNOTATION_CONTAINERD_NAME: name, ANNOTATION_REF_NAME: name}
            entry["annotations"] = notes
        entries.append(entry)
    return canonical({**value, "manifests": entries})


def _make_anew(source: str) -> str:
    return f"make a bundle under the new names: imgsync bundle {source} --to … -o NEW.tar"
