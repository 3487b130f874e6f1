"""Lock: everything that a bundle is a function of (``docs/format.md``, "The lock").

A lock says which images a bundle carries, from where they came, which objects they are made of,
and which of those were left out. The archive's bytes follow from it, and a later run can make the
same bundle from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from imgsync.errors import ImgsyncError, InvalidArchive
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.json_fields import Fields
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imgsync.model.manifest import Document

FORMAT: Final = "imgsync.lock/1"
MEDIA_TYPE: Final = "application/vnd.imgsync.lock.v1+json"
DOCKER_PLATFORM: Final = Platform("linux", "amd64")
"""The platform of ``manifest.json`` where nothing else was asked for."""

_NO_OBJECTS: Final = '\n "objects": {}'
_KEYS: Final = frozenset({"absent", "extras", "failed", "format", "images", "objects", "options"})


class ObjectGraph(Protocol):
    """What `Lock.make` needs of a walk: the documents that were read, and every descriptor."""

    @property
    def documents(self) -> Mapping[Digest, Document]:
        """Indexes and manifests by digest."""
        ...


@dataclass(frozen=True, slots=True)
class LockObject:
    """One object of the closure.

    Attributes:
        media_type: as the document that names it says.
        size: bytes.
        children: of a document that was read, what it needs, in its order; else None.
        platform: of a manifest, where it is known.
    """

    media_type: str
    size: int
    children: tuple[Digest, ...] | None = None
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """Which volume of a set this is.

    Attributes:
        number: from 1.
        of: how many there are.
        size: the most bytes that a volume was to have; the set is a function of it.
    """

    number: int
    of: int
    size: int


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of a bundle's lock.

    Attributes:
        images: roots that have a name, in any order; written sorted by name.
        extras: roots without one: signatures, attestations, charts.
        objects: the closure of all roots, absent objects included.
        absent: those of them that are not in the bundle's file.
        docker_platform: the platform of ``manifest.json``.
        failed: names that were asked for and left out.
        volume: of a bundle on several media, which of them this is.
    """

    images: tuple[Root, ...]
    extras: tuple[Root, ...] = ()
    objects: Mapping[Digest, LockObject] = field(default_factory=dict)
    absent: Mapping[Digest, AbsentReason] = field(default_factory=dict)
    docker_platform: Platform = DOCKER_PLATFORM
    failed: tuple[str, ...] = ()
    volume: Volume | None = None
    _raw: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def make(
        cls,
        bundle: Bundle,
        graph: ObjectGraph,
        *,
        docker_platform: Platform = DOCKER_PLATFORM,
        failed: Iterable[str] = (),
        platforms: Mapping[Digest, Platform] | None = None,
    ) -> Self:
        """The lock of a bundle; ``platforms`` are those of its manifests, by digest.

        Only what the roots need comes in, whatever else the graph has seen.
        """
        images = tuple(sorted((r for r in bundle.roots if r.name is not None), key=_order))
        extras = tuple(sorted((r for r in bundle.roots if r.name is None), key=_order))
        objects: dict[Digest, LockObject] = {}
        # In the order of the sorted roots, so that a digest which two documents describe with
        # two media types gets the same one whatever the order of the walk.
        stack = [root.descriptor for root in chain(reversed(extras), reversed(images))]
        while stack:
            descriptor = stack.pop()
            if descriptor.digest in objects:
                continue
            document = graph.documents.get(descriptor.digest)
            children = document.children if document is not None else None
            objects[descriptor.digest] = LockObject(
                descriptor.media_type,
                descriptor.size,
                None if children is None else tuple(child.digest for child in children),
                (platforms or {}).get(descriptor.digest) if descriptor.is_document else None,
            )
            stack.extend(reversed(children or ()))
        absent = {key: why for key, why in bundle.absent.items() if key in objects}
        return cls(images, extras, objects, absent, docker_platform, tuple(sorted(failed)))

    @staticmethod
    def parse(
        raw: bytes, where: str = "lock", *, error: type[ImgsyncError] = InvalidArchive
    ) -> Lock:
        """Read a lock; strict, because everything else is judged by it.

        ``error`` is what is raised: a lock in a bundle is a part of an archive, one that a user
        names is an image list.

        Raises:
            InvalidArchive: not JSON, another version, a key too many or too few, an object that
                no root needs, or one that is needed and not listed.
        """
        try:
            lock = _Reader(where, error).lock(parse_object(raw, where))
        except error:
            raise
        except ImgsyncError as cause:
            text = cause.message
            text = text if text.startswith(where) else f"{where}: {text}"
            raise error(text, hint=cause.hint) from None
        _check_closure(lock, where, error)
        return lock

    @property
    def roots(self) -> tuple[Root, ...]:
        """Images, then extras, in the order in which they are written."""
        return (*sorted(self.images, key=_order), *sorted(self.extras, key=_order))

    def descriptor_of(self, digest: Digest) -> Descriptor:
        """The descriptor of one of the lock's objects."""
        item = self.objects[digest]
        return Descriptor(item.media_type, digest, item.size, item.platform)

    def present(self) -> Iterator[Descriptor]:
        """Every object that the bundle's file must hold, documents first, each by digest.

        This is the order of the archive, behind the lock itself (``docs/format.md``, "Members").
        """
        descriptors = [self.descriptor_of(key) for key in self.objects if key not in self.absent]
        yield from sorted(descriptors, key=lambda item: (not item.is_document, str(item.digest)))

    def to_bytes(self) -> bytes:
        """The lock's bytes; the same lock gives the same bytes on every host."""
        if not self._raw:
            self._raw.append(self._written())
        return self._raw[0]

    def _written(self) -> bytes:
        value = {
            "format": FORMAT,
            "images": [_root_json(root) for root in sorted(self.images, key=_order)],
            "extras": [
                {**_root_json(root), "subject": str(root.subject) if root.subject else None}
                for root in sorted(self.extras, key=_order)
            ],
            "objects": {},
            "absent": {
                str(reason): sorted(str(key) for key, why in self.absent.items() if why is reason)
                for reason in set(self.absent.values())
            },
            "options": self._options(),
            "failed": sorted(self.failed),
        }
        # The objects are nearly all of it: as one JSON value they would take ten times the room.
        before, _, behind = _dumped(value).partition(_NO_OBJECTS)
        out = bytearray(before.encode())
        out += b'\n "objects": {'
        comma = ""
        for key in sorted(self.objects, key=str):
            text = _dumped(_object_json(self.objects[key])).replace("\n", "\n  ")
            out += f'{comma}\n  "{key}": {text}'.encode()
            comma = ","
        out += b"\n }" if self.objects else b"}"
        out += f"{behind}\n".encode()
        return bytes(out)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"dockerPlatform": str(self.docker_platform)}
        if self.volume is not None:
            options["volume"] = {
                "number": self.volume.number,
                "of": self.volume.of,
                "size": self.volume.size,
            }
        return options

    def descriptor(self) -> Descriptor:
        """The descriptor of the lock itself, which is a blob of the bundle."""
        raw = self.to_bytes()
        return Descriptor(MEDIA_TYPE, Digest.of(raw), len(raw))


def _dumped(value: object) -> str:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)


def _order(root: Root) -> tuple[str, str]:
    return (str(root.name) if root.name is not None else root.extra, str(root.descriptor.digest))


def _root_json(root: Root) -> dict[str, Any]:
    descriptor = root.descriptor
    return {
        "name": str(root.name) if root.name is not None else root.extra,
        "origin": root.origin or None,
        "platforms": root.platforms or "all",
        "root": {
            "mediaType": descriptor.media_type,
            "digest": str(descriptor.digest),
            "size": descriptor.size,
        },
    }


def _object_json(item: LockObject) -> dict[str, Any]:
    value: dict[str, Any] = {"mediaType": item.media_type, "size": item.size}
    if item.children is not None:
        value["children"] = [str(child) for child in item.children]
    if item.platform is not None:
        value["platform"] = item.platform.to_json()
    return value


def _check_closure(lock: Lock, where: str, error: type[ImgsyncError]) -> None:
    """Refuse a lock whose objects are not exactly what its roots need."""
    for root in lock.roots:
        item = lock.objects.get(root.descriptor.digest)
        if item is None or (item.media_type, item.size) != (
            root.descriptor.media_type,
            root.descriptor.size,
        ):
            msg = f"{where}: the root of {root.label} is not among the objects as it is described"
            raise error(msg)
    reached: set[Digest] = set()
    stack = [root.descriptor.digest for root in lock.roots]
    while stack:
        digest = stack.pop()
        if digest in reached:
            continue
        reached.add(digest)
        if digest not in lock.objects:
            msg = f"{where}: {digest.short} is a child of an object and not listed itself"
            raise error(msg)
        stack.extend(lock.objects[digest].children or ())
    for digest in lock.objects:
        is_document = lock.descriptor_of(digest).is_document
        has_children = lock.objects[digest].children is not None
        if has_children and not is_document:
            msg = f"{where}: {digest.short} is a blob and has children"
            raise error(msg)
        if is_document and not has_children and digest not in lock.absent:
            msg = f"{where}: {digest.short} is in the bundle and its children are not listed"
            raise error(msg)
    for digest in (*lock.objects, *lock.absent):
        if digest not in reached:
            msg = f"{where}: {digest.short} is listed and no image needs it"
            raise error(msg)


class _Reader(Fields):
    """Makes a lock of JSON, and says where it stopped."""

    def lock(self, value: dict[str, Any]) -> Lock:
        found = value.get("format")
        if found != FORMAT:
            hint = ""
            if isinstance(found, str) and found.startswith("imgsync.lock/"):
                hint = "it was made by a newer imgsync; use that one"
            msg = f"{self.where} has the format {found!r}, {FORMAT} expected"
            raise self.error(msg, hint=hint)
        self.keys(value, _KEYS, "the lock")
        options = self.mapping(value["options"], "options")
        self.keys(options, {"dockerPlatform"}, "options", optional={"volume"})
        return Lock(
            tuple(self._images(value["images"])),
            tuple(self._extras(value["extras"])),
            {
                self.digest(key, "objects"): self._object(item, f"objects, {key[:19]}")
                for key, item in self.mapping(value["objects"], "objects").items()
            },
            self._absent(self.mapping(value["absent"], "absent")),
            Platform.parse(self.text(options["dockerPlatform"], "dockerPlatform")),
            tuple(self.text(name, "failed") for name in self.list(value["failed"], "failed")),
            self._volume(options["volume"]) if "volume" in options else None,
        )

    def _volume(self, value: object) -> Volume:
        fields = self.mapping(value, "volume")
        self.keys(fields, {"number", "of", "size"}, "volume")
        volume = Volume(
            *(self.size(fields[key], f"volume, {key}") for key in ("number", "of", "size"))
        )
        if not 1 <= volume.number <= volume.of or volume.size < 1:
            self.refuse(f"volume {volume.number} of {volume.of} of {volume.size} bytes cannot be")
        return volume

    def _images(self, value: object) -> Iterator[Root]:
        names: set[Reference] = set()
        for position, entry in enumerate(self.list(value, "images")):
            what = f"images[{position}]"
            fields = self.mapping(entry, what)
            self.keys(fields, {"name", "origin", "platforms", "root"}, what)
            text = self.text(fields["name"], f"{what}, name")
            name = Reference.parse(text)
            if name in names or str(name) != text:
                problem = "stands there twice" if name in names else f"is written {name} in full"
                self.refuse(f"{what}: {text} {problem}")
            names.add(name)
            yield self._root(fields, what, name=name)

    def _extras(self, value: object) -> Iterator[Root]:
        for position, entry in enumerate(self.list(value, "extras")):
            what = f"extras[{position}]"
            fields = self.mapping(entry, what)
            self.keys(fields, {"name", "origin", "platforms", "root", "subject"}, what)
            subject = fields["subject"]
            yield self._root(
                fields,
                what,
                extra=self.text(fields["name"], f"{what}, name"),
                subject=None if subject is None else self.digest(subject, f"{what}, subject"),
            )

    def _root(
        self,
        fields: dict[str, Any],
        what: str,
        *,
        name: Reference | None = None,
        extra: str = "",
        subject: Digest | None = None,
    ) -> Root:
        origin = fields["origin"]
        if origin is not None:
            origin = self.text(origin, f"{what}, origin")
            reference = Reference.parse(origin)
            if reference.digest is None or str(reference) != origin:
                self.refuse(f"{what}: the origin {origin} is not a full name with a digest")
        platforms = self.text(fields["platforms"], f"{what}, platforms")
        return Root(
            name,
            Descriptor.from_json(fields["root"], f"{self.where}, {what}, root"),
            origin or "",
            "" if platforms == "all" else platforms,
            extra,
            subject,
        )

    def _object(self, value: object, what: str) -> LockObject:
        fields = self.mapping(value, what)
        self.keys(fields, {"mediaType", "size"}, what, optional={"children", "platform"})
        children = None
        if "children" in fields:
            children = tuple(
                self.digest(child, f"{what}, children")
                for child in self.list(fields["children"], f"{what}, children")
            )
        platform = None
        if "platform" in fields:
            platform = Platform.from_json(self.mapping(fields["platform"], f"{what}, platform"))
        return LockObject(
            self.text(fields["mediaType"], f"{what}, mediaType"),
            self.size(fields["size"], f"{what}, size"),
            children,
            platform,
        )

    def _absent(self, value: dict[str, Any]) -> dict[Digest, AbsentReason]:
        absent: dict[Digest, AbsentReason] = {}
        for key, digests in value.items():
            if key not in set(AbsentReason):
                self.refuse(f"absent: {key!r} is not a reason")
            for text in self.list(digests, f"absent, {key}"):
                digest = self.digest(text, f"absent, {key}")
                if digest in absent:
                    self.refuse(f"absent: {digest.short} stands there twice")
                absent[digest] = AbsentReason(key)
        return absent
