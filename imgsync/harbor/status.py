"""What there is to know of a Harbor, or of one of its projects, for whoever asks.

Everything comes from the API as far as the account may see it; what it may do in a project, from
the token that a push would need. What may not be seen is None, and told as such.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.errors import AccessDenied, ImgsyncError, NotFound
from imgsync.harbor.detect import find_harbor
from imgsync.harbor.facts import Project, Quota, RetentionRule, RobotFacts, SystemInfo
from imgsync.harbor.grants import read_grants
from imgsync.stores.registry.request import Login, Request
from imgsync.stores.registry.scope import push_scope

if TYPE_CHECKING:
    from imgsync.harbor.api import HarborApi
    from imgsync.harbor.immutable import Rule
    from imgsync.stores.registry.client import Host


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """One project.

    Attributes:
        actions: what we may do there.
        robots: only where one project was asked for.
    """

    project: Project
    quota: Quota | None
    actions: frozenset[str] | None
    immutable: tuple[Rule, ...] | None
    retention: tuple[RetentionRule, ...] | None
    robots: tuple[RobotFacts, ...] | None = None


@dataclass(frozen=True, slots=True)
class HarborStatus:
    """One Harbor; ``who`` is an empty text for nobody in particular."""

    host: str
    info: SystemInfo
    who: str
    projects: tuple[ProjectStatus, ...]
    robots: tuple[RobotFacts, ...] | None = None


def harbor_status(host: Host, project: str = "", *, jobs: int = 4) -> HarborStatus:
    """Ask a Harbor about itself and all projects that we may see, or about one of them.

    Raises:
        NotFound: it is no Harbor, or has no such project.
        AccessDenied: it does not know us.
        NetworkError: it does not answer.
    """
    api = find_harbor(host)
    if api is None:
        host.ask(_anything(host)).close()  # a host that does not answer is told as that
        msg = f"{host.name} is no Harbor, as far as it tells"
        raise NotFound(msg, hint="does a proxy in front of it hide /v2/ or its challenge?")
    info = api.system_info() or SystemInfo()
    credential = host.auth.credential_of(project)
    if credential is not None and not info.knows_us:
        # With a scope, a wrong password would get a token for nobody.
        host.auth.token((), credential)
    who = str(credential) if credential is not None else ""
    if project:
        found = api.project(project)
        if found is None and api.project_exists(project) is False:
            msg = f"the project {host.name}/{project} does not exist"
            raise NotFound(msg, hint="imgsync push creates it with --create-project")
        if found is None:
            msg = f"{who or 'nobody in particular'} may not see the project {host.name}/{project}"
            raise AccessDenied(msg, hint="let a project's administrator add the account")
        status = _of_project(api, found, None, with_robots=True)
        return HarborStatus(host.name, info, who, (status,))
    quotas = api.quotas()
    projects = sorted(api.projects(), key=lambda item: item.name)
    with ThreadPoolExecutor(jobs, "status") as pool:
        all_of_them = tuple(pool.map(lambda item: _of_project(api, item, quotas), projects))
    robots = api.robots()
    return HarborStatus(
        host.name, info, who, all_of_them, None if robots is None else tuple(robots)
    )


def _of_project(
    api: HarborApi, project: Project, quotas: dict[str, Quota] | None, *, with_robots: bool = False
) -> ProjectStatus:
    rules = api.immutable_rules(project.name)
    robots = api.robots(project) if with_robots else None
    return ProjectStatus(
        project,
        api.quota(project.name) if quotas is None else quotas.get(project.name),
        _actions(api.host, project.name),
        None if rules is None else tuple(rules),
        api.retention(project),
        None if robots is None else tuple(robots),
    )


def _actions(host: Host, project: str) -> frozenset[str] | None:
    repository = f"{project}/any"
    credential = host.auth.credential_of(repository)
    try:
        token = host.auth.token((push_scope(repository),), credential)
    except ImgsyncError:
        return None
    grants = read_grants(token.text)
    return None if grants is None else grants.of(project)


def _anything(host: Host) -> Request:
    return Request("GET", f"{host.api}/", what="the API", login=Login.NOBODY)
