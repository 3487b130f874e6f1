"""Pool: several stores as one heap of content, for whoever needs digests and no names.

A store that lists what it has is asked for nothing else. A registry knows content by repository,
so for each image those repositories are asked that can have it: the one that was named, or those
that the image's own names lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imgsync.errors import NotFound
from imgsync.inventory.places import Place
from imgsync.model.descriptor import Descriptor
from imgsync.model.mapping import Mapping, Prefix
from imgsync.model.reference import Reference
from imgsync.presence import held_sizes
from imgsync.stores import Source
from imgsync.stores.containerd.namespace import Containerd, reference_of
from imgsync.stores.selected import Selected
from imgsync.stores.single import Single

if TYPE_CHECKING:
    from imgsync.content import Readable
    from imgsync.model.digest import Digest
    from imgsync.stores import Holding, Resolved

Repositories = Callable[[Reference], Source]
"""Opens the repository that a name is in."""


@runtime_checkable
class Asked(Source, Protocol):
    """A store that must be asked for each object: a repository."""

    def missing(self, descriptors: Collection[Descriptor]) -> set[Digest]:
        """Those that it does not have."""
        ...


class Pool:
    """Source: the content of all of them."""

    def __init__(
        self,
        stores: Sequence[Holding],
        places: Sequence[Place] = (),
        repositories: Repositories | None = None,
    ) -> None:
        """Take content from these stores and places, in this order; ``repositories`` opens one."""
        self._stores = stores
        self._places = places
        self._repositories = repositories
        self._owners: dict[Digest, list[Source]] = {}

    @property
    def side(self) -> str:
        """All of them."""
        places = [f"{place.host}/{place.path}".rstrip("/") for place in self._places]
        return ", ".join((*(store.side for store in self._stores), *places))

    def sources(self, names: Iterable[str]) -> tuple[Source, ...]:
        """Where the content of an image with these names may be."""
        found: list[Source] = [
            store.source if isinstance(store, Single) else store for store in self._stores
        ]
        references = [reference for reference in map(reference_of, names) if reference is not None]
        open_repository = self._repositories
        if open_repository is not None:
            found += [
                open_repository(reference)
                for place in self._places
                for reference in repositories_in(place, references)
            ]
        return tuple(dict.fromkeys(found))

    def root(self, media_type: str, digest: Digest, sources: Iterable[Source]) -> Descriptor | None:
        """What a digest is that nothing else describes any more; None where nobody has it.

        Raises:
            AccessDenied, NetworkError: a registry cannot be asked.
        """
        for store in self._stores:
            for root in store.bundle().roots:
                if root.descriptor.digest == digest:
                    return root.descriptor
        for source in sources:
            sizes = held_sizes(source)
            if sizes is not None:
                if digest in sizes:
                    return Descriptor(media_type, digest, sizes[digest])
            elif isinstance(source, Asked):
                try:
                    return source.resolve(_by_digest(digest)).descriptor
                except NotFound:
                    continue
        return None

    def remember(self, items: Iterable[Descriptor], sources: Sequence[Source]) -> None:
        """These sources may have these objects."""
        for item in items:
            owners = self._owners.setdefault(item.digest, [])
            owners += [source for source in sources if source not in owners]

    def missing(self, items: Iterable[Descriptor], sources: Sequence[Source]) -> list[Descriptor]:
        """What none of these sources has, as far as that can be known.

        Raises:
            AccessDenied, NetworkError: a registry cannot be asked.
        """
        left = list(items)
        for source in sources:
            left = [item for item in left if item.digest in _missing(source, left)]
        return left

    def resolve(self, reference: Reference) -> Resolved:
        """Nothing: there are no names here."""
        raise NotFound(f"{self.side}: {reference} is looked for by its digest only")

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """The bytes from the first store that has them.

        Raises:
            NotFound: none has them.
        """
        for source in self._owners.get(descriptor.digest, self._stores):
            if descriptor.digest in _missing(source, [descriptor], is_opened=True):
                continue
            try:
                return source.open(descriptor, offset)
            except NotFound:
                continue
        raise NotFound(f"{self.side}: {descriptor.short} is not there")


def repositories_in(place: Place, names: Iterable[Reference]) -> list[Reference]:
    """Where in a place images of these names are, each once.

    Below a path that is what they are called there, or what `--to` would make of them, with and
    without `--keep-registry`.
    """
    found: dict[str, Reference] = {}
    if not place.is_prefix:
        return [Reference(place.host, place.path, "x")]
    to = Prefix(place.host, place.path.rstrip("/"))
    for name in names:
        if to.holds(name):
            moved = [name]
        else:
            moved = [Mapping(to=to, keep_registry=keep).apply(name) for keep in (False, True)]
        found.update((reference.name, reference) for reference in moved)
    return list(found.values())


def _missing(
    source: Source, items: Collection[Descriptor], *, is_opened: bool = False
) -> Collection[Digest]:
    """Those that a source does not have; what is to be opened is not asked for before."""
    sizes = held_sizes(source)
    if sizes is not None:
        return {item.digest for item in items if sizes.get(item.digest) != item.size}
    if is_opened:
        return ()
    inner = source.inner if isinstance(source, Selected) else source
    if isinstance(inner, Containerd):
        held = inner.content.digests()
        return {item.digest for item in items if item.digest not in held}
    return inner.missing(items) if isinstance(inner, Asked) else ()


def _by_digest(digest: Digest) -> Reference:
    """A name for who is asked by digest and in one repository: only that counts."""
    return Reference("imgsync.local", "pool", digest=digest)
