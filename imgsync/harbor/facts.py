"""What Harbor's API says, as frozen values. Pure.

The fields are those of Harbor's api/v2.0/swagger.yaml. Everything may be missing: what an account
may not see is not there, and older versions have less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from imgsync.harbor.immutable import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class SystemInfo:
    """Of the whole Harbor.

    Attributes:
        version, creation_restriction: empty for whoever is not logged in; the restriction is
            ``everyone`` or ``adminonly``.
    """

    auth_mode: str = ""
    version: str = ""
    read_only: bool = False
    creation_restriction: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read ``/systeminfo``."""
        return cls(
            _text(value, "auth_mode"),
            _text(value, "harbor_version"),
            value.get("read_only") is True,
            _text(value, "project_creation_restriction"),
        )

    @property
    def knows_us(self) -> bool:
        """Whether it was answered to somebody in particular."""
        return bool(self.version or self.creation_restriction)


@dataclass(frozen=True, slots=True)
class Quota:
    """What counts against a project, in bytes; a limit of -1 is none."""

    limit: int
    used: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self | None:
        """Read what has ``hard`` and ``used``; None if it does not."""
        limit, used = (_mapping(value, key).get("storage") for key in ("hard", "used"))
        if not isinstance(limit, int) or not isinstance(used, int):
            return None
        return cls(limit, used)

    @property
    def free(self) -> int | None:
        """How many bytes it still takes; None for any number."""
        return None if self.limit < 0 else max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Project:
    """A project.

    Attributes:
        is_proxy: it fetches from another registry, and takes nothing from us.
        retention_id: of its rules about what is deleted after a while; 0 for none.
    """

    name: str
    id: int = 0
    is_public: bool = False
    is_proxy: bool = False
    retention_id: int = 0

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a project."""
        metadata = _mapping(value, "metadata")
        retention = str(metadata.get("retention_id") or "")
        return cls(
            _text(value, "name"),
            _number(value, "project_id"),
            str(metadata.get("public", "")).lower() == "true",
            _number(value, "registry_id") > 0,
            int(retention) if retention.isascii() and retention.isdigit() else 0,
        )


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """What is kept; artifacts that no rule keeps are deleted when the policy runs."""

    repositories: str
    tags: str
    keeps: str
    is_enabled: bool = True

    def __str__(self) -> str:
        """For people."""
        off = "" if self.is_enabled else " (off)"
        return f"keeps {self.keeps} of {self.repositories}:{self.tags}{off}"


def retention_rules(value: Mapping[str, Any]) -> tuple[RetentionRule, ...]:
    """Read a retention policy."""
    rules = []
    for entry in _list(value, "rules"):
        pattern = Rule.from_json(entry)
        rules.append(
            RetentionRule(
                pattern.repositories.text,
                pattern.tags.text,
                _kept(entry),
                entry.get("disabled") is not True,
            )
        )
    return tuple(rules)


_TEMPLATES = {
    "latestPushedK": "the {0} pushed last",
    "latestPulledN": "the {0} pulled last",
    "latestActiveK": "the {0} used last",
    "nDaysSinceLastPush": "what was pushed in {0} days",
    "nDaysSinceLastPull": "what was pulled in {0} days",
    "always": "all",
}
"""Harbor, src/pkg/retention/policy/rule."""


def _kept(entry: Mapping[str, Any]) -> str:
    template = _text(entry, "template")
    parameters = _mapping(entry, "params")
    return _TEMPLATES.get(template, template).format(parameters.get(template, "?"))


@dataclass(frozen=True, slots=True)
class RobotFacts:
    """A robot account, as far as it may be seen. ``scope``: for each project, what it may do."""

    name: str
    level: str
    is_usable: bool
    expires_at: int
    scope: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a robot."""
        scope = [
            (
                _text(permission, "namespace") or "/",
                tuple(
                    f"{_text(access, 'resource')}:{_text(access, 'action')}"
                    for access in _list(permission, "access")
                ),
            )
            for permission in _list(value, "permissions")
        ]
        is_usable = value.get("disable") is not True
        expires = value.get("expires_at")
        expires_at = expires if isinstance(expires, int) else -1
        return cls(_text(value, "name"), _text(value, "level"), is_usable, expires_at, tuple(scope))


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _number(value: Mapping[str, Any], key: str) -> int:
    number = value.get(key)
    return number if isinstance(number, int) else 0


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _list(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
