"""A Harbor that the developer has, set up and looked at by its API, as the stand-in is.

Tests take it instead of the stand-in with `--harbor URL`, so that what they and the stand-in
say of Harbor is compared with Harbor itself. Take one that is made for that: projects that
come while tests run are deleted, and its configuration is changed and put back. What was there
before is left alone; a test that needs a project or a robot of that name fails.

A recording proxy stands in front, so that tests count requests here too.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import quote, urlencode

import requests

from tests.servers.harbor.state import Account, ImmutableRule
from tests.servers.proxy import FaultyProxy

_TIMEOUT_S = 60
_ROLES = {"admin": 1, "developer": 2, "guest": 3, "maintainer": 4, "limited-guest": 5}
_MOST = 100  # entries of a page


class Unexpected(Exception):
    """The API answers something else than that it has done it."""


@dataclass
class RunningHarbor(FaultyProxy):
    """`RunningHarbor(upstream="http://HOST:PORT")`; see `Harbor` for what is not said here.

    Attributes:
        users: people of the local database; those that are there already must be of an earlier
            run, with the same password.
        password: of `admin`.
    """

    users: Mapping[str, Account] = field(default_factory=dict)
    password: str = ""
    _before: set[str] = field(default_factory=set)  # projects that are not ours
    _ids: dict[str, int] = field(default_factory=dict)
    _registries: list[int] = field(default_factory=list)
    _robots: dict[str, int] = field(default_factory=dict)
    _changed: dict[str, object] = field(default_factory=dict)  # configuration as it was
    _http: requests.Session = field(default_factory=requests.Session)

    def __enter__(self) -> Self:
        self._http.trust_env = False
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._before = self.projects()
        for name, account in self.users.items():
            self._add_user(name, account)
        return super().__enter__()

    def __exit__(self, *exc_info: object) -> None:
        self.clean()
        self._http.close()
        super().__exit__(*exc_info)

    # What tests set up.

    def project(
        self,
        name: str,
        *,
        members: Mapping[str, str] | None = None,
        public: bool = False,
        storage_limit: int = -1,
        immutable: Iterable[ImmutableRule] = (),
        upstream: str | None = None,
        upstream_is_docker_hub: bool = False,
        require_signature: bool = False,
        retention: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """A new project."""
        wanted: dict[str, Any] = {
            "project_name": name,
            "metadata": {"public": "true" if public else "false"},
            "storage_limit": storage_limit,
        }
        if upstream is not None:
            kind = "docker-hub" if upstream_is_docker_hub else "docker-registry"
            wanted["registry_id"] = self._add_registry(f"of-{name}", kind, upstream)
        self._ask("POST", "/projects", wanted)
        self._ids[name] = self._id(name)
        for user, role in (members or {}).items():
            member = {"role_id": _ROLES[role], "member_user": {"username": user}}
            self._ask("POST", f"/projects/{self._ids[name]}/members", member)
        self.make_immutable(name, immutable)
        if require_signature:
            self.require_signatures(name)
        if rules := [*retention]:
            self._retain(self._ids[name], rules)

    def robot(
        self,
        name: str,
        secret: str,
        rights: Mapping[str, Iterable[str]],
        *,
        may_create_projects: bool = False,
        days: int = -1,
    ) -> None:
        """A robot: `robot$NAME` or `robot$PROJECT+NAME`; rights by project, or `*` for all."""
        owner, _, own = name.removeprefix("robot$").rpartition("+")
        permissions: list[dict[str, Any]] = [
            {
                "kind": "project",
                "namespace": project,
                "access": [_access(action) for action in actions],
            }
            for project, actions in rights.items()
        ]
        if may_create_projects:
            create = [{"resource": "project", "action": "create"}]
            permissions.append({"kind": "system", "namespace": "/", "access": create})
        made = self._ask(
            "POST",
            "/robots",
            {
                "name": own,
                "level": "project" if owner else "system",
                "duration": days,
                "permissions": permissions,
            },
        ).json()
        self._robots[name] = made["id"]
        self._ask("PATCH", f"/robots/{made['id']}", {"secret": secret})

    def disable_robot(self, name: str) -> None:
        """It is still there, and may nothing."""
        path = f"/robots/{self._robots[name]}"
        self._ask("PUT", path, self._ask("GET", path).json() | {"disable": True})

    def limit(self, project: str, n_bytes: int) -> None:
        """The project may hold this much; -1 is any amount."""
        # 0 is no limit that Harbor takes.
        quota = self._quota(project)
        self._ask("PUT", f"/quotas/{quota['id']}", {"hard": {"storage": n_bytes}})

    def make_immutable(self, project: str, rules: Iterable[ImmutableRule]) -> None:
        """The project's rules are these, and no others."""
        path = f"/projects/{self._ids[project]}/immutabletagrules"
        for rule in self._ask("GET", path).json():
            self._ask("DELETE", f"{path}/{rule['id']}")
        for rule in rules:
            self._ask("POST", path, rule.as_json())

    def require_signatures(self, project: str, *, required: bool = True) -> None:
        """Only images with a cosign signature can be pulled."""
        self._set_metadata(project, "enable_content_trust_cosign", required)

    def make_public(self, project: str) -> None:
        """Everyone may read it."""
        self._set_metadata(project, "public", value=True)

    def read_only(self, *, on: bool = True) -> None:
        """Nothing is written, by nobody."""
        self._configure("read_only", on)

    def restrict_creation(self) -> None:
        """Only administrators create projects."""
        self._configure("project_creation_restriction", "adminonly")

    def remove_project(self, name: str) -> None:
        """The project and all that it held are unknown."""
        path = f"/projects/{self._ids.pop(name)}"
        for repository in self._pages(f"/projects/{name}/repositories", by_name=True):
            part = quote(quote(repository["name"].partition("/")[2], safe=""), safe="")
            self._ask("DELETE", f"/projects/{name}/repositories/{part}", by_name=True)
        self._ask("DELETE", path)

    def clean(self) -> None:
        """Everything is as it was before the tests, but for the users."""
        for key, value in [*self._changed.items()]:
            self._ask("PUT", "/configurations", {key: value})
        self._changed.clear()
        for name in self.projects() - self._before:
            self._ids[name] = self._id(name)
            self.make_immutable(name, ())
            self.remove_project(name)
        for number in self._robots.values():
            # Those of a project went with it.
            self._ask("DELETE", f"/robots/{number}", expected={200, 404})
        self._robots.clear()
        for number in self._registries:
            self._ask("DELETE", f"/registries/{number}")
        self._registries.clear()
        self.forget()

    # What tests look at.

    def projects(self) -> set[str]:
        """The names of all projects."""
        return {row["name"] for row in self._pages("/projects")}

    def is_public(self, project: str) -> bool:
        """Whether everyone may read it."""
        answer = self._ask("GET", f"/projects/{project}", by_name=True).json()
        return bool(answer["metadata"]["public"] == "true")

    def owner(self, project: str) -> str:
        """Whose it is."""
        return str(self._ask("GET", f"/projects/{project}", by_name=True).json()["owner_name"])

    def limit_of(self, project: str) -> int:
        """How much it may hold, in bytes; -1 is any amount."""
        return int(self._quota(project)["hard"]["storage"])

    def used(self, project: str) -> int:
        """What counts against the project's quota, in bytes."""
        return int(self._quota(project)["used"]["storage"])

    def tags(self, repository: str) -> dict[str, str]:
        """The tags of `PROJECT/NAME`, each with the digest that it names."""
        return {
            tag["name"]: digest
            for digest, artifact in self.artifacts(repository).items()
            for tag in artifact.get("tags") or []
        }

    def artifacts(self, repository: str) -> dict[str, dict[str, Any]]:
        """What the API lists of `PROJECT/NAME`, and the children of that, by digest."""
        project, _, name = repository.partition("/")
        path = f"/projects/{project}/repositories/{quote(quote(name, safe=''), safe='')}/artifacts"
        rows = self._pages(path, by_name=True, missing=True)
        found = {row["digest"]: row for row in rows}
        for row in rows:
            for child in row.get("references") or []:
                found.setdefault(child["child_digest"], child)
        return found

    # The API.

    def _add_user(self, name: str, account: Account) -> None:
        # Harbor takes a second for a password, also for one that it then refuses.
        if any(row["username"] == name for row in self._pages("/users")):
            return
        wanted = {
            "username": name,
            "password": account.password,
            "email": f"{name}@example.com",
            "realname": name,
        }
        self._ask("POST", "/users", wanted)
        if account.sysadmin:
            (user,) = (row for row in self._pages("/users") if row["username"] == name)
            self._ask("PUT", f"/users/{user['user_id']}/sysadmin", {"sysadmin_flag": True})

    def _add_registry(self, name: str, kind: str, url: str) -> int:
        wanted = {"name": name, "type": kind, "url": url, "insecure": True}
        self._ask("POST", "/registries", wanted)
        number = int(self._ask("GET", f"/registries?q=name%3D{name}").json()[0]["id"])
        self._registries.append(number)
        return number

    def _retain(self, project: int, rules: Iterable[Mapping[str, Any]]) -> None:
        policy = {
            "algorithm": "or",
            "rules": [*rules],
            "scope": {"level": "project", "ref": project},
            "trigger": {"kind": "Schedule", "settings": {"cron": ""}},
        }
        self._ask("POST", "/retentions", policy)

    def _set_metadata(self, project: str, key: str, value: bool) -> None:
        body = {"metadata": {key: "true" if value else "false"}}
        self._ask("PUT", f"/projects/{self._ids[project]}", body)

    def _configure(self, key: str, value: object) -> None:
        now = self._ask("GET", "/configurations").json()[key]["value"]
        self._changed.setdefault(key, now)
        self._ask("PUT", "/configurations", {key: value})

    def _quota(self, project: str) -> dict[str, Any]:
        number = self._id(project)
        path = f"/quotas?reference=project&reference_id={number}"
        found: list[dict[str, Any]] = self._ask("GET", path).json()
        return found[0]

    def _id(self, project: str) -> int:
        return int(self._ask("GET", f"/projects/{project}", by_name=True).json()["project_id"])

    def _pages(
        self, path: str, *, by_name: bool = False, missing: bool = False
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in range(1, 1000):
            query = urlencode({"page": number, "page_size": _MOST})
            expected = {200, 404} if missing else {200}
            answer = self._ask("GET", f"{path}?{query}", by_name=by_name, expected=expected)
            if answer.status_code == 404:
                break
            rows += answer.json()
            if len(answer.json()) < _MOST:
                break
        return rows

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        expected: Iterable[int] = (200, 201),
        by_name: bool = False,
    ) -> requests.Response:
        answer = self._http.request(
            method,
            f"{self.upstream}/api/v2.0{path}",
            json=body,
            auth=("admin", self.password),
            headers={"X-Is-Resource-Name": "true"} if by_name else {},
            timeout=_TIMEOUT_S,
        )
        if answer.status_code not in {*expected}:
            text = answer.text.strip()
            raise Unexpected(f"{method} {path} {json.dumps(body)}: {answer.status_code} {text}")
        return answer


def _access(permission: str) -> dict[str, str]:
    """`pull` is of repositories, everything else says what it is of: `project:read`."""
    resource, _, action = permission.rpartition(":")
    return {"resource": resource or "repository", "action": action}
