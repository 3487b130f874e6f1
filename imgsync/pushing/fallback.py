"""Keeping referrers findable at a registry without the referrers API.

After a push, for each subject that a referrer was pushed about: the index under the fallback tag
is read, what is not in it is added, and it is written. Once a subject; nothing where it is right,
and nothing at all where the registry has the API, which is asked and not taken for granted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from imgsync.content import read_verified
from imgsync.errors import ChildrenUnknown, ContentError, ImgsyncError
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.reference import Reference
from imgsync.model.referrer_tags import fallback_tag
from imgsync.referrers.fallback import entries_of, entry_of, index_of, merged, without

if TYPE_CHECKING:
    from imgsync.pushing.outcome import Pushed
    from imgsync.pushing.planned import PushPlan
    from imgsync.pushing.targets import PushTarget

ATTEMPTS: Final = 3
"""So often it is tried where somebody else writes at the same time."""


def keep_findable(planned: PushPlan, jobs: int) -> None:
    """List what was pushed under the fallback tag of its subject; a failure is the referrer's."""
    groups: dict[tuple[int, Digest], list[Pushed]] = {}
    for wanted, image in zip(planned.plan.wanted, planned.moving, strict=True):
        if image.error is not None or wanted.blobs_only:
            continue
        subject = planned.graph.documents[image.root.descriptor.digest].subject
        if subject is not None:
            groups.setdefault((wanted.destination, subject.digest), []).append(image)
    if not groups:
        return

    def keep(group: tuple[tuple[int, Digest], list[Pushed]]) -> None:
        (place, subject), images = group
        target = planned.destinations[place]
        entries = {
            image.root.descriptor.digest: entry_of(
                image.root.descriptor, planned.graph.documents[image.root.descriptor.digest]
            )
            for image in images
        }
        try:
            if not target.has_referrers_api(subject):
                list_at(target, images[0].item.target, subject, list(entries.values()))
        except ImgsyncError as error:
            for image in images:
                image.fail(error)

    with ThreadPoolExecutor(jobs, "referrers") as pool:
        list(pool.map(keep, groups.items()))


def list_at(
    target: PushTarget, place: Reference, subject: Digest, entries: list[dict[str, Any]]
) -> None:
    """Let the fallback tag of the subject list these; ``place`` is any name in the repository.

    Raises:
        Refused: the tag is immutable, or something else stands there.
        ContentError: somebody else wrote it again and again.
    """
    tag = fallback_tag(subject)
    name, where = place.with_tag(tag), f"{target.side}: tag {tag}"
    attempt = 0
    while True:
        attempt += 1
        raw = _wanted(target, tag, entries, where)
        if raw is None:
            return
        try:
            _write(target, name, raw)
        except ChildrenUnknown:
            listed = entries_of(raw, where)
            gone = target.missing(listed)
            if not gone:
                raise
            _write(target, name, without(raw, gone, where))
        except ContentError:
            if attempt == ATTEMPTS:
                raise
            continue
        return


def unlist(target: PushTarget, name: Reference, gone: Digest) -> Digest | None:
    """Let the fallback tag ``name`` not list this any more.

    Returns the digest of the list if it would be empty: it is unchanged then, and of no use.

    Raises:
        Refused: the tag is immutable, or something else stands there.
    """
    now = target.digest_of_tag(name.tag)
    if now is None:
        return None
    where = f"{target.side}: tag {name.tag}"
    raw = read_verified(target.open(now), now, side=target.side)
    listed = {item.digest for item in entries_of(raw, where)}
    if gone not in listed:
        return None
    if listed == {gone}:
        return now.digest
    _write(target, name, without(raw, {gone}, where))
    return None


def _wanted(
    target: PushTarget, tag: str, entries: list[dict[str, Any]], where: str
) -> bytes | None:
    """What is to stand there, or None if it does."""
    ours = index_of(entries)
    now = target.digest_of_tag(tag)
    if now is None:
        return ours
    if now.digest == Digest.of(ours):
        return None
    return merged(read_verified(target.open(now), now, side=target.side), entries, where)


def _write(target: PushTarget, name: Reference, raw: bytes) -> None:
    descriptor = Descriptor(OCI_INDEX, Digest.of(raw), len(raw))
    target.remember(descriptor, raw)
    target.name(name, descriptor)
