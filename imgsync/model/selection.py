"""Choosing some of what a store holds: ``--image GLOB`` and ``--platform LIST|host|all``. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from imgsync.errors import NotFound
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import DOCKER_IO

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.model.platform import Platform
    from imgsync.model.reference import Reference

HOST: Final = "host"
_LIBRARY: Final = "library/"


@dataclass(frozen=True, slots=True)
class Selection:
    """What ``--image`` and ``--platform`` chose.

    Attributes:
        globs: which images; all, if empty.
        choice: which platforms.
    """

    globs: tuple[str, ...] = ()
    choice: PlatformChoice = field(default_factory=PlatformChoice)

    @property
    def is_all(self) -> bool:
        """Whether nothing was chosen or left out."""
        return not self.globs and self.choice.is_all

    def chosen(
        self,
        roots: Sequence[Root],
        documents_of: Callable[[Digest], Collection[Digest]] | None = None,
        *,
        side: str = "source",
    ) -> tuple[Root, ...]:
        """The roots that were chosen; see `choose_images`."""
        return choose_images(roots, self.globs, documents_of or itself, side=side)


def choose_platforms(texts: Iterable[str], host: Platform) -> PlatformChoice:
    """Read the values of ``--platform``, where ``host`` stands for the platform given.

    Raises:
        InvalidPlatform: a part that is no platform.
    """
    parts = (part.strip() for text in texts for part in text.split(","))
    return PlatformChoice.parse(str(host) if part == HOST else part for part in parts)


def itself(digest: Digest) -> Collection[Digest]:
    """The documents of a root of which nothing else is known."""
    return (digest,)


def choose_images(
    roots: Sequence[Root],
    globs: Sequence[str],
    documents_of: Callable[[Digest], Collection[Digest]] = itself,
    *,
    side: str = "source",
) -> tuple[Root, ...]:
    """The roots that one of the globs names, all of them without a glob.

    A glob matches the full name or a shorter one that docker would take for it, with or without
    the tag (``redis*``, ``quay.io/*``); ``*`` crosses slashes. Signatures and other content about
    a chosen image come along. ``documents_of`` gives the digests of a root and of the documents
    below it, any of which such content may be about.

    Raises:
        NotFound: a glob names nothing; the message says what there is.
    """
    if not globs:
        return tuple(roots)
    chosen: set[int] = set()
    for glob in globs:
        found = {number for number, root in enumerate(roots) if _matches(root, glob)}
        if not found:
            raise _nothing(glob, roots, side)
        chosen |= found
    about = {item for number in chosen for item in documents_of(roots[number].descriptor.digest)}
    # Content may be about content that is itself about an image: a signature of an SBOM.
    grown = True
    while grown:
        grown = False
        for number, root in enumerate(roots):
            if number not in chosen and root.name is None and root.subject in about:
                chosen.add(number)
                about.update(documents_of(root.descriptor.digest))
                grown = True
    return tuple(roots[number] for number in sorted(chosen))


def spellings(name: Reference) -> Iterator[str]:
    """All that a person may call this image, the full name first."""
    shorts = [name.name]
    if name.registry == DOCKER_IO:
        shorts.append(name.repository)
        if name.repository.startswith(_LIBRARY):
            shorts.append(name.repository.removeprefix(_LIBRARY))
    end = str(name).removeprefix(name.name)
    yield from (f"{short}{end}" for short in shorts)
    yield from shorts


def _matches(root: Root, glob: str) -> bool:
    if root.name is None:
        return bool(root.extra) and fnmatchcase(root.extra, glob)
    return any(fnmatchcase(text, glob) for text in spellings(root.name))


def _nothing(glob: str, roots: Sequence[Root], side: str) -> NotFound:
    names = [root.label for root in roots if root.name is not None]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    hint = f"it has {', '.join(names[:5])}{more}" if names else "it has no named image"
    return NotFound(f"--image {glob}: {side} has no such image", hint=hint)
