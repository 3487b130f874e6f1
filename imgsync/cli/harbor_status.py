"""What ``imgsync harbor status`` found, for people and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imgsync.cli.harbor_output import quota_json
from imgsync.cli.output import human_size, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgsync.harbor.facts import Quota, RobotFacts
    from imgsync.harbor.status import HarborStatus, ProjectStatus

_UNSEEN = "?"


def status_text(status: HarborStatus) -> str:
    """A line about the Harbor, then a table of the projects, or all about the one."""
    info = status.info
    facts = [
        f"{status.host}: Harbor {info.version}".rstrip(),
        "read-only at the moment" if info.read_only else "",
        f"projects are created by {info.creation_restriction}" if info.creation_restriction else "",
        f"asked as {status.who}" if status.who else "asked without credentials",
    ]
    lines = ["; ".join(fact for fact in facts if fact)]
    if len(status.projects) == 1 and status.robots is None:
        return "\n".join([*lines, *_one_project(status.projects[0])])
    headers = ("PROJECT", "PUBLIC", "USED", "LIMIT", "FREE", "MAY", "IMMUTABLE", "RETENTION")
    lines.append(table(headers, map(_row, status.projects), right="USED,LIMIT,FREE"))
    lines += [f"robot {_robot(robot)}" for robot in status.robots or ()]
    return "\n".join(lines)


def status_json(status: HarborStatus) -> dict[str, Any]:
    """The same for programs; null is what the account may not see."""
    return {
        "host": status.host,
        "version": status.info.version or None,
        "read_only": status.info.read_only,
        "project_creation": status.info.creation_restriction or None,
        "auth_mode": status.info.auth_mode or None,
        "asked_as": status.who or None,
        "projects": [_project_json(project) for project in status.projects],
        "robots": _robots_json(status.robots),
    }


def _row(status: ProjectStatus) -> tuple[str, ...]:
    quota = status.quota
    return (
        status.project.name,
        "yes" if status.project.is_public else "no",
        human_size(quota.used) if quota else _UNSEEN,
        _limit(quota),
        _free(quota),
        _may(status),
        _list(status.immutable),
        _list(status.retention),
    )


def _one_project(status: ProjectStatus) -> Iterator[str]:
    project, quota = status.project, status.quota
    kinds = ["public" if project.is_public else "private"]
    kinds += ["proxy-cache: it takes no pushes"] if project.is_proxy else []
    yield f"project: {project.name} ({', '.join(kinds)})"
    used = human_size(quota.used) if quota else _UNSEEN
    yield f"quota: {used} used, limit {_limit(quota)}, free {_free(quota)}"
    yield f"may: {_may(status)}"
    yield f"immutable: {_list(status.immutable)}"
    yield f"retention: {_list(status.retention)}"
    if not status.robots:
        yield f"robots: {_UNSEEN if status.robots is None else '-'}"
    for robot in status.robots or ():
        yield f"robot {_robot(robot)}"


def _limit(quota: Quota | None) -> str:
    if quota is None:
        return _UNSEEN
    return "none" if quota.limit < 0 else human_size(quota.limit)


def _free(quota: Quota | None) -> str:
    if quota is None:
        return _UNSEEN
    return "any" if quota.free is None else human_size(quota.free)


def _may(status: ProjectStatus) -> str:
    if status.actions is None:
        return _UNSEEN
    return ",".join(sorted(status.actions)) or "nothing"


def _list(rules: Iterable[object] | None) -> str:
    if rules is None:
        return _UNSEEN
    return "; ".join(map(str, rules)) or "-"


def _robot(robot: RobotFacts) -> str:
    until = "" if robot.expires_at < 0 else f", until {_date(robot.expires_at)}"
    off = "" if robot.is_usable else ", off"
    scope = "; ".join(f"{where}: {', '.join(access)}" for where, access in robot.scope)
    return f"{robot.name} ({robot.level}{until}{off}): {scope or 'nothing'}"


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _project_json(status: ProjectStatus) -> dict[str, Any]:
    immutable, retention = status.immutable, status.retention
    return {
        "project": status.project.name,
        "public": status.project.is_public,
        "proxy_cache": status.project.is_proxy,
        "quota": quota_json(status.quota),
        "actions": None if status.actions is None else sorted(status.actions),
        "immutable": None
        if immutable is None
        else [
            {
                "repositories": rule.repositories.text,
                "tags": rule.tags.text,
                "enabled": rule.is_enabled,
            }
            for rule in immutable
        ],
        "retention": None
        if retention is None
        else [
            {
                "repositories": rule.repositories,
                "tags": rule.tags,
                "keeps": rule.keeps,
                "enabled": rule.is_enabled,
            }
            for rule in retention
        ],
        "robots": _robots_json(status.robots),
    }


def _robots_json(robots: Iterable[RobotFacts] | None) -> list[dict[str, Any]] | None:
    if robots is None:
        return None
    return [
        {
            "name": robot.name,
            "level": robot.level,
            "usable": robot.is_usable,
            "expires_at": robot.expires_at,
            "scope": {where: list(access) for where, access in robot.scope},
        }
        for robot in robots
    ]
