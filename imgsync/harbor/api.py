"""Harbor's API v2.0, over the connections of the registry: every address that we ask there.

Nobody logs in: each request has user name and password, as the registry's have, and no cookie is
kept, because Harbor takes whoever sends its session's cookie back for a browser (CSRF). So no
request leaves the registry's own origin with credentials.

What may not be seen, or is not there in this version, is None: all of this is for telling people
more and earlier, and nothing of it is needed to push.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from imgsync.errors import AccessDenied, ContentError
from imgsync.harbor.facts import (
    Project,
    Quota,
    RetentionRule,
    RobotFacts,
    SystemInfo,
    retention_rules,
)
from imgsync.harbor.immutable import Rule
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.request import Login, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imgsync.model.reference import Reference
    from imgsync.stores.registry.answer import Answer
    from imgsync.stores.registry.client import Host

API: Final = "/api/v2.0"
PAGE_SIZE: Final = 100
"""The most that Harbor gives; 10 is what it gives unasked."""

_MAX_PAGES: Final = 1000
_BODY_BYTES: Final = 4 * 1024 * 1024
_BY_NAME: Final = {"X-Is-Resource-Name": "true"}
"""Without it a name that looks like a number is an id."""


class HarborApi:
    """The API of one Harbor; used by many threads.

    Attributes:
        host: the registry.
    """

    def __init__(self, host: Host) -> None:
        self.host = host

    def system_info(self) -> SystemInfo | None:
        """Version and modes; None if there is no such API."""
        value = self._get("/systeminfo")
        return SystemInfo.from_json(value) if isinstance(value, dict) else None

    def is_administrator(self) -> bool | None:
        """Whether we may do everything; None for robots, and for whom it is not known."""
        value = self._get("/users/current")
        return value.get("sysadmin_flag") is True if isinstance(value, dict) else None

    # Projects.

    def project(self, name: str) -> Project | None:
        """A project that we may see."""
        value = self._get(f"/projects/{quote(name, safe='')}", _BY_NAME)
        if not isinstance(value, dict):
            # A robot needs a permission of its own to look at a project, and none to list it.
            listed = self._get(f"/projects?{urlencode({'q': f'name={name}'})}")
            entries = listed if isinstance(listed, list) else []
            value = next((e for e in entries if isinstance(e, dict) and e.get("name") == name), {})
        return Project.from_json(value) if value else None

    def project_exists(self, name: str) -> bool | None:
        """Whether there is such a project, seen or not; None if Harbor does not tell."""
        answer = self._ask("HEAD", f"/projects?{urlencode({'project_name': name})}")
        answer.close()
        return {200: True, 404: False}.get(answer.status)

    def projects(self) -> Iterator[Project]:
        """All projects that we may see."""
        for value in self._pages("/projects"):
            yield Project.from_json(value)

    def create_project(self, name: str, *, public: bool, storage_limit: int | None) -> None:
        """Make a project; nothing happens if it is there by now.

        Raises:
            AccessDenied: this account may not.
            Refused: the name is not one that Harbor takes.
        """
        # A word, not a truth value: that is what Harbor's API wants.
        value: dict[str, Any] = {
            "project_name": name,
            "metadata": {"public": "true" if public else "false"},
        }
        if storage_limit is not None:
            value["storage_limit"] = storage_limit
        body = json.dumps(value).encode()
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "X-Resource-Name-In-Location": "true",
        }
        answer = self._ask("POST", "/projects", headers, body)
        if answer.status in {201, 409}:
            answer.close()
            return
        what = f"creating project {name}"
        refusal = Refusal.of(answer, what, self.host.name)
        if answer.status == 403:
            who = answer.who or "nobody in particular"
            msg = f"{self.host.name}: {what}: {who} may not ({refusal.says})"
            hint = "let an administrator create it, or use an account, or robot of the system, "
            raise AccessDenied(msg, hint=f"{hint}that may create projects")
        raise refusal.error()

    # What a project allows.

    def quota(self, project: str) -> Quota | None:
        """What a project has used and may use; None where we may not see it."""
        value = self._get(f"/projects/{quote(project, safe='')}/summary", _BY_NAME)
        quota = value.get("quota") if isinstance(value, dict) else None
        return Quota.from_json(quota) if isinstance(quota, dict) else None

    def quotas(self) -> dict[str, Quota] | None:
        """Those of all projects, by name; for administrators only."""
        found: dict[str, Quota] = {}
        try:
            for value in self._pages("/quotas?reference=project"):
                quota, of = Quota.from_json(value), value.get("ref")
                if quota is not None and isinstance(of, dict):
                    found[str(of.get("name", ""))] = quota
        except AccessDenied:
            return None
        return found

    def immutable_rules(self, project: str) -> list[Rule] | None:
        """The rules about tags that stay; None where we may not see them."""
        address = f"/projects/{quote(project, safe='')}/immutabletagrules"
        try:
            return [Rule.from_json(value) for value in self._pages(address, _BY_NAME)]
        except AccessDenied:
            return None

    def tag_is_immutable(self, tag: Reference) -> bool | None:
        """Whether a tag that is there may not be written again; None where we may not see it.

        Members who are no maintainers may not see the rules, but what comes of them.
        """
        address = f"{repository_path(tag.repository)}/artifacts/{quote(tag.tag, safe='')}"
        value = self._get(f"{address}?with_immutable_status=true")
        tags = value.get("tags") if isinstance(value, dict) else None
        for entry in tags if isinstance(tags, list) else []:
            if isinstance(entry, dict) and entry.get("name") == tag.tag:
                return entry.get("immutable") is True
        return None

    def retention(self, project: Project) -> tuple[RetentionRule, ...] | None:
        """The rules about what is kept; None where we may not see them."""
        if not project.retention_id:
            return ()
        value = self._get(f"/retentions/{project.retention_id}")
        return retention_rules(value) if isinstance(value, dict) else None

    def repositories(self, project: str) -> Iterator[str]:
        """The repositories of a project, with its name.

        Raises:
            AccessDenied: we may not see them.
        """
        for value in self._pages(f"/projects/{quote(project, safe='')}/repositories", _BY_NAME):
            if isinstance(name := value.get("name"), str):
                yield name

    def robots(self, project: Project | None = None) -> list[RobotFacts] | None:
        """The robots of a project, or of the system; None where we may not see them."""
        level = f"Level=project,ProjectID={project.id}" if project else "Level=system"
        try:
            pages = self._pages(f"/robots?{urlencode({'q': level})}")
            return [RobotFacts.from_json(value) for value in pages]
        except AccessDenied:
            return None

    # Requests.

    def _get(self, target: str, headers: Mapping[str, str] | None = None) -> object:
        """The JSON of an answer; None where there is nothing for us to see."""
        answer = self._ask("GET", target, headers)
        if answer.status != 200:
            answer.close()
            return None
        return self._json(answer, target)

    def _pages(
        self, target: str, headers: Mapping[str, str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """The entries of a list. Pages are counted: the query of Harbor's links is not escaped.

        Raises:
            AccessDenied: it is not for us, or not there.
        """
        mark = "&" if "?" in target else "?"
        for number in range(1, _MAX_PAGES + 1):
            page = f"{target}{mark}page={number}&page_size={PAGE_SIZE}"
            answer = self._ask("GET", page, headers)
            if answer.status != 200:
                refusal = Refusal.of(answer, target, self.host.name)
                msg = f"{self.host.name}: {API}{target}: {refusal.says}"
                raise AccessDenied(msg)
            entries = self._json(answer, target)
            if not isinstance(entries, list):
                return
            yield from (entry for entry in entries if isinstance(entry, dict))
            if len(entries) < PAGE_SIZE:
                return

    def _json(self, answer: Answer, target: str) -> object:
        try:
            value: object = json.loads(answer.content(_BODY_BYTES))
        except (ValueError, RecursionError):
            msg = f"{self.host.name}: {API}{target}: the answer is not JSON"
            raise ContentError(msg, hint="does a proxy in front of Harbor answer for it?") from None
        return value

    def _ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        accept = {"Accept": "application/json", **(headers or {})}
        request = Request(
            method,
            f"{API}{target}",
            what=target.partition("?")[0],
            headers=accept,
            body=body,
            login=Login.BASIC,
        )
        return self.host.ask(request)


def repository_path(name: str) -> str:
    """``PROJECT/a/b`` as a part of an API path: Harbor decodes it twice, so ``a%252Fb``."""
    project, _, rest = name.partition("/")
    return (
        f"/projects/{quote(project, safe='')}/repositories/{quote(quote(rest, safe=''), safe='')}"
    )
