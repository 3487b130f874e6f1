"""Signatures that came after their image: which unchanged images have something new about them.

An image that was carried is remembered with the digests of its documents and with what was about
them. From then on it costs, as long as it stays the same:

- at a source without the referrers API, the list of tags of its repository, once a run: a tag of
  cosign's or a fallback tag that was not there before is seen at once;
- at any source, once every ``--recheck-referrers``, the question what is about each document.

Only an image about which something new is found is looked at in full, as if it had changed. None
of this reads a manifest, and so it costs no pull.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError
from imgsync.mirror.state import Checked
from imgsync.model.digest import Digest
from imgsync.model.referrer_tags import cosign_tags, fallback_tag
from imgsync.referrers.collecting import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imgsync.mirror.looking import Looked
    from imgsync.mirror.sources import MirrorRepository
    from imgsync.mirror.state import State
    from imgsync.model.reference import Reference
    from imgsync.pushing.outcome import Pushed
    from imgsync.referrers.choice import ReferrerChoice
    from imgsync.referrers.collecting import Collector
    from imgsync.walk import Graph

EVERY_S: Final = 24 * 3600.0


@dataclass(slots=True)
class Recheck:
    """Decides for unchanged images; one object for one run."""

    state: State
    collector_of: Callable[[ReferrerChoice], Collector]
    open_source: Callable[[Reference], MirrorRepository]
    every_s: float = EVERY_S
    clock: Callable[[], float] = lambda: 0.0

    def due(self, same: Iterable[Looked]) -> list[Looked]:
        """Those unchanged images that have to be looked at in full."""
        asked: dict[str, list[tuple[Looked, Checked]]] = {}
        due: list[Looked] = []
        for looked in same:
            choice = looked.item.referrers
            if choice.is_none or looked.source_digest is None:
                continue
            checked = self.state.checked(_key(looked))
            if checked is None or self._has_new_tags(looked, checked):
                due.append(looked)
            elif not 0 <= self.clock() - checked.when_s < self.every_s:
                asked.setdefault(str(choice), []).append((looked, checked))
        for group in asked.values():
            due += self._ask(group)
        return due

    def learn(self, looked: Looked, graph: Graph, extras: Sequence[Pushed]) -> None:
        """Remember an image that was looked at in full, and what is about it.

        Not where something about it failed: the next run tries that again.
        """
        if looked.item.referrers.is_none or looked.root is None:
            return
        left_out = looked.left_out
        documents = {
            item.digest
            for item in graph.closure([looked.root])
            if item.is_document and item.digest not in left_out
        }
        known: set[str] = set()
        for extra in extras:
            root = extra.item.root
            if root.subject in documents and extra.item.target.name == looked.item.target.name:
                if extra.error is not None:
                    return
                known.add(_mark(extra.item.target.tag, root.descriptor.digest))
                documents |= {
                    item.digest for item in graph.closure([root.descriptor]) if item.is_document
                }
        before = self.state.checked(_key(looked))
        # What is there and was not chosen must not be found anew for ever.
        known |= self._tags_about(looked, documents)
        known |= looked.about | (before.known if before is not None else frozenset())
        self._remember(looked, frozenset(map(str, documents)), frozenset(known))

    def _has_new_tags(self, looked: Looked, checked: Checked) -> bool:
        """Whether a tag about the image is there that was not."""
        looked.about |= self._tags_about(looked, map(Digest.parse, checked.documents))
        return not looked.about <= checked.known

    def _tags_about(self, looked: Looked, documents: Iterable[Digest]) -> set[str]:
        """The tags about documents, at a source without the API; it lists them once a run."""
        source, digests = self.open_source(looked.item.source), sorted(documents)
        try:
            if not digests or source.has_referrers_api(digests[0]):
                return set()
            tags = set(source.tags())
        except ImgsyncError:
            # The image itself is as it should be; a later run may know more.
            return set()
        names = {tag for digest in digests for tag in (*cosign_tags(digest), fallback_tag(digest))}
        return {_mark(tag) for tag in names & tags}

    def _ask(self, group: Sequence[tuple[Looked, Checked]]) -> list[Looked]:
        """Ask about every document of these, which are of one choice."""
        collector = self.collector_of(group[0][0].item.referrers)
        subjects = [
            Subject(Digest.parse(text), self.open_source(looked.item.source), looked.item.target, n)
            for n, (looked, checked) in enumerate(group)
            for text in sorted(checked.documents)
        ]
        failed: set[int] = set()
        for subject, (_source, answer) in zip(subjects, collector.look(subjects), strict=True):
            looked, _ = group[subject.image]
            looked.about |= {_mark(item.tag, item.descriptor.digest) for item in answer.found}
            if answer.errors:
                failed.add(subject.image)
        due = []
        for number, (looked, checked) in enumerate(group):
            if not looked.about <= checked.known:
                due.append(looked)
            elif number not in failed:
                self._remember(looked, checked.documents, checked.known)
        return due

    def _remember(self, looked: Looked, documents: frozenset[str], known: frozenset[str]) -> None:
        self.state.remember_checked(_key(looked), Checked(self.clock(), documents, known))


def _key(looked: Looked) -> str:
    item = looked.item
    return f"{item.source.name}@{looked.source_digest} {item.target.name} {item.referrers}"


def _mark(tag: str, digest: Digest | str = "") -> str:
    """Something about an image, as the state remembers it: a digest, a tag, or both."""
    return f"{tag}@{digest}" if tag else str(digest)
