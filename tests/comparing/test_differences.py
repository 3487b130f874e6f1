"""What differs between two things that hold images, and what they have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.comparing.as_json import differences_json
from imgsync.comparing.contents import Contents, together
from imgsync.comparing.differences import Amount, Change, Differences, differences
from imgsync.comparing.looking import View, contents_of_holding, contents_of_lock
from imgsync.errors import DigestMismatch, Unreachable
from imgsync.model.bundle import AbsentReason
from imgsync.model.digest import Digest
from imgsync.model.lock import Lock
from imgsync.model.mapping import Mapping
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.model.selection import Selection
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.selected import Selected
from tests.bundles import lock_of, memory_of, write_bundle
from tests.images import Images, Layer, load_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor

APP = "registry.example/team/app:1"
TOOL = "registry.example/team/tool:1"


class Release:
    """Two images on one base, for two platforms; a release is made of another."""

    def __init__(self, app: bytes = b"app", platforms: Sequence[str] = ("amd64", "arm64")) -> None:
        self.images = Images()
        self.base = self.images.layer({"base": b"base"})
        self.own: list[Layer] = []
        children = []
        for name in platforms:
            layer = self.images.layer({"app": app + name.encode()})
            self.own.append(layer)
            children.append(self.images.image([self.base, layer], platform=f"linux/{name}"))
        self.images.name(APP, self.images.index(children))
        self.images.name(TOOL, self.images.image([self.base], entrypoint="/bin/tool"))

    def contents(self, label: str = "memory", view: View | None = None) -> Contents:
        return contents_of_holding(memory_of(self.images), label, view)


def _compare(one: Release, other: Release) -> Differences:
    return differences(one.contents("old"), other.contents("new"))


def test_the_same_is_the_same() -> None:
    found = _compare(Release(), Release())
    assert found.is_same
    assert {image.change for image in found.images} == {Change.SAME}
    assert found.new == found.gone == Amount()
    images = Release().images
    assert found.shared == Amount(len(images.blobs), sum(map(len, images.blobs.values())))


def test_a_tag_that_moved_is_told_layer_by_layer() -> None:
    one, other = Release(), Release(app=b"better")
    found = _compare(one, other)
    assert [(image.name, image.change) for image in found.images] == [
        (APP, Change.MOVED),
        (TOOL, Change.SAME),
    ]
    app = found.images[0]
    assert [item.change for item in app.platforms] == [Change.MOVED, Change.MOVED]
    layers = [
        (item.change, str(item.layer.digest), item.is_new) for item in app.platforms[0].layers
    ]
    assert layers == [
        (Change.SAME, one.base.descriptor["digest"], False),
        (Change.REMOVED, one.own[0].descriptor["digest"], False),
        (Change.ADDED, other.own[0].descriptor["digest"], True),
    ]
    # An index, two manifests, two configs and two layers.
    assert app.new.n_objects == found.new.n_objects == found.gone.n_objects == 7
    new = other.images.blobs.keys() - one.images.blobs.keys()
    assert found.new.n_bytes == sum(len(other.images.blobs[digest]) for digest in new)


def test_images_that_came_and_went() -> None:
    one, other = Release(), Release()
    del one.images.names[APP]
    del other.images.names[TOOL]
    found = _compare(one, other)
    assert [(image.name, image.change) for image in found.images] == [
        (APP, Change.ADDED),
        (TOOL, Change.REMOVED),
    ]
    base = Digest.parse(one.base.descriptor["digest"])
    layers = {item.layer.digest: item.is_new for item in found.images[0].platforms[0].layers}
    assert not layers.pop(base), "the first has it, in another image"
    assert all(layers.values())


def test_a_platform_more_and_one_less() -> None:
    found = _compare(Release(), Release(platforms=("amd64", "riscv64")))
    app = found.images[0]
    assert app.change is Change.MOVED
    assert {item.name: item.change for item in app.platforms} == {
        "linux/amd64": Change.SAME,
        "linux/riscv64": Change.ADDED,
        "linux/arm64": Change.REMOVED,
    }


def test_only_the_configuration_changed() -> None:
    one, other = Release(), Release()
    other.images.name(TOOL, other.images.image([other.base], entrypoint="/bin/other"))
    (platform,) = _compare(one, other).images[1].platforms
    assert platform.is_config_only


def test_new_names_for_the_same_content() -> None:
    one, other = Release(), Release()
    other.images.name("harbor.example/x/app:1", other.images.names.pop(APP))
    found = _compare(one, other)
    assert not found.is_same
    assert found.new == found.gone == Amount()
    (image,) = found.changed
    assert (image.change, image.old_name, image.name) == (
        Change.RENAMED,
        APP,
        "harbor.example/x/app:1",
    )
    mapped = View(mapping=Mapping.parse("harbor.example/x"))
    other.images.name("harbor.example/x/team/tool:1", other.images.names.pop(TOOL))
    other.images.name(
        "harbor.example/x/team/app:1", other.images.names.pop("harbor.example/x/app:1")
    )
    assert differences(one.contents(view=mapped), other.contents()).is_same


def test_a_second_name_is_added_not_renamed() -> None:
    one, other = Release(), Release()
    other.images.name("registry.example/team/app:latest", other.images.names[APP])
    (image,) = _compare(one, other).changed
    assert (image.change, image.new) == (Change.ADDED, Amount())


def test_the_same_root_with_fewer_platforms(tmp_path: Path) -> None:
    images = Release().images
    whole = contents_of_holding(open_archive(write_bundle(tmp_path / "all.tar", images)), "all")
    part = contents_of_holding(
        open_archive(write_bundle(tmp_path / "part.tar", images, "linux/amd64")), "part"
    )
    found = differences(whole, part)
    (image,) = found.changed
    assert image.change is Change.PLATFORMS
    assert {item.name: item.change for item in image.platforms} == {
        "linux/amd64": Change.SAME,
        "linux/arm64": Change.REMOVED,
    }
    assert found.gone.n_objects == 2, "its config and its layer; its manifest travels"
    assert not found.new.n_objects


def test_one_platform_can_be_compared_alone(tmp_path: Path) -> None:
    images = Release().images
    view = View(Selection(choice=PlatformChoice.parse(["linux/amd64"])))
    part = open_archive(write_bundle(tmp_path / "part.tar", images, "linux/amd64"))
    one = contents_of_holding(part, "part", view)
    other = contents_of_holding(memory_of(images), "all", view)
    assert differences(one, other).is_same
    assert set(one.images[APP].platforms) == {"linux/amd64"}


def test_only_some_images_can_be_compared() -> None:
    view = View(Selection(("*/tool*",)))
    assert set(Release().contents(view=view).images) == {TOOL}
    assert not Release().contents(view=View(Selection(("nothing*",)))).images


def test_a_bundle_is_its_lock(tmp_path: Path, fixture_images: Images) -> None:
    for choice in ("all", "linux/amd64,linux/s390x"):
        lock = lock_of(memory_of(fixture_images), choice)
        bundle = open_archive(write_bundle(tmp_path / "site.tar", fixture_images, choice))
        one = contents_of_lock(Lock.parse(lock.to_bytes()), "site.tar", View())
        assert one == contents_of_holding(bundle, "site.tar")


def test_a_bundle_is_what_it_was_made_of(tmp_path: Path, fixture_images: Images) -> None:
    lock = lock_of(memory_of(fixture_images))
    (tmp_path / "layout").mkdir()
    fixture_images.write_layout(tmp_path / "layout")
    again = memory_of(load_layout(tmp_path / "layout"))
    assert differences(
        contents_of_lock(lock, "lock", View()), contents_of_holding(again, "layout")
    ).is_same


def test_what_a_delta_relies_on_is_a_part_of_its_images() -> None:
    release = Release()
    lock = lock_of(memory_of(release.images))
    relied = [
        digest for digest in lock.objects if lock.descriptor_of(digest) != lock.images[0].descriptor
    ]
    delta = Lock(
        lock.images,
        lock.extras,
        lock.objects,
        dict.fromkeys(relied, AbsentReason.RECEIVER),
        lock.docker_platform,
    )
    found = differences(
        contents_of_lock(lock, "whole", View()), contents_of_lock(delta, "delta", View())
    )
    assert found.is_same


def test_names_by_digest_say_nothing_new_beside_a_tag() -> None:
    memory = memory_of(Release().images)
    for root in list(memory.roots):
        assert root.name is not None
        memory.name(root.name.at(root.descriptor.digest), root.descriptor)
    memory.name(
        Reference.parse("registry.example/other@" + str(memory.roots[0].descriptor.digest)),
        memory.roots[0].descriptor,
    )
    names = set(contents_of_holding(memory, "node").images)
    assert names == {APP, TOOL, f"registry.example/other@{memory.roots[0].descriptor.digest}"}


def test_a_variant_that_goes_without_saying_is_none() -> None:
    one, other = Images(), Images()
    for images, name in ((one, "linux/arm64"), (other, "linux/arm64/v8")):
        images.name(APP, images.index([images.image([], platform=name)]))
    found = differences(
        contents_of_holding(memory_of(one), "one"), contents_of_holding(memory_of(other), "other")
    )
    assert [item.name for item in found.images[0].platforms] == ["linux/arm64"]


def test_two_manifests_of_one_platform_are_told_apart() -> None:
    images = Images()
    layer = images.layer({"a": b"a"})
    images.name(APP, images.index([images.image([]), images.image([layer])]))
    names = list(contents_of_holding(memory_of(images), "odd").images[APP].platforms)
    assert len(names) == 2
    assert all(name.startswith("linux/amd64 sha256:") for name in names)


def test_what_is_missing_is_no_error_and_what_is_damaged_is() -> None:
    release = Release()
    memory = memory_of(release.images)
    digest = Digest.parse(release.images.names[TOOL]["digest"])
    raw = memory.blobs.pop(digest)
    found = differences(release.contents(), contents_of_holding(memory, "node"))
    assert found.images[1].change is Change.PLATFORMS
    memory.blobs[digest] = raw.replace(b"sha256", b"SHA256")
    with pytest.raises(DigestMismatch):
        contents_of_holding(memory, "node")


def test_a_broken_line_is_not_taken_for_missing_content() -> None:
    memory = memory_of(Release().images)

    class Cut(Selected):
        def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
            msg = "gone"
            raise Unreachable(msg)

    with pytest.raises(Unreachable):
        contents_of_holding(Cut(memory, memory.roots), "registry")


def test_several_are_one() -> None:
    release = Release()
    memory = memory_of(release.images)
    parts = [contents_of_holding(Selected(memory, [root]), "x") for root in memory.roots]
    assert together("memory", parts) == release.contents()


def test_json_says_all_of_it() -> None:
    one, other = Release(), Release(app=b"better")
    value = differences_json(_compare(one, other))
    assert (value["first"], value["second"], value["same"]) == ("old", "new", False)
    app = value["images"][0]
    assert app["change"] == "moved"
    assert app["before"]["digest"] == one.images.names[APP]["digest"]
    assert app["platforms"][0]["layers"][2] == {
        "change": "added",
        "digest": other.own[0].descriptor["digest"],
        "mediaType": other.own[0].descriptor["mediaType"],
        "new": True,
        "size": other.own[0].descriptor["size"],
    }
    assert value["new"] == {"bytes": app["new"]["bytes"], "objects": 7}
    removed = differences_json(differences(one.contents(), Contents("nothing")))["images"][0]
    assert removed["after"] is None
    assert removed["platforms"][0]["after"] is None


def test_a_lock_of_a_manifest_without_children_is_read() -> None:
    lock = lock_of(memory_of(Release().images))
    digest = Digest.parse(Release().images.names[TOOL]["digest"])
    objects = {**lock.objects}
    objects[digest] = type(objects[digest])(objects[digest].media_type, objects[digest].size, ())
    odd = Lock(lock.images, lock.extras, objects, {}, lock.docker_platform)
    assert contents_of_lock(odd, "odd", View()).images.keys() == {APP, TOOL}
