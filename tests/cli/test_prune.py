"""imgsync prune, against real registries: what is ours, unwanted and old goes, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.cli.run import imgsync
from tests.images import Images
from tests.servers.harbor import PASSWORD, Account, AnyHarbor
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real

NOW = ("--keep", "0s")


class Site:
    """A mirror that has run, and what is at its destination."""

    def __init__(self, source: Registry, target: str, folder: Path, base: str) -> None:
        self.source, self.target, self.folder, self.base = source, target, folder, base
        self.images = Images()
        self.config = folder / "site.yaml"

    def put(self, *tags: str) -> dict[str, str]:
        """Images at the source; gives their digests."""
        digests = {}
        for tag in tags:
            layer = self.images.layer({tag: tag.encode() * 50})
            index = self.images.index([self.images.image([layer], platform="linux/amd64")])
            self.images.name(f"registry.example/{self.base}:{tag}", index)
            digests[tag] = str(index["digest"])
        upload(self.source.url, self.images)
        return digests

    def want(self, *tags: str) -> None:
        """The config selects these."""
        self.config.write_text(
            f"defaults: {{to: {self.target}/m}}\n"
            f"sources: [{{repository: {self.source.host}/{self.base}, tags: {json.dumps(tags)}}}]\n"
        )

    def run(self, command: str, *more: str | Path, code: int = 0) -> str:
        state = ("--state", self.folder / "state.json")
        ran = imgsync(command, self.config, *state, *more, code=code)
        return ran.out + ran.err


@pytest.fixture
def site(registry: Registry, new_registry: Registry, tmp_path: Path, repository: str) -> Site:
    made = Site(registry, new_registry.host, tmp_path, repository)
    made.put("1", "2", "3")
    made.want("1", "2", "3")
    made.run("mirror")
    return made


def test_nothing_goes_without_yes(site: Site, new_registry: Registry) -> None:
    site.want("1")
    said = site.run("prune", *NOW)
    assert "2 of 3 tags would be removed; --yes does it" in said
    assert set(new_registry.tags(f"m/{site.base}")) == {"1", "2", "3"}
    assert not new_registry.requests("DELETE")


def test_what_nobody_wants_goes_and_only_that(site: Site, new_registry: Registry) -> None:
    upload(new_registry.url, site.images, names=[f"registry.example/{site.base}:2"], prefix="x/")
    site.want("1", "3")
    assert "removed 1 of 3 tags" in site.run("prune", *NOW, "--yes")
    assert set(new_registry.tags(f"m/{site.base}")) == {"1", "3"}
    assert set(new_registry.tags(f"x/{site.base}")) == {"2"}
    assert "nothing to remove" in site.run("prune", *NOW)
    site.want("1", "2", "3")
    assert "1 new" in site.run("mirror")


def test_what_was_pushed_lately_stays(site: Site) -> None:
    site.want("1")
    said = site.run("prune")
    assert "nothing to remove" in said
    assert said.count("pushed too recently") == 2


def test_what_others_have_put_there_stays(site: Site, new_registry: Registry) -> None:
    base = f"m/{site.base}"
    images = Images()
    other = images.image([images.layer({"o": b"o"})], platform="linux/amd64")
    for tag in ("2", "foreign"):
        images.name(f"registry.example/{base}:{tag}", other)
    upload(new_registry.url, images)
    site.want("1")
    said = site.run("prune", *NOW, "--yes")
    assert "means something else now" in said
    assert "removed 1 of 3" in said
    assert set(new_registry.tags(base)) == {"1", "2", "foreign"}


def test_a_digest_that_another_tag_has_stays(site: Site, new_registry: Registry) -> None:
    # The same index under a foreign tag: distribution would delete both.
    digest = site.images.names[f"registry.example/{site.base}:2"]
    site.images.name(f"registry.example/m/{site.base}:keep", digest)
    upload(new_registry.url, site.images, names=[f"registry.example/m/{site.base}:keep"])
    site.want("1")
    said = site.run("prune", *NOW, "--yes")
    assert "another tag needs its digest" in said
    assert set(new_registry.tags(f"m/{site.base}")) == {"1", "2", "keep"}


def test_what_a_lock_needs_stays(site: Site, new_registry: Registry) -> None:
    bundle = site.folder / "site.tar"
    imgsync("bundle", f"{site.source.host}/{site.base}:2", "-o", bundle)
    site.want("1")
    said = site.run("prune", *NOW, "--yes", "--lock", f"{bundle}.lock.json")
    assert "a lock needs its digest" in said
    assert set(new_registry.tags(f"m/{site.base}")) == {"1", "2"}


@pytest.fixture
def signed(registry: Registry, new_registry: Registry, tmp_path: Path, repository: str) -> Site:
    """Two images, each with a signature under cosign's tag, and a signed SBOM."""
    made = Site(registry, new_registry.host, tmp_path, repository)
    made.put("1", "2")
    name = f"registry.example/{repository}"
    for tag in ("1", "2"):
        root = made.images.names[f"{name}:{tag}"]
        made.images.cosign_signature(root, name)
        sbom = made.images.referrer(root, "application/spdx+json", tag.encode(), name)
        made.images.referrer(sbom, "application/vnd.example.signature", tag.encode(), name)
    upload(registry.url, made.images, referrers=True)
    made.want("1", "2")
    made.run("mirror")
    return made


def test_what_is_about_an_image_goes_with_it(signed: Site, new_registry: Registry) -> None:
    base = f"m/{signed.base}"
    tags, manifests = new_registry.tags(base), new_registry.manifests(base)
    # Of each image: its own tag, cosign's, and two lists in place of the referrers API.
    assert len(tags) == 2 * 4
    signed.want("1")
    said = signed.run("prune", *NOW)
    assert "1 of 2 tags would be removed, and 3 signatures and the like; --yes does it" in said
    assert said.count("goes with sha256:") == 3
    assert new_registry.tags(base) == tags
    said = signed.run("prune", *NOW, "--yes")
    assert "removed 1 of 2 tags that this mirror has pushed, and 3 signatures and the like" in said
    assert len(new_registry.tags(base)) == 4
    # What is left of the second image is what only its index has led to.
    gone = manifests - new_registry.manifests(base)
    assert len(gone) == 1 + 3 + 2
    assert "nothing to remove" in signed.run("prune", *NOW)
    signed.want("1", "2")
    assert "1 new" in signed.run("mirror")
    assert new_registry.tags(base) == tags


def test_what_others_have_signed_there_stays(signed: Site, new_registry: Registry) -> None:
    base, images = f"m/{signed.base}", signed.images
    root = images.names[f"registry.example/{signed.base}:2"]
    listed = str(root["digest"]).replace(":", "-")
    entries = json.loads(new_registry.read_blob(new_registry.tags(base)[listed]))["manifests"]
    theirs = images.referrer(root, "application/vnd.example.scan", b"theirs")
    other = images.image([images.layer({"sig": b"theirs"})], platform="linux/amd64")
    names = [
        images.name(f"registry.example/{base}:{listed}", images.index([*entries, theirs])),
        images.name(f"registry.example/{base}:{listed}.sig", other),
    ]
    upload(new_registry.url, images, names=names)
    signed.want("1")
    said = signed.run("prune", *NOW, "--yes")
    assert "means something else now" in said
    assert "and 2 signatures and the like" in said
    now = new_registry.tags(base)
    assert now[f"{listed}.sig"] == other["digest"]
    left = json.loads(new_registry.read_blob(now[listed]))["manifests"]
    assert [entry["digest"] for entry in left] == [theirs["digest"]]


def test_receipts_without_what_is_about_images_claim_nothing_of_it(
    signed: Site, new_registry: Registry
) -> None:
    receipts = signed.folder / "state.receipts.jsonl"
    lines = receipts.read_text().splitlines()
    receipts.write_text("".join(f"{line}\n" for line in lines if "pushed-about" not in line))
    signed.want("1")
    said = signed.run("prune", *NOW, "--yes")
    assert "removed 1 of 2 tags that this mirror has pushed\n" in said
    assert len(new_registry.tags(f"m/{signed.base}")) == 7


def test_nothing_goes_where_the_config_cannot_be_told(site: Site, new_registry: Registry) -> None:
    site.config.write_text(
        f"defaults: {{to: {site.target}/m}}\n"
        f"sources: [{{repository: {site.source.host}/no/such, tags: all}}]\n"
    )
    said = site.run("prune", *NOW, "--yes", code=3)
    assert "what the config selects is not known, so nothing is removed" in said
    assert len(new_registry.tags(f"m/{site.base}")) == 3


def test_receipts_that_are_gone_claim_nothing(site: Site, new_registry: Registry) -> None:
    site.want("1")
    (site.folder / "state.receipts.jsonl").write_text("junk\n")
    said = site.run("prune", *NOW, "--yes")
    assert "1 lines are damaged and claim nothing" in said
    assert "removed 0 of 0 tags" in said
    assert len(new_registry.tags(f"m/{site.base}")) == 3


def test_a_registry_that_deletes_nothing_says_so(
    registry: Registry, tmp_path: Path, repository: str
) -> None:
    with Registry(settings={"storage": {"delete": {"enabled": False}, "inmemory": {}}}) as target:
        site = Site(registry, target.host, tmp_path, repository)
        site.put("1", "2")
        site.want("1", "2")
        site.run("mirror")
        site.want("1")
        said = site.run("prune", *NOW, "--yes", code=5)
        assert "the registry deletes nothing" in said
        assert "REGISTRY_STORAGE_DELETE_ENABLED" in said


def test_harbor_removes_the_tag_alone(
    harbors: Callable[[Mapping[str, Account]], AnyHarbor],
    registry: Registry,
    tmp_path: Path,
    repository: str,
) -> None:
    with harbors({"ann": Account(PASSWORD)}) as harbor:
        harbor.project("m", members={"ann": "developer"})
        harbor.robot("robot$m+prune", PASSWORD, {"m": ("pull", "push", "tag:delete")})
        site = Site(registry, harbor.host, tmp_path, repository)
        digests = site.put("1", "2")
        secret = tmp_path / "pw"
        secret.write_text(PASSWORD)

        def login(user: str) -> tuple[str, ...]:
            password = f"{harbor.host}={secret}"
            return ("--username", f"{harbor.host}={user}", "--password-file", password)

        site.want("1", "2")
        site.run("mirror", *login("ann"))
        site.want("1")
        refused = site.run("prune", *NOW, "--yes", *login("ann"), code=5)
        assert "Harbor lets maintainers do that, and robots that may delete tags" in refused
        robot = login("robot$m+prune")
        assert "removed 1 of 2 tags" in site.run("prune", *NOW, "--yes", *robot)
        assert harbor.tags(f"m/{repository}") == {"1": digests["1"]}
        assert digests["2"] in harbor.artifacts(f"m/{repository}")
