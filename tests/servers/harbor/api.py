"""`/api/version` and the part of `/api/v2.0/` that a client of the registry needs."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from tests.servers.harbor.errors import Refused, invalid, not_found
from tests.servers.harbor.identity import Anonymous, Identity, Machine, Person
from tests.servers.harbor.state import PROJECT_NAME, Project, State
from tests.servers.harbor.v2 import json_response
from tests.servers.upstream import Response

VERSION = "v2.15.2-stand-in"
_PREFIX = "/api/v2.0"


class Copy(Protocol):
    """Copies an artifact, and all that it needs, between two repositories."""

    def __call__(self, source: str, reference: str, target: str) -> str:
        """The digest of what the target now has."""


@dataclass(frozen=True)
class Call:
    """A request to the API."""

    identity: Identity
    path: tuple[str, ...]  # the variable parts, decoded
    query: Mapping[str, str]
    headers: Mapping[str, str]  # in lower case
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body."""
        try:
            document: object = json.loads(self.body)
        except ValueError as error:
            raise invalid(f"parsing body failed: {error}") from error
        if not isinstance(document, dict):
            raise invalid("parsing body failed: not an object")
        return document


class Api:
    """Answers `/api/`."""

    def __init__(self, state: State, external_url: Callable[[], str], copy: Copy) -> None:
        self._state = state
        self._external_url = external_url
        self._copy = copy
        self.ca: bytes | None = None  # offered by `getcert`
        self.healthy = True
        one = "([^/]+)"
        repository = f"/projects/{one}/repositories/{one}"
        self._routes: list[tuple[str, str, Callable[[Call], Response]]] = [
            ("GET", "/ping", lambda _: _text("Pong")),
            ("GET", "/health", self._health),
            ("GET", "/systeminfo", self._system_info),
            ("GET", "/systeminfo/getcert", self._get_certificate),
            ("GET", "/users/current", self._current_user),
            ("HEAD", "/projects", self._head_project),
            ("GET", "/projects", self._list_projects),
            ("POST", "/projects", self._create_project),
            ("GET", f"/projects/{one}", self._get_project),
            ("DELETE", f"/projects/{one}", self._delete_project),
            ("GET", f"/projects/{one}/summary", self._summary),
            ("GET", f"/projects/{one}/immutabletagrules", self._immutable_rules),
            ("GET", f"/retentions/{one}", self._get_retention),
            ("GET", "/robots", self._list_robots),
            ("GET", "/quotas", self._list_quotas),
            ("GET", f"/quotas/{one}", self._get_quota),
            ("GET", f"/projects/{one}/repositories", self._list_repositories),
            ("GET", f"{repository}/artifacts", self._list_artifacts),
            ("POST", f"{repository}/artifacts", self._copy_artifact),
            ("GET", f"{repository}/artifacts/{one}", self._get_artifact),
            ("POST", f"{repository}/artifacts/{one}/tags", self._create_tag),
            ("DELETE", f"{repository}/artifacts/{one}/tags/{one}", self._delete_tag),
        ]

    def answer(
        self,
        method: str,
        path: str,
        identity: Identity,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Response:
        """The response to send.

        Raises:
            Refused: with Harbor's words.
        """
        address = urlsplit(path)
        if address.path == "/api/version":
            return json_response({"version": "v2.0"})
        # The router decodes once, the handlers a second time: hence `a%252Fb`.
        decoded = unquote(address.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        for known_method, pattern, call in self._routes:
            found = re.fullmatch(_PREFIX + pattern, decoded)
            if found is not None and known_method == method:
                parts = tuple(unquote(part) for part in found.groups())
                return call(Call(identity, parts, query, headers, body))
        raise not_found(f"path {address.path} was not found")

    # The system.

    def _health(self, _: Call) -> Response:
        status = "healthy" if self.healthy else "unhealthy"
        components = [
            {"name": name, "status": "healthy"} for name in ("core", "database", "registry")
        ]
        job_service = {"name": "jobservice", "status": status}
        return json_response({"status": status, "components": [*components, job_service]})

    def _system_info(self, call: Call) -> Response:
        info: dict[str, Any] = {
            "auth_mode": "db_auth",
            "primary_auth_mode": False,
            "self_registration": False,
            "banner_message": "",
        }
        if not isinstance(call.identity, Anonymous):
            url = self._external_url()
            info |= {
                "harbor_version": VERSION,
                "external_url": url,
                "registry_url": url.partition("://")[2],
                "project_creation_restriction": self._state.creation_restriction,
                "read_only": self._state.read_only,
                "has_ca_root": self.ca is not None,
            }
        return json_response(info)

    def _get_certificate(self, _: Call) -> Response:
        if self.ca is None:
            raise not_found("No certificate found.")
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(len(self.ca))),
        ]
        return Response(200, headers, iter([self.ca]))

    def _current_user(self, call: Call) -> Response:
        _authenticated(call)
        if not isinstance(call.identity, Person):
            text = "get current user not available for security context: robot"
            raise Refused(412, "PRECONDITION", text)
        identity = call.identity
        return json_response({"username": identity.name, "sysadmin_flag": identity.sysadmin})

    # Projects.

    def _head_project(self, call: Call) -> Response:
        _authenticated(call)
        name = call.query.get("project_name", "")
        if name not in self._state.projects:
            raise not_found(f"project {name} not found")
        return _empty(200)

    def _list_projects(self, call: Call) -> Response:
        with self._state.lock:
            visible = sorted(
                (
                    project
                    for project in self._state.projects.values()
                    # A robot's projects are listed, also those that it may not look at.
                    if call.identity.actions(project)
                    and call.query.get("name", "") in project.name
                    and call.query.get("q", f"name={project.name}") == f"name={project.name}"
                ),
                key=lambda project: project.name,
            )
        return _page(call, [self._described(project) for project in visible], "/projects")

    def _create_project(self, call: Call) -> Response:
        _authenticated(call)
        self._may_create(call.identity)
        wanted = call.json()
        name = str(wanted.get("project_name", ""))
        metadata = wanted.get("metadata") or {}
        if not isinstance(metadata.get("public", ""), str):
            raise invalid("cannot unmarshal bool into ProjectMetadata.public of type string")
        if len(name) > 255:
            raise invalid("project_name in body should be at most 255 chars long")
        if not PROJECT_NAME.fullmatch(name):
            text = "project name is not in lower case or contains illegal characters"
            raise Refused(400, "BAD_REQUEST", text)
        with self._state.lock:
            if name in self._state.projects:
                raise Refused(409, "CONFLICT", f"The project named {name} already exists")
            limit = wanted.get("storage_limit")
            project = self._state.add_project(
                name,
                public=metadata.get("public") == "true",
                # A robot owns nothing: the first administrator does.
                owner="admin" if isinstance(call.identity, Machine) else call.identity.name,
                storage_limit=limit if limit is not None and call.identity.sysadmin else -1,
            )
            if isinstance(call.identity, Person):
                project.members[call.identity.name] = "admin"
        by_name = call.headers.get("x-resource-name-in-location", "").lower() == "true"
        location = f"{_PREFIX}/projects/{project.name if by_name else project.id}"
        return Response(201, [("Location", location), ("Content-Length", "0")], iter(()))

    def _may_create(self, identity: Identity) -> None:
        restricted = self._state.creation_restriction == "adminonly"
        if isinstance(identity, Machine):
            if not identity.robot.system_level:
                raise Refused(403, "FORBIDDEN", "Only system level robot can create project")
            restricted = restricted and not identity.robot.may_create_projects
        if restricted and not identity.sysadmin:
            raise Refused(403, "FORBIDDEN", "Only system admin can create project")

    def _get_project(self, call: Call) -> Response:
        return json_response(self._described(self._visible(call)))

    def _delete_project(self, call: Call) -> Response:
        project = self._visible(call)
        if "delete" not in call.identity.actions(project):
            raise Refused(403, "FORBIDDEN", "forbidden")
        if any(True for _ in self._state.repositories(project.name)):
            text = f"project {project.name} can not be deleted: it contains repositories"
            raise Refused(412, "PRECONDITION", text)
        self._state.remove_project(project.name)
        return _empty(200)

    def _summary(self, call: Call) -> Response:
        project = self._visible(call)
        n_repositories = sum(1 for _ in self._state.repositories(project.name))
        if not call.identity.may(project, "quota:read"):
            return json_response({"repo_count": n_repositories})
        quota = {"hard": {"storage": project.storage_limit}, "used": {"storage": 0}}
        quota["used"]["storage"] = self._state.usage(project)
        return json_response({"repo_count": n_repositories, "quota": quota})

    def _immutable_rules(self, call: Call) -> Response:
        project = self._visible(call, "immutable-tag:list")
        rules = []
        for number, rule in enumerate(project.immutable, 1):
            value = rule.as_json() | {"id": number}
            del value["disabled"]  # what is false is left out
            rules.append(value)
        return _page(call, rules, "/immutabletagrules")

    def _visible(self, call: Call, permission: str = "project:read") -> Project:
        """The project of the path, if the identity may do this there."""
        key = call.path[0]
        by_name = call.headers.get("x-is-resource-name", "").lower() == "true"
        with self._state.lock:
            project = next(
                (
                    known
                    for known in self._state.projects.values()
                    if (
                        known.name == key
                        if by_name or not key.isdecimal()
                        else known.id == int(key)
                    )
                ),
                None,
            )
        if project is None and call.identity.sysadmin:
            raise not_found(f"project {key} not found")
        if project is None or not call.identity.may(project, permission):
            # Whether there is such a project is nobody else's business.
            _authenticated(call)
            raise Refused(403, "FORBIDDEN", "forbidden")
        return project

    def _described(self, project: Project) -> dict[str, Any]:
        n_repositories = sum(1 for _ in self._state.repositories(project.name))
        return {
            "project_id": project.id,
            "name": project.name,
            "owner_name": project.owner,
            "repo_count": n_repositories,
            "metadata": {
                "public": "true" if project.public else "false",
                # A policy has an id of its own; here it is that of the project.
                **({"retention_id": str(project.id)} if project.retention else {}),
            },
            **({"registry_id": 1} if project.upstream else {}),
        }

    # Retention, and robots.

    def _get_retention(self, call: Call) -> Response:
        project = self._visible(replace(call, headers={}), "tag-retention:read")
        return json_response({"id": project.id, "rules": project.retention})

    def _list_robots(self, call: Call) -> Response:
        """Those of the system are for administrators, of a project for whoever administers it."""
        _authenticated(call)
        found = re.fullmatch(
            r"Level=(system|project)(?:,ProjectID=(\d+))?", call.query.get("q", "")
        )
        if found is None:
            raise Refused(400, "BAD_REQUEST", "invalid query")
        level, number = found.groups()
        projects = {project.name: project for project in self._state.projects.values()}
        owner = next((p for p in projects.values() if str(p.id) == number), None)
        if level == "system" or owner is None:
            _sysadmin(call)
        elif not call.identity.may(owner, "robot:list"):
            raise Refused(403, "FORBIDDEN", "forbidden")
        rows = [
            {
                "name": robot.name,
                "level": level,
                "disable": robot.disabled,
                "expires_at": int(robot.expires),
                "permissions": [
                    {
                        "kind": "project",
                        "namespace": name,
                        "access": [_access(action) for action in actions],
                    }
                    for name, actions in robot.rights.items()
                ],
            }
            for robot in self._state.robots.values()
            if robot.system_level == (level == "system")
            and (owner is None or owner.name in robot.rights)
        ]
        return _page(call, rows, "/robots")

    # Quotas: for administrators.

    def _list_quotas(self, call: Call) -> Response:
        _sysadmin(call)
        wanted = call.query.get("reference_id")
        with self._state.lock:
            quotas = [
                self._quota(project)
                for project in self._state.projects.values()
                if wanted in {None, str(project.id)}
            ]
        return _page(call, quotas, "/quotas")

    def _get_quota(self, call: Call) -> Response:
        _sysadmin(call)
        with self._state.lock:
            for project in self._state.projects.values():
                if str(project.id) == call.path[0]:
                    return json_response(self._quota(project))
        raise not_found(f"quota {call.path[0]} not found")

    def _quota(self, project: Project) -> dict[str, Any]:
        return {
            "id": project.id,
            "ref": {"id": project.id, "name": project.name, "owner_name": project.owner},
            "hard": {"storage": project.storage_limit},
            "used": {"storage": self._state.usage(project)},
        }

    # Repositories and artifacts.

    def _list_repositories(self, call: Call) -> Response:
        project = self._visible(call, "repository:list")
        with self._state.lock:
            rows = [
                {"name": name, "artifact_count": len(self._state.artifacts[name])}
                for name in self._state.repositories(project.name)
            ]
        return _page(call, rows, f"/projects/{project.name}/repositories")

    def _repository(self, call: Call, permission: str = "artifact:read") -> str:
        project = self._visible(call, permission)
        return f"{project.name}/{call.path[1]}"

    def _list_artifacts(self, call: Call) -> Response:
        repository = self._repository(call)
        if repository not in self._state.artifacts:
            raise not_found(f"repository {repository} not found")
        with self._state.lock:
            rows = [self._artifact(call, digest) for digest in self._state.listed(repository)]
        return _page(call, rows, f"/projects/{call.path[0]}/repositories/{call.path[1]}/artifacts")

    def _get_artifact(self, call: Call) -> Response:
        repository = self._repository(call)
        return json_response(self._artifact(call, self._digest(repository, call.path[2])))

    def _artifact(self, call: Call, digest: str) -> dict[str, Any]:
        repository = self._repository(call)
        artifact = self._state.artifacts[repository][digest]
        rules = self._visible(call).immutable
        told = call.query.get("with_immutable_status") == "true"
        tags = [tag for tag, named in self._state.tags[repository].items() if named == digest]
        return {
            "digest": digest,
            "size": artifact.size,
            "manifest_media_type": artifact.media_type,
            "artifact_type": artifact.artifact_type,
            "repository_name": repository,
            "tags": [
                {
                    "name": tag,
                    "immutable": told and any(rule.covers(call.path[1], tag) for rule in rules),
                }
                for tag in sorted(tags)
            ]
            or None,
        }

    def _digest(self, repository: str, reference: str) -> str:
        artifact = self._state.find(repository, reference)
        if artifact is None:
            mark = "@" if ":" in reference else ":"
            raise not_found(f"artifact {repository}{mark}{reference} not found")
        return artifact.digest

    def _copy_artifact(self, call: Call) -> Response:
        target = self._repository(call)
        self._may_push(call)
        found = re.fullmatch(r"([^@:]+)(?:@|:)(.+)", call.query.get("from", ""))
        if found is None:
            raise Refused(400, "BAD_REQUEST", f"artifact {call.query.get('from', '')} not found")
        source, reference = found.groups()
        project = self._state.projects.get(source.split("/")[0])
        if project is None or "pull" not in call.identity.actions(project):
            raise Refused(403, "FORBIDDEN", "forbidden")
        self._digest(source, reference)
        digest = self._copy(source, reference, target)
        name = call.path[1].replace("/", "%252F")
        location = f"{_PREFIX}/projects/{call.path[0]}/repositories/{name}/artifacts/{digest}"
        return Response(201, [("Location", location), ("Content-Length", "0")], iter(()))

    def _create_tag(self, call: Call) -> Response:
        repository = self._repository(call)
        self._may_push(call)
        digest = self._digest(repository, call.path[2])
        tag = str(call.json().get("name", ""))
        with self._state.lock:
            if tag in self._state.tags[repository]:
                text = f"tag {tag} already exists under repository {repository}"
                raise Refused(409, "CONFLICT", text)
            self._state.tags[repository][tag] = digest
        return _empty(201)

    def _delete_tag(self, call: Call) -> Response:
        repository = self._repository(call, "tag:delete")
        project = self._visible(call, "tag:delete")
        self._digest(repository, call.path[2])
        tag = call.path[3]
        if any(rule.covers(call.path[1], tag) for rule in project.immutable):
            text = f"the tag {tag} configured as immutable, cannot be deleted"
            raise Refused(412, "PRECONDITION", text)
        with self._state.lock:
            if self._state.tags[repository].pop(tag, None) is None:
                raise not_found(f"tag {tag} not found")
        return _empty(200)

    def _may_push(self, call: Call) -> None:
        if not call.identity.may(self._visible(call), "tag:create"):
            raise Refused(403, "FORBIDDEN", "forbidden")


def _authenticated(call: Call) -> None:
    if isinstance(call.identity, Anonymous):
        raise Refused(401, "UNAUTHORIZED", "unauthorized")


def _sysadmin(call: Call) -> None:
    _authenticated(call)
    if not call.identity.sysadmin:
        raise Refused(403, "FORBIDDEN", call.identity.name)


def _page(call: Call, rows: Sequence[object], path: str) -> Response:
    """One page; the query of its links is not escaped, as in Harbor."""
    number, size = (int(call.query.get(key, default)) for key, default in _PAGING.items())
    if size > 100:
        raise invalid("page_size in query should be less than or equal to 100")
    number, size = max(number, 1), max(size, 1)
    start = (number - 1) * size
    response = json_response(rows[start : start + size])
    response.set("X-Total-Count", str(len(rows)))
    extra = "".join(f"&{key}={value}" for key, value in call.query.items() if key not in _PAGING)
    links = [
        f'<{_PREFIX}{path}?page={other}&page_size={size}{extra}>; rel="{name}"'
        for other, name in ((number - 1, "prev"), (number + 1, "next"))
        if other >= 1 and (other - 1) * size < len(rows)
    ]
    response.set("Link", " , ".join(links) or None)
    return response


_PAGING = {"page": "1", "page_size": "10"}


def _access(permission: str) -> dict[str, str]:
    """`pull` is of repositories, everything else says what it is of."""
    resource, _, action = permission.rpartition(":")
    return {"resource": resource or "repository", "action": action}


def _text(text: str) -> Response:
    data = text.encode()
    headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(data)))]
    return Response(200, headers, iter([data]))


def _empty(status: int) -> Response:
    return Response(status, [("Content-Length", "0")], iter(()))
