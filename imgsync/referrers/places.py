"""Where things about an image are looked for: a repository of a registry, or a store beside it.

What looking costs at a registry: one request that finds out whether it has the referrers API, and
one list of tags for each repository and run. With the API one request for each index and manifest
more; without it nothing but what those tags name.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from imgsync.content import read_verified
from imgsync.errors import ImgsyncError, NetworkError, NotFound, Refused
from imgsync.model.descriptor import Descriptor
from imgsync.model.manifest import parse_document
from imgsync.model.reference import Reference
from imgsync.model.referrer_tags import cosign_tags, fallback_tag, subject_of_tag
from imgsync.stores.selected import Selected
from imgsync.stores.single import Single
from imgsync.walk import check_document_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest
    from imgsync.stores import Holding, Resolved, Source


class Referrer(Protocol):
    """One line of a registry's answer."""

    @property
    def descriptor(self) -> Descriptor:
        """The manifest."""
        ...

    @property
    def artifact_type(self) -> str:
        """What it says that it is; may be empty."""
        ...


@runtime_checkable
class Referring(Protocol):
    """A repository that can be asked what is about a digest."""

    def has_referrers_api(self, subject: Digest) -> bool:
        """Whether the registry has the API; asked once, with any digest."""
        ...

    def referrers(self, subject: Digest) -> Sequence[Referrer]:
        """What the API says, or the fallback tag where there is no API."""
        ...

    def referrers_by_tag(self, subject: Digest) -> Sequence[Referrer]:
        """What the fallback tag says."""
        ...

    def tags(self) -> list[str]:
        """All tags."""
        ...

    def resolve(self, reference: Reference) -> Resolved:
        """What a tag means."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Something about a digest.

    Attributes:
        descriptor: what it is.
        tag: by which it was found, which it keeps; empty where its subject is all that leads to it.
        artifact_type: as far as that is known without reading it.
        origin: where it was read before, if it comes from a bundle.
    """

    descriptor: Descriptor
    tag: str = ""
    artifact_type: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found about one digest, and what could not be asked."""

    found: tuple[Found, ...] = ()
    errors: tuple[ImgsyncError, ...] = ()


class Place(Protocol):
    """Where things about digests may be; ``source`` gives their content."""

    @property
    def source(self) -> Source:
        """Where the content is read."""
        ...

    def about(self, subject: Digest) -> Answer:
        """What is about this digest there."""
        ...


def place_of(source: Source) -> Place | None:
    """Where things about the images of this source are.

    None for a store whose roots are all asked for anyway, and for one that knows of no such thing.
    """
    if isinstance(source, Single):
        return place_of(source.source)
    if isinstance(source, Selected):
        return HoldingPlace(source.inner)
    return RegistryPlace(source, source) if isinstance(source, Referring) else None


class RegistryPlace:
    """A repository; its tags are listed once, and it is left alone once it does not answer."""

    def __init__(self, source: Source, repository: Referring) -> None:
        """Both are the same object, by what it can do."""
        self.source = source
        self._repository = repository
        self._lock = threading.Lock()
        self._tags: frozenset[str] | ImgsyncError | None = None
        self._first = threading.Lock()
        self._is_begun = False
        self._down: ImgsyncError | None = None

    def know_tags(self, tags: Iterable[str]) -> None:
        """Take a list of tags that was asked for already."""
        with self._lock:
            self._tags = frozenset(tags)

    def about(self, subject: Digest) -> Answer:
        """By the API, by the fallback tag, and by cosign's tags."""
        if not self._is_begun:
            # Alone, so that a registry that is down is waited for once.
            with self._first:
                if not self._is_begun:
                    answer = self._about(subject)
                    self._is_begun = True
                    return answer
        return self._about(subject)

    def _about(self, subject: Digest) -> Answer:
        found: list[Found] = []
        errors: list[ImgsyncError] = []

        def add(look: Callable[[], Iterable[Found]]) -> None:
            try:
                if self._down is None:
                    found.extend(look())
            except NetworkError as error:
                self._down = self._as_told(error)
            except ImgsyncError as error:
                errors.append(error)

        add(lambda: self._by_api(subject))
        add(lambda: self._by_tags(subject))
        if self._down is not None:
            errors.append(self._down)
        return Answer(tuple(found), tuple(errors))

    def _as_told(self, error: NetworkError) -> ImgsyncError:
        if getattr(self._repository, "without_mirrors", self._repository) is self._repository:
            return error
        # The images may well come from a mirror; that the registry is out of reach is no failure.
        return Refused(f"{error.message}; mirrors are not asked for it")

    def _by_api(self, subject: Digest) -> list[Found]:
        if not self._repository.has_referrers_api(subject):
            return []
        return [_listed(item) for item in self._repository.referrers(subject)]

    def _by_tags(self, subject: Digest) -> list[Found]:
        tags = self._all_tags()
        found = [self._by_tag(tag) for tag in cosign_tags(subject) if tag in tags]
        # With the API too: a registry that got it later may keep the older ones there.
        if fallback_tag(subject) in tags:
            found.extend(_listed(item) for item in self._repository.referrers_by_tag(subject))
        return found

    def _by_tag(self, tag: str) -> Found:
        reference = Reference.parse(f"{self.source.side}:{tag}")
        return Found(self._repository.resolve(reference).descriptor, tag)

    def _all_tags(self) -> frozenset[str]:
        with self._lock:
            if self._tags is None:
                try:
                    self._tags = frozenset(self._repository.tags())
                except NotFound:
                    self._tags = frozenset()  # a repository without any tag
                except ImgsyncError as error:
                    self._tags = error
            if isinstance(self._tags, ImgsyncError):
                raise self._tags
            return self._tags


def _listed(item: Referrer) -> Found:
    listed = item.descriptor
    bare = Descriptor(listed.media_type, listed.digest, listed.size)
    return Found(bare, artifact_type=item.artifact_type)


class HoldingPlace:
    """A bundle, an archive or a folder of which only some images were asked for."""

    def __init__(self, holding: Holding) -> None:
        """Look among all of its roots."""
        self.source: Source = holding
        self._holding = holding
        self._lock = threading.Lock()
        self._by_subject: dict[Digest, list[Found]] | None = None

    def about(self, subject: Digest) -> Answer:
        """The roots that say so, or whose documents or tags do."""
        with self._lock:
            if self._by_subject is None:
                self._by_subject = self._index()
            return Answer(tuple(self._by_subject.get(subject, ())))

    def _index(self) -> dict[Digest, list[Found]]:
        found: dict[Digest, list[Found]] = {}
        for root in self._holding.bundle().roots:
            subject = subject_of(root, partial(self._subject_within, root))
            if subject is not None:
                item = Found(root.descriptor, root.tag, origin=root.origin)
                found.setdefault(subject, []).append(item)
        return found

    def _subject_within(self, root: Root) -> Digest | None:
        return subject_within(self._holding, root.descriptor)


def subject_of(root: Root, within: Callable[[], Digest | None]) -> Digest | None:
    """What a root is about, by what is said of it, by its tag, or by its document.

    ``within`` reads the document; an image with a name is not asked for that.
    """
    if root.subject is not None:
        return root.subject
    return subject_of_tag(root.tag) or (within() if root.name is None else None)


def subject_within(source: Source, descriptor: Descriptor) -> Digest | None:
    """The subject that a document names; None for what is no document, or damaged."""
    if not descriptor.is_document:
        return None
    try:
        check_document_size(descriptor)
        raw = read_verified(source.open(descriptor), descriptor, side=source.side)
        subject = parse_document(raw, descriptor).subject
    except ImgsyncError:
        return None
    return subject.digest if subject is not None else None
