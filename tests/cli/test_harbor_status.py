"""imgsync harbor status: what an operator wants to know before anything is pushed."""

from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.cli.run import Ran, imgsync
from tests.servers.harbor import (
    ADMIN,
    ADMIN_PASSWORD,
    PASSWORD,
    Account,
    AnyHarbor,
    Harbor,
    ImmutableRule,
)
from tests.servers.registry import Registry

pytestmark = pytest.mark.real

Status = Callable[..., Ran]
KEEP = {
    "template": "nDaysSinceLastPull",
    "params": {"nDaysSinceLastPull": 30},
    "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": "**"}],
    "scope_selectors": {"repository": [{"decoration": "repoMatches", "pattern": "app"}]},
}


@pytest.fixture(scope="module")
def harbor(
    harbors: Callable[[Mapping[str, Account]], AnyHarbor], registry: Registry
) -> Iterator[AnyHarbor]:
    """A Harbor with more projects than one page has."""
    with harbors({"ann": Account(PASSWORD), "bob": Account(PASSWORD)}) as harbor:
        harbor.project(
            "team",
            members={"ann": "maintainer"},
            storage_limit=10 * 2**20,
            immutable=[ImmutableRule("app/**", "v*")],
            retention=[KEEP],
        )
        harbor.project("2026", public=True)
        harbor.project("cache", members={"ann": "guest"}, upstream=registry.url)
        # A running one takes seconds for each.
        for number in range(100 if isinstance(harbor, Harbor) else 1):
            harbor.project(f"p{number}")
        harbor.robot("robot$team+ci", "Secret12", {"team": ("pull", "push")}, days=30)
        harbor.robot("robot$site", "Secret12", {"*": ("pull",)})
        yield harbor


@pytest.fixture
def status(harbor: AnyHarbor) -> Status:
    def run(
        target: str = "",
        *arguments: str,
        user: str = "ann",
        secret: str = PASSWORD,
        code: int = 0,
    ) -> Ran:
        return imgsync(
            "harbor", "status", f"{harbor.host}{target}", "--username", user, "--password-stdin",
            *arguments, stdin=secret.encode(), code=code,
        )  # fmt: skip

    return run


def test_one_project(status: Status) -> None:
    told = status("/team").out
    assert "asked as user ann from --username" in told
    assert "project: team (private)" in told
    assert "quota: 0 B used, limit 10.0 MiB, free 10.0 MiB" in told
    assert "may: delete,pull,push" in told
    assert "immutable: app/**:v*" in told
    assert "retention: keeps what was pulled in 30 days of app:**" in told
    assert "robot robot$team+ci (project, until 20" in told
    assert "team: repository:pull, repository:push" in told


def test_all_projects_for_an_administrator(status: Status, harbor: AnyHarbor) -> None:
    harbor.forget()
    found = status("", "--format", "json", user=ADMIN, secret=ADMIN_PASSWORD).json
    assert {project["project"] for project in found["projects"]} == harbor.projects()
    assert found["version"]
    assert [robot["name"] for robot in found["robots"]] == ["robot$site"]
    (team,) = [project for project in found["projects"] if project["project"] == "team"]
    assert team["quota"] == {"limit": 10 * 2**20, "used": 0, "free": 10 * 2**20}
    assert team["actions"] == ["delete", "pull", "push"]
    assert harbor.count("GET", "/summary") == 0, "an administrator gets all quotas at once"
    assert harbor.count("GET", r"/projects\?") == (2 if isinstance(harbor, Harbor) else 1)


def test_all_projects_for_somebody(status: Status) -> None:
    told = status().out
    rows = {line.split()[0]: line.split() for line in told.splitlines() if line}
    assert rows["team"][-5:] != []
    assert "2026" in rows
    assert "p0" not in rows
    assert rows["cache"][1] == "no"


@pytest.mark.parametrize("name", ["robot$team+ci", "robot$site"])
def test_a_robot_sees_its_own_scope(status: Status, name: str) -> None:
    found = status("/team", "--format", "json", user=name, secret="Secret12").json
    (project,) = found["projects"]
    assert project["actions"] == (["pull", "push"] if "ci" in name else ["pull"])
    assert project["robots"] is None


def test_what_cannot_be_seen(status: Status, harbor: AnyHarbor) -> None:
    assert "does not exist" in status("/none", code=5).err
    assert "user bob from --username may not see" in status("/team", user="bob", code=5).err
    assert "refuses user ann" in status("/team", secret="guessed", code=5).err
    public = imgsync("harbor", "status", f"{harbor.host}/2026")
    assert "asked without credentials" in public.out
    assert "may: pull" in public.out


def test_a_registry_that_is_no_harbor(registry: Registry) -> None:
    assert "is no Harbor" in imgsync("harbor", "status", registry.host, code=5).err
    assert imgsync("harbor", "status", "127.0.0.1:9", code=6).err
