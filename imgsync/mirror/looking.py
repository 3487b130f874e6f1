"""Looking: what each image means at its source and at its target, and so what has to move.

An image that is the same at both sides costs one HEAD at each, all of them in parallel. One that
is pinned by its digest costs only the one at the target.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from imgsync.errors import ImgsyncError
from imgsync.mirror.platforms import narrow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from imgsync.mirror.items import MirrorItem
    from imgsync.mirror.state import State
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.pushing.gate import Gate
    from imgsync.stores import Source


class Target(Protocol):
    """A repository that knows what its tags mean."""

    def digest_of_tag(self, tag: str) -> Descriptor | None:
        """What a tag means, or None if there is none."""
        ...


OpenSource = Callable[["Reference"], "Source"]
OpenTarget = Callable[["Reference"], Target]


@dataclass(slots=True)
class Looked:
    """One image, as it was found.

    Attributes:
        root: what it is at the source; None where that needed no asking, or failed.
        before: what the target's tag means.
        is_same: whether the target is what it should be.
        error: it could not be found out; ``failed_at_target`` says where.
        left_out: manifests of platforms that are not wanted.
        about: what was found about it, as `imgsync.mirror.recheck` marks it.
    """

    item: MirrorItem
    root: Descriptor | None = None
    before: Descriptor | None = None
    is_same: bool = False
    error: ImgsyncError | None = None
    failed_at_target: bool = False
    left_out: frozenset[Digest] = frozenset()
    about: set[str] = field(default_factory=set)

    @property
    def source_digest(self) -> Digest | None:
        """What it is at the source, as far as that is known."""
        return self.root.digest if self.root is not None else self.item.source.digest


def look(
    items: list[MirrorItem],
    open_source: OpenSource,
    open_target: OpenTarget,
    state: State,
    *,
    jobs: int,
    gate: Gate | None = None,
) -> list[Looked]:
    """Look at all images; one that fails stops no other.

    ``gate`` is asked about targets that did not answer as they should: a project that is missing
    may be one that is to be created, and else it knows better why.
    """
    with ThreadPoolExecutor(jobs, "look") as pool:
        pending = [
            (
                item,
                pool.submit(_source, open_source, item) if item.source.digest is None else None,
                pool.submit(_target, open_target, item),
            )
            for item in items
        ]
        looked = [_looked(*entry) for entry in pending]
        if gate is not None:
            _ask_gate([one for one in looked if one.failed_at_target], open_target, gate)
        list(pool.map(lambda one: _compare(one, open_source, state), looked))
    return looked


def _source(open_source: OpenSource, item: MirrorItem) -> Descriptor:
    return open_source(item.source).resolve(item.source).descriptor


def _target(open_target: OpenTarget, item: MirrorItem) -> Descriptor | None:
    return open_target(item.target).digest_of_tag(item.target.tag)


def _looked(
    item: MirrorItem,
    source: Future[Descriptor] | None,
    target: Future[Descriptor | None],
) -> Looked:
    looked = Looked(item)
    try:
        looked.before = target.result()
    except ImgsyncError as error:
        looked.error, looked.failed_at_target = error, True
    try:
        looked.root = source.result() if source is not None else None
    except ImgsyncError as error:
        looked.error, looked.failed_at_target = error, False
    return looked


def _ask_gate(failed: Sequence[Looked], open_target: OpenTarget, gate: Gate) -> None:
    refused = gate.refused([looked.item.target for looked in failed]) if failed else {}
    for looked in failed:
        target = looked.item.target
        if target.name in refused:
            looked.error = refused[target.name]
            continue
        try:
            looked.before = open_target(target).digest_of_tag(target.tag)
            looked.error, looked.failed_at_target = None, False
        except ImgsyncError as error:
            looked.error = error


def _compare(looked: Looked, open_source: OpenSource, state: State) -> None:
    """Decide whether it is the same, asking the source for more only where it must be."""
    digest = looked.source_digest
    if looked.error is not None or looked.before is None or digest is None:
        return
    choice = looked.item.platforms
    wanted = digest if choice.is_all else state.rewritten_digest(digest, str(choice))
    if wanted is None:
        # The state is gone or new; the index tells what it would be made to.
        try:
            source = open_source(looked.item.source)
            root = looked.root or source.resolve(looked.item.source).descriptor
            wanted = narrow(source, root, choice).root.digest
        except ImgsyncError as error:
            looked.error = error
            return
        state.remember_rewritten(digest, str(choice), wanted)
    looked.is_same = looked.before.digest == wanted
