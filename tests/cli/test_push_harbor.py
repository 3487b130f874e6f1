"""imgsync push to a Harbor, in front of a real registry: nothing to be said, everything told."""

import json
import re
import secrets
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from imgsync.model.digest import Digest
from tests.cli.run import Ran, imgsync
from tests.images import Images, tar_of
from tests.servers.certificates import Authority
from tests.servers.faults import Answer
from tests.servers.harbor import (
    ADMIN,
    ADMIN_PASSWORD,
    PASSWORD,
    Account,
    AnyHarbor,
    Harbor,
    ImmutableRule,
)
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry

pytestmark = pytest.mark.real

ANN = ("ann", PASSWORD)
ADMINISTRATOR = (ADMIN, ADMIN_PASSWORD)
USERS = {name: Account(PASSWORD) for name in ("ann", "bob", "guest")}

OWN = secrets.token_bytes(8)
"""In layers: a Harbor keeps those of deleted projects, and has them when the tests run again."""

Push = Callable[..., Ran]


@pytest.fixture(scope="module")
def running(harbors: Callable[[Mapping[str, Account]], AnyHarbor]) -> Iterator[AnyHarbor]:
    with harbors(USERS) as harbor:
        yield harbor


@pytest.fixture
def harbor(running: AnyHarbor) -> Iterator[AnyHarbor]:
    """A Harbor with a project in which ann may push, and guest may only pull."""
    running.project("team", members={"ann": "developer", "guest": "guest"})
    running.forget()
    yield running
    running.clean()


@pytest.fixture
def push(harbor: AnyHarbor, tmp_path: Path) -> Push:
    """Pushes images as somebody: ``push(images, "team", user=("ann", PASSWORD))``."""

    def run(
        images: Images,
        to: str,
        *arguments: str,
        user: tuple[str, str] = ANN,
        code: int = 0,
        host: str = "",
        as_layout: bool = False,
    ) -> Ran:
        write = images.write_layout if as_layout else images.write_archive
        source = write(tmp_path / ("images" if as_layout else "images.tar"))
        return imgsync(
            "push", source, "--to", f"{host or harbor.host}/{to}".rstrip("/"),
            "--username", user[0], "--password-stdin", *arguments,
            stdin=user[1].encode(), code=code,
        )  # fmt: skip

    return run


def app(*names: str, n_bytes: int = 2000) -> Images:
    """Small images, each with a layer of its own: ``app:1`` becomes HOST/PROJECT/app:1."""
    images = Images()
    for number, name in enumerate(names or ("app:1",)):
        content = images.layer({"content": bytes([number]) * n_bytes + OWN}, compression="none")
        images.name(f"registry.example/{name}", images.image([content]))
    return images


def root(images: Images) -> str:
    return str(next(iter(images.names.values()))["digest"])


def written(harbor: AnyHarbor) -> list[str]:
    """Every request that changes something."""
    return [
        f"{seen.method} {seen.path}"
        for seen in harbor.requests
        if seen.method not in {"GET", "HEAD"}
    ]


# --- without a flag ---------------------------------------------------------------------------


def test_a_push_needs_no_flag_and_reads_no_manifest(harbor: AnyHarbor, push: Push) -> None:
    images = app()
    push(images, "team")
    assert harbor.tags("team/app") == {"1": root(images)}
    assert harbor.count("GET", "/manifests/") == 0
    assert harbor.count("GET", r"/v2/$") == 1
    assert harbor.count("GET", "/api/v2.0/systeminfo") == 1
    assert harbor.count("GET", "/service/token") == 1, "one token is enough for a project"
    if isinstance(harbor, Harbor):
        assert harbor.failed_logins == []
    assert not any("cookie" in seen.headers for seen in harbor.requests)
    harbor.forget()
    said = push(images, "team", "--format", "json").json
    assert said["images"][0]["status"] == "unchanged"
    assert written(harbor) == []
    assert harbor.count("GET", "/manifests/") == 0
    assert harbor.count("GET", "/summary") == 0, "nothing is added, so no quota is asked for"
    assert harbor.count("", "/api/") == 2, "systeminfo and the project"


def test_a_registry_that_is_no_harbor_is_asked_once(push: Push, new_registry: Registry) -> None:
    push(app(), "team", host=new_registry.host)
    paths = [seen.path for seen in new_registry.requests("", "")]
    assert paths.count("/v2/") == 1
    assert not any("/api/" in path for path in paths)


def test_a_harbor_behind_https_and_a_wrong_external_url(authority: object, tmp_path: Path) -> None:

    assert isinstance(authority, Authority)
    with Harbor(certificate=authority.issue(), external_scheme="http") as harbor:
        harbor.project("team")
        images = app()
        images.write_archive(tmp_path / "images.tar")
        imgsync(
            "push", tmp_path / "images.tar", "--to", f"{harbor.host}/team",
            "--username", ADMIN, "--password-stdin", "--ca-file", authority.ca,
            stdin=ADMIN_PASSWORD.encode(),
        )  # fmt: skip
        assert harbor.tags("team/app") == {"1": root(images)}


@pytest.mark.parametrize("name", ["robot$team+ci", "robot$site"])
def test_a_robot_pushes(harbor: AnyHarbor, push: Push, name: str) -> None:
    harbor.robot(name, "Secret12", {"team": ("pull", "push")})
    push(app(), "team", user=(name, "Secret12"))
    assert harbor.tags("team/app")


def test_content_of_all_kinds_arrives_and_comes_back(
    harbor: AnyHarbor, push: Push, fixture_images: Images, tmp_path: Path
) -> None:
    """Docker's lists, nested indexes, zstd, charts, signatures, what refers to something."""
    push(fixture_images, "team")
    names = [name.partition("/")[2] for name in fixture_images.names if ".sig" not in name]
    imgsync(
        "bundle", *(f"{harbor.host}/team/{name}" for name in names), "-o", tmp_path / "back.tar",
        "--username", ANN[0], "--password-stdin", stdin=ANN[1].encode(),
    )  # fmt: skip
    with tarfile.open(tmp_path / "back.tar") as archive:
        member = archive.extractfile("index.json")
        assert member is not None
        index = json.load(member)
    named = {descriptor["digest"] for descriptor in fixture_images.names.values()}
    unnamed = {descriptor["digest"] for descriptor, _ in fixture_images.unnamed}
    assert {root["digest"] for root in index["manifests"]} == named | unnamed


# --- who one is -------------------------------------------------------------------------------


def test_a_wrong_password_is_told_and_tried_only_once_or_twice(
    harbor: AnyHarbor, push: Push
) -> None:
    refused = push(app(), "team", user=("ann", "guessed"), code=5)
    assert "does not know user ann" in refused.err
    assert "or the password is wrong" in refused.err
    assert sum("authorization" in seen.headers for seen in harbor.requests) <= 4
    assert written(harbor) == []


def test_a_robot_whose_dollar_the_shell_ate(harbor: AnyHarbor, push: Push) -> None:
    harbor.robot("robot$team+ci", "Secret12", {"team": ("pull", "push")})
    refused = push(app(), "team", user=("robot+ci", "Secret12"), code=5)
    assert "robot$NAME" in refused.err


def test_without_credentials_nothing_is_tried(harbor: AnyHarbor, tmp_path: Path) -> None:
    app().write_archive(tmp_path / "images.tar")
    refused = imgsync("push", tmp_path / "images.tar", "--to", f"{harbor.host}/team", code=5)
    assert "imgsync login" in refused.err
    assert len(harbor.requests) <= 2


def test_no_right_to_push(harbor: AnyHarbor, push: Push) -> None:
    refused = push(app(), "team", user=("guest", PASSWORD), code=5)
    assert f"user guest from --username may not push to {harbor.host}/team" in refused.err
    assert "(may: pull)" in refused.err
    assert "developer or more" in refused.err
    assert written(harbor) == []


def test_no_member_of_a_project_that_one_cannot_see(harbor: AnyHarbor, push: Push) -> None:
    refused = push(app(), "team", user=("bob", PASSWORD), code=5)
    assert f"may not push to {harbor.host}/team" in refused.err
    assert written(harbor) == []


# --- projects ---------------------------------------------------------------------------------


def test_a_missing_project_is_told_before_anything_is_asked(harbor: AnyHarbor, push: Push) -> None:
    refused = push(app(), "none", code=5)
    assert f"the project {harbor.host}/none does not exist" in refused.err
    assert "--create-project" in refused.err
    assert harbor.count("", "/v2/none/") == 0


def test_a_missing_project_is_created(harbor: AnyHarbor, push: Push) -> None:
    images = app("app:1", "other:1")
    planned = push(images, "fresh", "--create-project", "--dry-run")
    assert f"{harbor.host}/fresh: to be created, private" in planned.out
    assert "fresh" not in harbor.projects()
    harbor.forget()
    made = push(images, "fresh", "--create-project")
    assert f"created the private project {harbor.host}/fresh" in made.err
    assert not harbor.is_public("fresh")
    assert set(harbor.tags("fresh/app")) == {"1"}
    assert written(harbor)[0] == "POST /api/v2.0/projects"
    new = harbor.matching("HEAD", "/v2/fresh/.*(blobs|manifests/sha256)")
    assert new == [], "a project that was just made has no content to ask for"


def test_a_public_project_with_a_limit(harbor: AnyHarbor, push: Push) -> None:
    options = ("--create-project", "--project-public", "--storage-limit", "1M")
    push(app(), "fresh", *options, user=ADMINISTRATOR)
    assert harbor.is_public("fresh")
    assert harbor.limit_of("fresh") == 2**20


def test_a_limit_that_only_an_administrator_may_set(push: Push) -> None:
    made = push(app(), "fresh", "--create-project", "--storage-limit", "1M")
    assert "only an administrator may set --storage-limit" in made.err


def test_a_project_of_digits(harbor: AnyHarbor, push: Push) -> None:
    images = app()
    push(images, "2026", "--create-project")
    assert harbor.tags("2026/app") == {"1": root(images)}
    said = push(images, "2026", "--format", "json").json
    assert said["harbor"][0]["exists"]


def test_projects_that_may_not_be_created(harbor: AnyHarbor, push: Push) -> None:
    harbor.restrict_creation()
    refused = push(app(), "fresh", "--create-project", code=5)
    assert "only administrators may create projects there, not user ann" in refused.err
    harbor.robot("robot$site", "Secret12", {"*": ("pull", "push")})
    refused = push(app(), "fresh", "--create-project", user=("robot$site", "Secret12"), code=5)
    assert "Only system admin can create project" in refused.err
    assert harbor.count("", "/v2/fresh/.*uploads") == 0, "what cannot be created is not pushed to"
    harbor.robot("robot$maker", "Secret12", {"*": ("pull", "push")}, may_create_projects=True)
    push(app(), "fresh", "--create-project", user=("robot$maker", "Secret12"))
    assert harbor.tags("fresh/app")
    invalid = push(app(), "a__b", "--create-project", code=2)
    assert "no project of the name 'a__b'" in invalid.err


def test_a_name_without_a_project(harbor: AnyHarbor, push: Push) -> None:
    refused = push(app(), "", code=2)
    assert "Harbor needs HOST/PROJECT/NAME" in refused.err
    assert harbor.count("", "/v2/app") == 0


def test_options_that_need_another(push: Push) -> None:
    assert "--create-project" in push(app(), "team", "--project-public", code=2).err


def test_a_proxy_cache_project(harbor: AnyHarbor, push: Push, registry: Registry) -> None:
    harbor.project("cache", members={"ann": "developer"}, upstream=registry.url)
    refused = push(app(), "cache", code=5)
    assert "is a proxy-cache project" in refused.err
    assert written(harbor) == []


def test_read_only_mode(harbor: AnyHarbor, push: Push) -> None:
    harbor.read_only()
    refused = push(app(), "team", code=5)
    assert "read-only mode" in refused.err
    assert "when the maintenance is over" in refused.err
    assert written(harbor) == []


# --- tags -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["maintainer", "developer"])
def test_immutable_tags(harbor: AnyHarbor, push: Push, role: str) -> None:
    """A maintainer may see the rules; a developer only sees what they make of a tag."""
    before = app("app:v1")
    harbor.project("rules", members={"ann": role}, immutable=[ImmutableRule("app", "v*")])
    push(before, "rules")
    said = push(before, "rules", "--format", "json").json
    assert said["images"][0]["status"] == "unchanged", "the same digest is no conflict"
    harbor.forget()
    after = app("app:v1", "app:latest", n_bytes=100)
    refused = push(after, "rules", code=3)
    rule = " (rule app:v*)" if role == "maintainer" else ""
    assert f"{harbor.host}/rules/app:v1 is immutable{rule} and means" in refused.err
    assert root(before)[:19] in refused.err
    assert "--on-existing-tag skip" in refused.err
    assert harbor.tags("rules/app")["v1"] == root(before)
    assert "latest" in harbor.tags("rules/app"), "the others go on"
    layers = after.digests("registry.example/app:v1") - after.digests("registry.example/app:latest")
    assert not harbor.matching("PUT", f"digest=sha256(:|%3A)({'|'.join(d[7:] for d in layers)})")
    push(after, "rules", "--on-existing-tag", "skip")


def test_an_immutable_tag_that_a_robot_cannot_see(harbor: AnyHarbor, push: Push) -> None:
    """It hears of it from Harbor when it gets there."""
    robot = ("robot$team+ci", "Secret12")
    harbor.robot(*robot, {"team": ("pull", "push")})
    before = app("app:v1")
    push(before, "team", user=robot)
    harbor.make_immutable("team", [ImmutableRule("app", "v*")])
    refused = push(app("app:v1", n_bytes=100), "team", user=robot, code=5)
    assert "configured as immutable" in refused.err
    assert harbor.tags("team/app") == {"v1": root(before)}


# --- room -------------------------------------------------------------------------------------


def test_a_quota_against_what_is_really_new(harbor: AnyHarbor, push: Push) -> None:
    images = app("a:1", "b:1", "c:1", n_bytes=30_000)
    push(images, "team", "--image", "*/a:1")
    harbor.limit("team", harbor.used("team") + 45_000)
    planned = push(images, "team", "--dry-run", code=3)
    assert re.search(r"c:1|b:1", planned.err)
    assert "has no room for it: it adds" in planned.err
    assert "raise the project's quota" in planned.err
    assert "KiB free" in planned.out
    harbor.forget()
    refused = push(images, "team", "--format", "json", code=3)
    statuses = [image["status"] for image in refused.json["images"]]
    assert sorted(statuses) == ["failed", "pushed", "unchanged"]
    assert not [seen for seen in harbor.requests if seen.status == 403], "known before"
    harbor.limit("team", -1)
    push(images, "team")
    # as full as can be, and a new name for what is there
    harbor.limit("team", harbor.used("team"))
    push(images, "team")


def test_what_other_repositories_of_a_project_have_is_not_new(
    harbor: AnyHarbor, push: Push
) -> None:
    images = Images()
    base = images.layer({"base": b"x" * 60_000 + OWN}, compression="none")
    images.name("registry.example/first:1", images.image([base]))
    push(images, "team")
    harbor.limit("team", harbor.used("team") + 10_000)
    second = Images()
    base = second.layer({"base": b"x" * 60_000 + OWN}, compression="none")
    own = second.layer({"own": b"y"}, compression="none")
    second.name("registry.example/second:1", second.image([base, own]))
    push(second, "team")
    assert harbor.tags("team/second")


def test_a_project_that_fills_up_on_the_way_stops_and_others_go_on(
    harbor: AnyHarbor, push: Push
) -> None:
    """Somebody else pushes at the same time, so that the quota was right when it was read."""
    harbor.project("other", members={"ann": "developer"})
    harbor.limit("team", 40_000)
    images = app(*(f"team/app{number}:1" for number in range(6)), "other/app:1", n_bytes=30_000)
    with FaultyProxy(upstream=harbor.url) as proxy:
        # the API says nothing of quotas to this account
        proxy.on("GET", "/summary", Answer(403), times=None)
        refused = push(images, "", "--jobs", "1", host=proxy.host, code=3)
        assert "will exceed the configured upper limit" in refused.err
        assert "raise the project's quota" in refused.err
        refusals = [seen for seen in proxy.requests if seen.status == 403 and "/v2/" in seen.path]
        assert len(refusals) == 1, "after the first refusal nothing more is sent to the project"
    assert harbor.tags("other/app")


# --- all at once ------------------------------------------------------------------------------


def test_all_conflicts_are_told_at_once_each_with_what_to_do(
    harbor: AnyHarbor, push: Push, registry: Registry
) -> None:
    harbor.project("cache", members={"ann": "developer"}, upstream=registry.url)
    harbor.project("full", members={"ann": "developer"}, storage_limit=1000)
    images = app("none/app:1", "cache/app:1", "full/app:1", "team/app:1", n_bytes=20_000)
    planned = push(images, "", "--dry-run", "--format", "json", code=3)
    assert [image["status"] for image in planned.json["images"]].count("failed") == 3
    assert all(image["hint"] for image in planned.json["images"] if "error" in image)
    for words in ("does not exist", "proxy-cache", "no room", "hint: choose another project"):
        assert words in planned.err
    assert written(harbor) == []
    refused = push(images, "", code=3)
    assert refused.err.count("hint:") >= 3
    assert harbor.tags("team/app")


# --- mounts -----------------------------------------------------------------------------------


def test_layers_are_mounted_across_projects(harbor: AnyHarbor, push: Push) -> None:
    harbor.project("other", members={"ann": "developer"})
    images = Images()
    base = images.layer({"base": b"x" * 50_000 + OWN}, compression="none")
    for name in ("team/app", "other/app"):
        own = images.layer({"own": name.encode()})
        images.name(f"registry.example/{name}:1", images.image([base, own]))
    said = push(images, "", "--format", "json").json
    assert said["mounted_objects"] >= 1
    assert harbor.tags("team/app").keys() == harbor.tags("other/app").keys() == {"1"}


def _named_by_sha512(images: Images, digest: str) -> str:
    """Let the same content have its sha512 for a name."""
    data = images.blobs.pop(digest)
    other = str(Digest.of(data, "sha512"))
    images.blobs[other] = data
    return other


def test_manifests_by_sha512_are_refused_beforehand(push: Push, harbor: AnyHarbor) -> None:
    images = app("good:1")
    child = images.image([images.layer({"a": b"a"})], platform="linux/amd64")
    child["digest"] = _named_by_sha512(images, child["digest"])
    images.name("registry.example/bad:1", images.index([child]))
    ran = push(images, "team", code=3, as_layout=True)
    assert "has a digest of sha512, and Harbor takes manifests by their sha256 only" in ran.err
    assert "a digest cannot be changed on the way" in ran.err
    assert set(harbor.tags("team/good")) == {"1"}
    assert not harbor.count("", "/team/bad/")


def test_blobs_by_sha512_are_found_again(push: Push, harbor: AnyHarbor) -> None:
    """By their sha256 at first, and by their own digest when a manifest has named them."""
    images = Images()
    layer = images.tar_layer(tar_of({"a": OWN}), compression="none")
    layer.descriptor["digest"] = _named_by_sha512(images, layer.descriptor["digest"])
    images.name("registry.example/odd:1", images.image([layer], platform="linux/amd64"))
    push(images, "team", as_layout=True)
    assert set(harbor.tags("team/odd")) == {"1"}
    n_bytes = sum(len(data) for data in images.blobs.values())
    assert harbor.used("team") == n_bytes + layer.descriptor["size"], "it counts under both"
    harbor.forget()
    push(images, "team", as_layout=True)
    assert written(harbor) == []
