"""What is told of the Harbor projects that a push goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsync.cli.output import human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgsync.harbor.facts import Quota
    from imgsync.harbor.preflight import HarborOptions, ProjectState


def project_lines(
    projects: Iterable[ProjectState], options: HarborOptions, *, done: bool = False
) -> Iterator[str]:
    """A line for each Harbor project of which there is something to tell."""
    for state in projects:
        added = f"adds at most {human_size(state.n_new_bytes)}" if state.n_new_bytes else ""
        if state.is_new and not done:
            kind = "public" if options.public else "private"
            yield f"{state.title}: to be created, {kind}{'; ' if added else ''}{added}"
        elif state.quota is not None and added:
            yield f"{state.title}: {added}; {room(state.quota)}"


def room(quota: Quota) -> str:
    """What is free, for people."""
    if quota.free is None:
        return f"{human_size(quota.used)} used, no limit"
    return f"{human_size(quota.free)} of {human_size(quota.limit)} free"


def projects_json(projects: Iterable[ProjectState]) -> list[dict[str, Any]]:
    """The same for programs; sizes in bytes, a limit of -1 is none."""
    return [
        {
            "host": state.host,
            "project": state.name,
            "exists": state.exists,
            "to_create": state.is_new,
            "new_bytes": state.n_new_bytes,
            "quota": quota_json(state.quota),
            "actions": sorted(state.grants.of(state.name)) if state.grants else None,
        }
        for state in projects
    ]


def quota_json(quota: Quota | None) -> dict[str, int | None] | None:
    """A quota for programs."""
    if quota is None:
        return None
    return {"limit": quota.limit, "used": quota.used, "free": quota.free}
