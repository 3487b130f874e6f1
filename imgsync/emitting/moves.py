"""Moves: which repository became which, as far as a configuration can say it. Pure.

What runs containers rewrites the names of repositories, and never tags. So a mapping that sends
two tags of one repository to two places, or gives an image another tag, cannot be said in any of
these formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from imgsync.errors import Conflict, InvalidReference, NotFound
from imgsync.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.bundle import Root
    from imgsync.model.mapping import Mapping

_MOST = 5


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """One repository: where pods say it is, and where it is."""

    host: str
    path: str
    new_host: str
    new_path: str

    @property
    def prefix(self) -> str | None:
        """What stands before the old path in the new one; None if it is no prefix of it."""
        if self.new_path == self.path:
            return ""
        end = f"/{self.path}"
        return self.new_path.removesuffix(end) if self.new_path.endswith(end) else None

    def __str__(self) -> str:
        return f"{self.host}/{self.path} -> {self.new_host}/{self.new_path}"


@dataclass(frozen=True, slots=True)
class Moves:
    """All repositories, sorted."""

    moves: tuple[Move, ...]

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[Reference, Reference]]) -> Self:
        """What old and new names have in common.

        Raises:
            Conflict: it is about tags; see the module's docstring.
            NotFound: nothing gets another name.
        """
        found: dict[tuple[str, str], tuple[Move, Reference]] = {}
        for old, new in pairs:
            if old.tag and new.tag and old.tag != new.tag:
                msg = f"{old} becomes {new}: no configuration can change a tag"
                raise Conflict(msg, hint="change it in the manifests of the pods")
            move = Move(old.registry, old.repository, new.registry, new.repository)
            before, name = found.setdefault((move.host, move.path), (move, old))
            if before != move:
                msg = f"{name} and {old} are of one repository and go to two: {before}; {move}"
                raise Conflict(msg, hint="no configuration tells tags apart")
        moves = sorted(
            move
            for move, _ in found.values()
            if (move.host, move.path) != (move.new_host, move.new_path)
        )
        if not moves:
            msg = "no image gets another name"
            raise NotFound(msg, hint="say where they are: --to HOST/PROJECT, or --map")
        return cls(tuple(moves))

    def by_host(self) -> Iterator[tuple[str, tuple[Move, ...]]]:
        """The moves of each old host."""
        for host in sorted({move.host for move in self.moves}):
            yield host, tuple(move for move in self.moves if move.host == host)


def common_prefix(moves: Sequence[Move]) -> tuple[str, str] | None:
    """New host and prefix, where all of these moves have the same; else None."""
    found = {(move.new_host, move.prefix) for move in moves}
    new_host, prefix = next(iter(found))
    return (new_host, prefix) if len(found) == 1 and prefix is not None else None


def pairs_of(roots: Iterable[Root], mapping: Mapping) -> Iterator[tuple[Reference, Reference]]:
    """Each image's name where it came from, and the one that it has after the mapping."""
    for root in roots:
        if root.name is not None:
            yield origin_of(root) or root.name, mapping.apply(root.name)


def origin_of(root: Root) -> Reference | None:
    """Where an image came from; None where nobody wrote it down."""
    try:
        return Reference.parse(root.origin) if root.origin else None
    except InvalidReference:
        return None


def some(moves: Sequence[Move]) -> str:
    """A few moves, for messages."""
    more = f"\n  and {len(moves) - _MOST} more" if len(moves) > _MOST else ""
    return "".join(f"\n  {move}" for move in moves[:_MOST]) + more
