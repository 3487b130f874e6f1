"""Inspect: the facts, and what docker gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imgsync.inspect import inspect
from imgsync.model.platform import PlatformChoice
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from tests.bundles import memory_of, write_bundle
from tests.images import Images, tar_of

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.inspecting.facts import Facts, ImageFacts

APP = "registry.example/team/app:1"


@pytest.fixture
def images() -> Images:
    images = Images()
    base = images.layer({"base": bytes(1000)})
    children = [
        images.image([base, images.layer({"own": platform.encode()})], platform=platform)
        for platform in ("linux/amd64", "linux/arm64")
    ]
    root = images.index(children)
    images.name(APP, root)
    images.name("registry.example/team/same:1", root)
    images.name(
        "registry.example/team/zstd:1", images.image([images.layer({}, compression="zstd")])
    )
    images.name("registry.example/charts/app:1", images.artifact("application/x", b"chart"))
    images.referrer(root, "application/x", b"sbom", "registry.example/team/app")
    return images


def image_of(facts: Facts, label: str) -> ImageFacts:
    return next(image for image in facts.images if image.root.label == label)


def test_the_facts_of_a_bundle(tmp_path: Path, images: Images) -> None:
    facts = inspect(open_archive(write_bundle(tmp_path / "b.tar", images)))
    assert facts.form == "imgsync bundle (archive)"
    assert facts.n_objects == len(images.digests())
    assert facts.n_bytes == sum(len(images.blobs[digest]) for digest in images.digests())
    app = image_of(facts, APP)
    assert app.platforms == ("linux/amd64", "linux/arm64")
    assert app.n_layers == 3
    assert app.size == app.shared_size
    assert app.size == sum(len(images.blobs[digest]) for digest in images.digests(APP))
    assert app.docker == ("linux/amd64", "")
    assert app.root.origin.startswith(APP)
    assert [item.created for item in app.manifests] == ["2024-01-01T00:00:00Z"] * 2


def test_why_docker_does_not_see_an_image(tmp_path: Path, images: Images) -> None:
    images.name(f"registry.example/team/pinned@{images.names[APP]['digest']}", images.names[APP])
    facts = inspect(open_archive(write_bundle(tmp_path / "b.tar", images)))
    why = {image.root.label: image.docker.why for image in facts.images}
    assert why["registry.example/team/zstd:1"] == "its layers are compressed with zstd"
    assert why["registry.example/charts/app:1"] == "it is no image that runs"
    assert [text for name, text in why.items() if "team/app@" in name] == [
        "it is no image that runs"
    ]
    assert [text for name, text in why.items() if "pinned" in name] == ["it has no tag"]


def test_an_archive_without_a_manifest_is_nothing_to_docker(tmp_path: Path, images: Images) -> None:
    facts = inspect(open_archive(images.write_archive(tmp_path / "a.tar")))
    assert {image.docker.why for image in facts.images} == {"the archive has no manifest.json"}
    layout = inspect(Layout(images.write_layout(tmp_path / "layout")))
    assert {tuple(image.docker) for image in layout.images} == {("", "")}


def test_a_damaged_manifest_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    index = b'{"schemaVersion":2,"manifests":[]}'
    images = Images()
    images.name(APP, images.image([]))
    folder = images.write_layout(tmp_path / "layout")
    members = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
    path.write_bytes(tar_of(members | {"manifest.json": b"{"}))
    facts = inspect(open_archive(path))
    assert [image.docker.why for image in facts.images] == ["manifest.json is damaged"]
    path.write_bytes(tar_of(members | {"index.json": index, "manifest.json": b"[]"}))
    assert inspect(open_archive(path)).images == ()


def test_the_facts_of_a_docker_archive(tmp_path: Path, images: Images) -> None:
    facts = inspect(open_archive(images.write_docker_save(tmp_path / "d.tar", APP)))
    assert facts.form == "docker-save archive"
    (image,) = facts.images
    assert image.docker == ("linux/amd64", "")
    assert image.platforms == ("linux/amd64",)


def test_a_partial_bundle_tells_what_it_lacks(tmp_path: Path, images: Images) -> None:
    facts = inspect(open_archive(write_bundle(tmp_path / "b.tar", images, "linux/amd64")))
    assert facts.form == "imgsync bundle (partial, archive)"
    assert facts.absent == {"platform-not-chosen": 2}
    app = image_of(facts, APP)
    assert (app.platforms, app.incomplete) == (("linux/amd64",), ("linux/arm64",))
    assert app.n_layers == 2


def test_only_the_platforms_that_were_chosen(images: Images) -> None:
    facts = inspect(memory_of(images), choice=PlatformChoice.parse(["linux/arm64"]))
    app, whole = image_of(facts, APP), image_of(inspect(memory_of(images)), APP)
    assert app.platforms == ("linux/arm64",)
    other = next(item for item in whole.manifests if item.platform == "linux/amd64")
    own = [other.config, other.layers[-1]]
    assert app.size == whole.size - sum(item.size for item in own if item is not None)


def test_facts_are_json(tmp_path: Path, images: Images) -> None:
    facts = inspect(open_archive(write_bundle(tmp_path / "b.tar", images)))
    value = json.loads(json.dumps(facts.to_json()))
    app = next(item for item in value["images"] if item["name"] == APP)
    assert app["docker"] == {"sees": "linux/amd64", "why": None}
    assert [item["platform"] for item in app["manifests"]] == ["linux/amd64", "linux/arm64"]
    assert app["manifests"][0]["layers"][0]["size"] > 0
    extra = next(item for item in value["images"] if item["name"] is None)
    assert extra["subject"] == images.names[APP]["digest"]
