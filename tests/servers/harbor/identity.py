"""Who asks, and what they may do.

A wrong password, an expired token and no credentials at all are the same to Harbor: nobody
in particular. Only the challenge differs (`checks.py`).
"""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tests.servers.harbor.state import PERMISSIONS, PUBLIC, ROLES, Project, Robot, State
from tests.servers.tokens import basic_credentials

NOTHING: frozenset[str] = frozenset()


class Identity(Protocol):
    """Someone who asks."""

    @property
    def name(self) -> str:
        """As it stands in a token; empty for nobody in particular."""

    @property
    def sysadmin(self) -> bool:
        """Whether this is an administrator of the whole Harbor."""

    def actions(self, project: Project) -> frozenset[str]:
        """What may be done with the project's repositories: `pull`, `push`, `delete`."""

    def may(self, project: Project, permission: str) -> bool:
        """Whether the API does this for them in the project, as `project:read`."""


@dataclass(frozen=True)
class Anonymous:
    """Nobody in particular."""

    name: str = ""
    sysadmin: bool = False

    def actions(self, project: Project) -> frozenset[str]:
        """Public projects can be read."""
        return frozenset({"pull"}) if project.public else NOTHING

    def may(self, project: Project, permission: str) -> bool:
        """Public projects can be looked at."""
        return project.public and permission in PUBLIC


@dataclass(frozen=True)
class Person:
    """A user of the local database."""

    name: str
    sysadmin: bool

    def actions(self, project: Project) -> frozenset[str]:
        """By role; an administrator may do everything, and everyone may read what is public."""
        if self.sysadmin:
            return ROLES["admin"]
        role = project.members.get(self.name)
        return (ROLES[role] if role else NOTHING) | Anonymous().actions(project)

    def may(self, project: Project, permission: str) -> bool:
        """By role."""
        if self.sysadmin:
            return True
        role = project.members.get(self.name)
        own = PERMISSIONS[role] if role else NOTHING
        return permission in own or Anonymous().may(project, permission)


@dataclass(frozen=True)
class Machine:
    """A robot account."""

    robot: Robot
    sysadmin: bool = False

    @property
    def name(self) -> str:
        """With its prefix."""
        return self.robot.name

    def actions(self, project: Project) -> frozenset[str]:
        """What its permissions list, for the project or for all."""
        return (self._listed(project) & ROLES["admin"]) | Anonymous().actions(project)

    def may(self, project: Project, permission: str) -> bool:
        """What its permissions list."""
        return permission in self._listed(project) or Anonymous().may(project, permission)

    def _listed(self, project: Project) -> frozenset[str]:
        rights = self.robot.rights
        return frozenset(rights.get(project.name, ())) | frozenset(rights.get("*", ()))


@dataclass(frozen=True)
class Token:
    """Whoever holds a token: it grants by project, not by repository."""

    name: str
    rights: Mapping[str, frozenset[str]]
    issued: float
    expires: float
    sysadmin: bool = False

    def actions(self, project: Project) -> frozenset[str]:
        """What it was issued for, unless the project is younger than the token."""
        if project.is_new_to > self.issued:
            return NOTHING
        return self.rights.get(project.name, NOTHING)

    def may(self, project: Project, permission: str) -> bool:
        """It is for images only."""
        return False


@dataclass
class Identities:
    """Recognises people, robots and tokens by the Authorization header."""

    state: State
    tokens: dict[str, Token] = field(default_factory=dict)
    failed_logins: list[str] = field(default_factory=list)  # names, in order

    def of(self, header: str | None, *, bearer: bool = True) -> Identity:
        """Who sends this header; `Anonymous` for whoever is not recognised."""
        if header is None:
            return Anonymous()
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "bearer" and bearer:
            return self._of_token(rest)
        credentials = basic_credentials(header)
        return Anonymous() if credentials is None else self._of_password(*credentials)

    def _of_token(self, text: str) -> Identity:
        token = self.tokens.get(text)
        return token if token is not None and token.expires > time.time() else Anonymous()

    def _of_password(self, name: str, password: str) -> Identity:
        robot = self.state.robots.get(name)
        if robot is not None and robot.usable and _same(robot.secret, password):
            return Machine(robot)
        account = self.state.accounts.get(name)
        if account is not None and _same(account.password, password):
            return Person(name, account.sysadmin)
        self.failed_logins.append(name)
        return Anonymous()


def _same(expected: str, given: str) -> bool:
    return secrets.compare_digest(expected.encode(), given.encode())
