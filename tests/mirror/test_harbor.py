"""A mirror into Harbor (the stand-in before a real registry): what goes wrong, in its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from imgsync.mirror.config import HostSettings
from tests.cli.run import Ran, imgsync
from tests.images import Images
from tests.servers.faults import Slow
from tests.servers.harbor import ADMIN_PASSWORD, Account, AnyHarbor, Harbor, ImmutableRule
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real
Faulty = Callable[[Registry], FaultyProxy]


class Site:
    """A source with three images, and a Harbor that they go to."""

    def __init__(self, source: Registry, harbor: AnyHarbor, folder: Path, base: str) -> None:
        self.source, self.harbor, self.folder, self.base = source, harbor, folder, base
        self.images = Images()
        self.password = folder / "password"
        self.password.write_text(ADMIN_PASSWORD)
        self.config = folder / "site.yaml"
        for tag in "123":
            self.put(tag)
        self.to("m")

    def put(self, tag: str, text: str = "") -> str:
        layer = self.images.layer({tag: (tag + text).encode() * 20_000}, compression="none")
        image = self.images.image([layer], platform="linux/amd64")
        self.images.name(f"registry.example/{self.base}:{tag}", image)
        upload(self.source.url, self.images, names=[f"registry.example/{self.base}:{tag}"])
        return str(image["digest"])

    def to(self, project: str, source: str = "") -> None:
        """Where they go."""
        host = source or self.source.host
        self.config.write_text(
            f"hosts: {{{self.harbor.host}: {{username: admin, password-file: {self.password}}}}}\n"
            f"defaults: {{to: {self.harbor.host}/{project}, referrers: none}}\n"
            f"sources: [{{repository: {host}/{self.base}, tags: ['1', '2', '3']}}]\n"
        )

    def run(self, *more: str, code: int | None = 0) -> Ran:
        state = self.folder / "state.json"
        return imgsync("mirror", self.config, "--state", state, *more, code=code)

    @property
    def tags(self) -> dict[str, str]:
        return self.harbor.tags(f"m/{self.base}")


@pytest.fixture
def site(
    harbors: Callable[[Mapping[str, Account]], AnyHarbor],
    registry: Registry,
    tmp_path: Path,
    repository: str,
) -> Iterator[Site]:
    with harbors({}) as harbor:
        harbor.project("m")
        yield Site(registry, harbor, tmp_path, repository)


def test_only_heads_touch_the_manifests_of_harbor(site: Site) -> None:
    site.run()
    assert set(site.tags) == {"1", "2", "3"}
    site.harbor.forget()
    assert "3 unchanged" in site.run().out
    methods = {seen.method for seen in site.harbor.requests if "/manifests/" in seen.path}
    assert methods == {"HEAD"}


def test_a_missing_project_is_told_or_created(site: Site) -> None:
    site.to("new")
    assert "/new does not exist" in site.run("--dry-run").out
    ran = site.run(code=5)
    assert "/new does not exist" in ran.err
    assert "--create-project" in ran.err
    site.run("--create-project")
    assert set(site.harbor.tags(f"new/{site.base}")) == {"1", "2", "3"}


def test_a_full_project_is_told_and_the_next_run_goes_on(site: Site) -> None:
    site.harbor.limit("m", 50_000)
    ran = site.run(code=None)
    assert ran.code in {3, 5}
    assert "quota" in ran.err.lower()
    assert len(site.tags) < 3
    site.harbor.limit("m", 10**9)
    site.run()
    assert set(site.tags) == {"1", "2", "3"}


def test_an_immutable_tag_stays_and_the_others_go_on(site: Site) -> None:
    site.run()
    site.harbor.make_immutable("m", [ImmutableRule("**", "2")])
    assert "3 unchanged" in site.run().out
    second, third = site.put("2", "new"), site.put("3", "new")
    ran = site.run(code=3)
    assert "1 unchanged, 1 updated, 1 failed" in ran.out
    assert "immutable" in ran.err
    assert site.tags["3"] == third
    assert site.tags["2"] != second


def test_content_that_harbor_forgot_is_sent_again(site: Site) -> None:
    """HEAD says that a blob is there, and PUT of the manifest that it is not."""
    harbor = site.harbor
    if not isinstance(harbor, Harbor):
        pytest.skip("only the stand-in can be made to do that")
    site.run()
    site.put("1", "new")
    digest = next(item for item in site.images.digests(f"registry.example/{site.base}:2"))
    harbor.begin_gc(digest)
    harbor.end_gc(digest)
    ran = site.run(code=None)
    assert ran.code in {0, 3}
    assert ran.code == 0 or "the next run tries them again" in ran.err


def test_a_token_that_ends_in_the_middle_of_a_blob_is_renewed(
    registry: Registry, tmp_path: Path, repository: str, faulty: Faulty
) -> None:
    with Harbor(users={}, token_lifetime_s=2) as harbor:
        harbor.project("m")
        site = Site(registry, harbor, tmp_path, repository)
        proxy = faulty(registry)
        proxy.on("GET", "/blobs/", Slow(10_000), times=None)
        site.to("m", source=proxy.host)
        site.run()
        assert set(site.tags) == {"1", "2", "3"}


def test_a_read_only_harbor_is_told(site: Site) -> None:
    site.harbor.read_only()
    ran = site.run(code=None)
    assert ran.code in {3, 5}
    assert "read only" in ran.err.lower() or "read-only" in ran.err.lower()
    site.harbor.read_only(on=False)
    site.run()


def test_settings_of_a_host_hold_no_secret() -> None:
    assert not [name for name in HostSettings.__dataclass_fields__ if name == "password"]
