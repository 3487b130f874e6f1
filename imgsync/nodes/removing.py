"""Taking images away from a node: what goes with a name, what stays, and what that frees.

``ctr images rm NAME`` alone frees nothing where CRI is: its record ``sha256:<config>`` holds the
content. And it takes away what a container runs from, without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from imgsync.errors import NotFound
from imgsync.stores.containerd.anchors import is_anchor
from imgsync.stores.containerd.images import PINNED
from imgsync.stores.containerd.namespace import is_cri_record, reference_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.nodes.facts import NamespaceFacts
    from imgsync.stores.containerd.namespace import Containerd


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes, and what does not.

    Attributes:
        records: the names to drop, those by digest and those of CRI among them.
        kept: names that were asked for and stay, with the container that uses them.
        content: what nothing else in the namespace needs.
    """

    records: tuple[str, ...]
    kept: Mapping[str, str]
    content: tuple[Descriptor, ...]

    @property
    def n_bytes(self) -> int:
        """How much nothing else in the namespace needs."""
        return sum(item.size for item in self.content)


@dataclass(frozen=True, slots=True)
class Freed:
    """What a removal freed.

    Attributes:
        n_objects: how many objects the namespace does not have any more.
        n_bytes: how much of the disk that is: not what another namespace has.
        shared_bytes: what another namespace has.
    """

    n_objects: int
    n_bytes: int
    shared_bytes: int


def names_asked_for(facts: NamespaceFacts, asked: Iterable[str]) -> set[str]:
    """The records that names or globs mean, verbatim or as docker reads them.

    Raises:
        NotFound: one of them means nothing.
    """
    known = {record.name for record in facts.images()}
    found: set[str] = set()
    for text in asked:
        reference = reference_of(text)
        full = {text} if reference is None else {text, str(reference)}
        hits = {name for name in known if name in full or fnmatchcase(name, text)}
        if not hits:
            raise NotFound(f"{facts.side} has no image {text}", hint="imgsync check lists them")
        found |= hits
    return found


def names_not_in(facts: NamespaceFacts, wanted: Collection[Digest]) -> set[str]:
    """The records of all images that are not wanted; whatever the name, the content counts."""
    return {record.name for record in facts.images() if record.digest not in wanted}


def plan_removal(
    facts: NamespaceFacts,
    names: Collection[str],
    used: Mapping[str, str],
    *,
    waiting: bool = False,
) -> Removal:
    """What goes with these names.

    Args:
        facts: the namespace.
        names: records of images.
        used: the records that containers were made from, each with a container.
        waiting: also let go what is kept for imports that were not finished.
    """
    by_root: dict[Digest, set[str]] = {}
    for name, record in facts.records.items():
        by_root.setdefault(record.digest, set()).add(name)
    going: set[str] = {name for name in facts.records if waiting and is_anchor(name)}
    kept: dict[str, str] = {}
    for digest, records in by_root.items():
        asked = records & set(names)
        container = next((used[name] for name in sorted(records) if name in used), None)
        if not asked:
            continue
        if container is not None:
            kept.update(dict.fromkeys(asked, container))
            continue
        left = {name for name in records - asked if not is_cri_record(name)}
        going |= asked
        tagged = {_repository(name) for name in left if "@" not in name}
        twins = {name for name in left if _is_twin(name, digest)}
        gone = {name for name in twins if _repository(name) in {_repository(a) for a in asked}}
        going |= {name for name in gone if _repository(name) not in tagged}
        if not left - going:
            going |= records
    return Removal(tuple(sorted(going)), kept, tuple(_let_go(facts, going)))


def remove(containerd: Containerd, facts: NamespaceFacts, removal: Removal) -> Freed:
    """Unpin and drop the names, collect garbage, and measure what that freed.

    Raises:
        LockHeld: another run works on the namespace.
        ContainerdError: ``ctr`` failed.
    """
    with containerd.locked():
        before = containerd.content.digests()
        for name in removal.records:
            record = facts.records[name]
            if PINNED.items() <= record.labels.items():
                containerd.images.label(name, dict.fromkeys(PINNED, ""))
        if removal.records:
            containerd.images.remove(*removal.records)
        containerd.content.collect_garbage()
        gone = before - containerd.content.digests()
    shared: set[Digest] = set()
    for namespace in containerd.namespaces():
        if namespace != containerd.namespace:
            shared |= gone & containerd.other(namespace).content.digests()
    sizes = {digest: item.size for digest, item in facts.graph.descriptors.items()}
    return Freed(
        len(gone),
        sum(sizes.get(digest, 0) for digest in gone - shared),
        sum(sizes.get(digest, 0) for digest in shared),
    )


def _repository(name: str) -> str:
    reference = reference_of(name)
    return name if reference is None else reference.name


def _is_twin(name: str, digest: Digest) -> bool:
    return name.endswith(f"@{digest}")


def _let_go(facts: NamespaceFacts, going: Collection[str]) -> Iterable[Descriptor]:
    staying = {record.digest for name, record in facts.records.items() if name not in going}
    kept = {
        item.digest
        for item in facts.graph.closure(
            root for digest, root in facts.roots.items() if digest in staying
        )
    }
    lost = (
        root
        for digest, root in facts.roots.items()
        if digest not in staying and any(facts.records[name].digest == digest for name in going)
    )
    for item in facts.graph.closure(lost):
        if item.digest in facts.present and item.digest not in kept:
            yield item
