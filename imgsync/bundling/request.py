"""What is asked to go into a bundle, and what it turned out to be. Frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsync.model.platform import PlatformChoice
from imgsync.referrers.choice import ReferrerChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imgsync.model.bundle import AbsentReason, Root
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores import Source


@dataclass(frozen=True, slots=True)
class Request:
    """One image that the user asked for.

    Attributes:
        label: how the user wrote it, for messages.
        source: where it is read from.
        reference: what is asked there, or None where ``root`` is known already.
        root: of a source that lists what it holds (an archive, a layout).
        name: what the image is called in the bundle.
        choice: its platforms.
        extra: for content without a name in ``index.json``, its own name.
        subject: for a referrer, what it is about.
        absent: what the source itself declares to be left out.
        looks_about: whether to look for what is about it; a lock says all of that itself.
    """

    label: str
    source: Source
    reference: Reference | None = None
    root: Root | None = None
    name: Reference | None = None
    choice: PlatformChoice = field(default_factory=PlatformChoice)
    extra: str = ""
    subject: Digest | None = None
    absent: Mapping[Digest, AbsentReason] = field(default_factory=dict)
    looks_about: bool = True


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """The options of a bundle that are not about one image.

    Attributes:
        jobs: workers, for documents and for blobs.
        retries: of an object, at one source.
        refresh: resolve names anew, although an earlier run has resolved them.
        strict_tags: a tag that no longer means the digest that was asked for is an error.
        skip_missing_platforms: go on where an image lacks a platform that was named.
        keep_going: leave out what cannot be resolved or read, and say so in the lock.
        have: what the receiver has already; those blobs are left out, manifests never are.
        only: of the blobs just these, where not None: the answer to a repair request.
        referrers: what about the images comes along.
        failed_before: what an earlier bundle left out, of which this one is made again.
        at_url: opens the n-th of the ``urls`` that layers name, for what no other source has;
            None asks none of them.
        sign_key: a file of an SSH key that signs the lock; an empty text for none.
    """

    jobs: int = 8
    retries: int = 3
    refresh: bool = False
    strict_tags: bool = False
    skip_missing_platforms: bool = False
    keep_going: bool = False
    have: frozenset[Digest] = frozenset()
    only: frozenset[Digest] | None = None
    referrers: ReferrerChoice = field(default_factory=ReferrerChoice)
    failed_before: tuple[str, ...] = ()
    at_url: Callable[[int], Source] | None = None
    sign_key: str = ""

    def is_at_receiver(self, digest: Digest) -> bool:
        """Whether a blob need not be carried because the other side has it."""
        return digest in self.have or (self.only is not None and digest not in self.only)
