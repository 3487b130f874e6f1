"""Inventories claim what was seen, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.errors import InvalidInput, Refused, Unreachable
from imgsync.events import Event, Noted, ignore
from imgsync.inventory.places import Place
from imgsync.inventory.taking import found_in_holding, found_in_repository
from imgsync.model.bundle import Root
from imgsync.model.digest import Digest
from imgsync.model.inventory import Inventory
from imgsync.model.reference import Reference
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from imgsync.stores.memory import Memory
from imgsync.stores.selected import Selected
from tests.bundles import lock_of, memory_of, write_bundle
from tests.images import Images

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.content import Readable
    from imgsync.model.descriptor import Descriptor
    from imgsync.stores import Resolved

APP = "registry.example/team/app"


def _of(memory: Memory) -> Inventory:
    return Inventory.make(["x"], found_in_holding(memory, ignore))


def _two_platforms() -> Images:
    images = Images()
    base = images.layer({"base": b"base"})
    index = images.index(
        [
            images.image([base, images.layer({"app": name.encode()})], platform=f"linux/{name}")
            for name in ("amd64", "arm64")
        ]
    )
    images.name(f"{APP}:1", index)
    return images


def _digests(images: Images) -> set[Digest]:
    return {Digest.parse(text) for text in images.blobs}


class Registry:
    """Memory, asked as a registry is: it cannot list what it has."""

    side = "registry.example/team/app"

    def __init__(self, memory: Memory, refused: frozenset[str] = frozenset()) -> None:
        self.memory = memory
        self.refused = refused
        self.opened: list[Digest] = []

    def resolve(self, reference: Reference) -> Resolved:
        if reference.tag in self.refused:
            msg = f"{reference}: not scanned"
            raise Refused(msg)
        return self.memory.resolve(reference)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        self.opened.append(descriptor.digest)
        return self.memory.open(descriptor, offset)


def test_everything_that_images_need(fixture_images: Images) -> None:
    inventory = _of(memory_of(fixture_images))
    needed = {
        item["digest"] for root in fixture_images.roots() for item in fixture_images.closure(root)
    }
    assert inventory.digests == {Digest.parse(text) for text in needed}
    for name, root in fixture_images.names.items():
        repository = name.rpartition(":")[0]
        for item in fixture_images.closure(root):
            assert repository in inventory.repositories_of(Digest.parse(item["digest"]))


def test_what_no_image_needs_is_not_claimed() -> None:
    images = _two_platforms()
    memory = memory_of(images)
    memory.blobs[Digest.of(b"old")] = b"old"
    assert _of(memory).digests == _digests(images)


def test_what_is_missing_is_not_claimed() -> None:
    images = _two_platforms()
    memory = memory_of(images)
    manifest = images.json(images.names[f"{APP}:1"]["digest"])["manifests"][1]
    lost = {Digest.parse(manifest["digest"])}
    below = images.json(manifest["digest"])
    del memory.blobs[Digest.parse(manifest["digest"])]
    told: list[Event] = []
    inventory = Inventory.make([], found_in_holding(memory, told.append))
    unknown = {Digest.parse(part["digest"]) for part in (below["config"], below["layers"][1])}
    assert inventory.digests == _digests(images) - lost - unknown
    assert [event for event in told if isinstance(event, Noted) and event.level == "warning"]
    memory.blobs[next(iter(lost))] = b"{}"
    assert _of(memory).digests == _digests(images) - lost - unknown, "damaged is not there either"


def test_a_bundle_has_what_is_in_its_file(tmp_path: Path, fixture_images: Images) -> None:
    choice = "linux/amd64,linux/s390x"
    path = write_bundle(tmp_path / "part.tar", fixture_images, choice)
    lock = lock_of(memory_of(fixture_images), choice)
    inventory = Inventory.make([], found_in_holding(open_archive(path), ignore))
    assert inventory.digests == lock.objects.keys() - lock.absent.keys()
    assert inventory.repositories == Inventory.parse(lock.to_bytes(), "lock").repositories


def test_a_folder(tmp_path: Path, fixture_images: Images) -> None:
    fixture_images.write_layout(tmp_path)
    inventory = Inventory.make([], found_in_holding(Layout(tmp_path), ignore))
    assert inventory.digests == _of(memory_of(fixture_images)).digests


def test_content_without_a_name_has_the_repository_of_its_label() -> None:
    images = _two_platforms()
    memory = memory_of(images)
    root = memory.roots[0].descriptor
    for extra, name in (("1.0", ""), (f"{APP}@{root.digest}", APP)):
        memory.roots = [Root(None, root, extra=extra)]
        assert _of(memory).repositories_of(root.digest) == ((name,) if name else ())


def test_a_broken_line_is_an_error() -> None:
    memory = memory_of(_two_platforms())

    class Cut(Selected):
        def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
            msg = "gone"
            raise Unreachable(msg)

    with pytest.raises(Unreachable):
        list(found_in_holding(Cut(memory, memory.roots), ignore))


def test_a_repository_is_read_once_for_all_its_tags() -> None:
    images = _two_platforms()
    images.name(f"{APP}:latest", images.names[f"{APP}:1"])
    registry = Registry(memory_of(images))
    names = [Reference.parse(f"{APP}:{tag}") for tag in ("1", "latest")]
    found = list(found_in_repository(registry, names, ignore))
    assert {digest for digest, _ in found} == _digests(images)
    assert {repository for _, repository in found} == {APP}
    assert len(registry.opened) == len(set(registry.opened)) == 3


def test_names_that_are_gone_or_forbidden_are_left_out() -> None:
    images = _two_platforms()
    images.name(f"{APP}:bad", images.image([images.layer({"bad": b"bad"})]))
    registry = Registry(memory_of(images), frozenset({"bad"}))
    names = [Reference.parse(f"{APP}:{tag}") for tag in ("1", "bad", "gone")]
    told: list[Event] = []
    found = {digest for digest, _ in found_in_repository(registry, names, told.append)}
    assert Digest.parse(images.names[f"{APP}:bad"]["digest"]) not in found
    assert Digest.parse(images.names[f"{APP}:1"]["digest"]) in found
    assert len(told) == 2


def test_a_registry_does_not_prove_layers_that_have_urls() -> None:
    images = Images()
    layer = images.layer({"base": b"windows"}, urls=["https://example.com/base"])
    images.name(f"{APP}:1", images.image([layer], platform="windows/amd64"))
    memory = memory_of(images)
    digest = Digest.parse(layer.descriptor["digest"])
    found = found_in_repository(Registry(memory), [Reference.parse(f"{APP}:1")], ignore)
    assert digest not in {item for item, _ in found}
    assert digest in _of(memory).digests, "who can say what it has is asked"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("harbor.example", Place("harbor.example")),
        ("harbor.example/", Place("harbor.example")),
        ("docker://harbor.example", Place("harbor.example")),
        ("localhost:5000", Place("localhost:5000")),
        ("harbor.example/project/", Place("harbor.example", "project/")),
        ("harbor.example/project/app", Place("harbor.example", "project/app", is_prefix=False)),
        ("harbor.example/project/app:1", None),
        (f"harbor.example/app@{Digest.of(b'')}", None),
        ("redis", None),
        ("containerd:", None),
        ("oci:folder", None),
    ],
)
def test_how_a_registry_is_named(text: str, place: Place | None) -> None:
    assert Place.parse(text) == place


def test_a_path_that_no_registry_has_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be lower case"):
        Place.parse("harbor.example/Project/")
