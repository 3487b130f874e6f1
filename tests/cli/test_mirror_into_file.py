"""A mirror into a bundle or a layout folder: only what changed, and nothing is lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import Ran, imgsync
from tests.images import Images
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real


class Site:
    """A source, and a file that its images go to."""

    def __init__(self, source: Registry, folder: Path, output: str) -> None:
        self.source, self.folder, self.output = source, folder, output
        self.images = Images()
        self.config = folder / "site.yaml"

    def put(self, tag: str, text: str = "") -> str:
        layer = self.images.layer({tag: (tag + text).encode() * 100})
        index = self.images.index([self.images.image([layer], platform="linux/amd64")])
        self.images.name(f"registry.example/a:{tag}", index)
        upload(self.source.url, self.images, names=[f"registry.example/a:{tag}"])
        return str(index["digest"])

    def want(self, *tags: str) -> None:
        self.config.write_text(
            f"output: {self.output}\ndefaults: {{to: h.example/m}}\n"
            f"sources: [{{repository: {self.source.host}/a, tags: {list(tags)!r}}}]\n"
        )

    def run(self, *more: str, code: int = 0) -> Ran:
        state = self.folder / "state.json"
        return imgsync("mirror", self.config, "--state", state, *more, code=code)

    @property
    def names(self) -> dict[str, str]:
        images: Any = imgsync("inspect", self.output, "--format", "json").json["images"]
        return {image["name"]: image["digest"] for image in images}


@pytest.fixture(params=["site.tar", "oci:folder"])
def site(request: pytest.FixtureRequest, new_registry: Registry, tmp_path: Path) -> Site:
    prefix, colon, name = request.param.rpartition(":")
    made = Site(new_registry, tmp_path, f"{prefix}{colon}{tmp_path / name}")
    made.put("1")
    made.put("2")
    made.want("1", "2")
    return made


def test_what_changed_moves_and_the_rest_costs_a_head(site: Site) -> None:
    assert "2 new" in site.run().out
    assert set(site.names) == {"h.example/m/a:1", "h.example/m/a:2"}
    imgsync("verify", site.output)
    site.source.forget()
    assert "2 unchanged" in site.run().out
    assert {line.method for line in site.source.requests("", "/manifests/")} == {"HEAD"}
    digest = site.put("2", "new")
    site.source.forget()
    assert "1 unchanged, 1 updated" in site.run().out
    assert site.names["h.example/m/a:2"] == digest
    imgsync("verify", site.output)
    # The layer of the one that is the same is not fetched again.
    fetched = {line.path.rpartition("/")[2] for line in site.source.requests("GET", "/blobs/")}
    assert not fetched & site.images.digests("registry.example/a:1")


def test_an_image_that_cannot_be_had_stays_as_it_is(site: Site) -> None:
    site.run()
    before = site.names
    site.put("3")
    site.want("1", "2", "3", "nosuch")
    manifest = site.source.storage / "repositories" / "a" / "_manifests" / "tags" / "1"
    for path in sorted(manifest.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    ran = site.run(code=3)
    assert "1 unchanged" in ran.out or "1 new" in ran.out
    assert site.names["h.example/m/a:1"] == before["h.example/m/a:1"]
    assert "h.example/m/a:3" in site.names
    imgsync("verify", site.output)


def test_a_dry_run_makes_nothing(site: Site) -> None:
    assert "h.example/m/a:1  new" in site.run("--dry-run").out
    measured = site.run("--dry-run", "--bytes").out
    assert not Path(site.output.removeprefix("oci:")).exists()
    sent = re.search(r"; ([\d.]+ \w+) sent", site.run().out)
    assert sent is not None
    assert f"; {sent[1]} to send; 4 manifests were asked for" in measured


def test_a_byte_limit_is_gone_on_with(site: Site) -> None:
    ran = site.run("--byte-limit", "100", code=3)
    assert "left for the next run" in ran.err
    site.run()
    assert len(site.names) == 2
