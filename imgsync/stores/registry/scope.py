"""Scopes: what a token may be used for (distribution, docs/spec/auth/scope.md). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

PULL: Final = frozenset({"pull"})
PUSH: Final = frozenset({"pull", "push"})


class Scope(NamedTuple):
    """``repository:team/app:pull,push``, in parts."""

    kind: str
    name: str
    actions: frozenset[str]

    def __str__(self) -> str:
        """As a token server reads it; actions in a fixed order."""
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


Scopes = tuple[Scope, ...]


def pull_scope(repository: str) -> Scope:
    """To read from a repository."""
    return Scope("repository", repository, PULL)


def push_scope(repository: str) -> Scope:
    """To write to a repository, which includes reading."""
    return Scope("repository", repository, PUSH)


def parse_scopes(text: str) -> Scopes:
    """The scopes of a challenge, separated by blanks; what is none is passed over.

    A name may hold a colon (``host:port/name``): the type ends at the first, the actions begin
    behind the last.
    """
    return merged(_parsed(part) for part in text.split() if part.count(":") >= 2)


def _parsed(text: str) -> Scope:
    kind, _, rest = text.partition(":")
    name, _, actions = rest.rpartition(":")
    return Scope(kind, name, frozenset(action for action in actions.split(",") if action))


def merged(scopes: Iterable[Scope]) -> Scopes:
    """Each name once with all its actions, in order: some token servers only read the first."""
    actions: dict[tuple[str, str], frozenset[str]] = {}
    for scope in scopes:
        key = scope.kind, scope.name
        actions[key] = actions.get(key, frozenset()) | scope.actions
    return tuple(Scope(kind, name, what) for (kind, name), what in actions.items())


def covers(granted: Scopes, wanted: Scopes) -> bool:
    """Whether a token asked for with ``granted`` also does for ``wanted``."""
    have = {(scope.kind, scope.name): scope.actions for scope in granted}
    return all(scope.actions <= have.get((scope.kind, scope.name), frozenset()) for scope in wanted)


def projects(scopes: Scopes) -> frozenset[str]:
    """The Harbor projects of these scopes; its tokens hold for a project, not a repository."""
    return frozenset(scope.name.partition("/")[0] for scope in scopes if scope.kind == "repository")
