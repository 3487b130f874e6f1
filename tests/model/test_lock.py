"""The lock: the same value gives the same bytes, and nothing doubtful is read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.errors import InvalidArchive, InvalidImageList
from imgsync.model.bundle import AbsentReason, Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.lock import Lock, LockObject
from imgsync.model.manifest import describe
from imgsync.model.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.model.strict_json import canonical
from imgsync.walk import Graph, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgsync.errors import ImgsyncError

AMD64 = Platform("linux", "amd64")


def _blob(text: str, media_type: str = OCI_LAYER) -> Descriptor:
    return Descriptor(media_type, Digest.of(text.encode()), len(text))


class Image:
    """A two-platform image of four blobs and its walk."""

    def __init__(self, seed: str = "a") -> None:
        self.raw: dict[Digest, bytes] = {}
        shared = _blob("shared")
        self.manifests = []
        for arch in ("amd64", "arm64"):
            config = _blob(f"{seed} {arch} config", OCI_CONFIG)
            layers = [shared, _blob(f"{seed} {arch} layer")]
            self.manifests.append(
                self._add(
                    {
                        "schemaVersion": 2,
                        "mediaType": OCI_MANIFEST,
                        "config": config.to_json(),
                        "layers": [layer.to_json() for layer in layers],
                    }
                )
            )
        self.root = self._add(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [item.to_json() for item in self.manifests],
            }
        )

    def _add(self, value: dict[str, Any]) -> Descriptor:
        raw = canonical(value)
        descriptor = describe(raw)
        self.raw[descriptor.digest] = raw
        return descriptor


def _graph(*images: Image) -> Graph:
    raw = {key: data for image in images for key, data in image.raw.items()}

    def read(wanted: Sequence[Descriptor]) -> list[tuple[Descriptor, bytes | ImgsyncError]]:
        return [(item, raw[item.digest]) for item in wanted]

    return walk([image.root for image in images], read)


def _lock() -> Lock:
    image = Image()
    name = Reference.parse("redis:7")
    bundle = Bundle(
        (
            Root(name, image.root, origin=str(Reference.parse(f"redis:7@{image.root.digest}"))),
            Root(
                None,
                image.manifests[0],
                extra="docker.io/library/redis:sha256-1.sig",
                subject=image.root.digest,
            ),
        ),
        {_blob("a arm64 layer").digest: AbsentReason.PLATFORM},
    )
    return Lock.make(
        bundle,
        _graph(image),
        platforms={image.manifests[0].digest: AMD64},
        failed=["z:1", "b:1"],
    )


def test_what_is_written_is_read_again() -> None:
    lock = _lock()
    raw = lock.to_bytes()
    assert Lock.parse(raw) == lock
    assert Lock.parse(raw).to_bytes() == raw
    assert raw.endswith(b"}\n")


def test_the_form_is_the_one_of_the_format_page() -> None:
    value = json.loads(_lock().to_bytes())
    assert list(value) == ["absent", "extras", "failed", "format", "images", "objects", "options"]
    assert value["format"] == "imgsync.lock/1"
    assert value["options"] == {"dockerPlatform": "linux/amd64"}
    assert value["failed"] == ["b:1", "z:1"]
    assert value["absent"] == {"platform-not-chosen": [str(_blob("a arm64 layer").digest)]}
    (image,) = value["images"]
    assert image["name"] == "docker.io/library/redis:7"
    assert image["platforms"] == "all"
    (extra,) = value["extras"]
    assert extra["name"] == "docker.io/library/redis:sha256-1.sig"
    assert extra["origin"] is None
    manifest = value["objects"][str(Image().manifests[0].digest)]
    assert manifest["platform"] == {"architecture": "amd64", "os": "linux"}
    assert manifest["children"][0] == str(_blob("a amd64 config", OCI_CONFIG).digest)


def test_the_order_of_roots_and_objects_changes_no_byte() -> None:
    one, two = Image("one"), Image("two")
    roots = (Root(Reference.parse("one"), one.root), Root(Reference.parse("two"), two.root))
    forward = Lock.make(Bundle(roots), _graph(one, two))
    backward = Lock.make(Bundle(roots[::-1]), _graph(two, one))
    assert forward.to_bytes() == backward.to_bytes()


def test_objects_that_no_root_needs_stay_out() -> None:
    one, two = Image("one"), Image("two")
    lock = Lock.make(Bundle((Root(Reference.parse("one"), one.root),)), _graph(one, two))
    assert two.root.digest not in lock.objects
    assert len(lock.objects) == 8


def test_present_objects_come_documents_first_and_without_the_absent() -> None:
    lock = _lock()
    present = list(lock.present())
    kinds = [item.is_document for item in present]
    assert kinds == sorted(kinds, reverse=True)
    assert {item.digest for item in present} == set(lock.objects) - set(lock.absent)
    assert str(present[0].digest) < str(present[1].digest)


def test_an_absent_document_needs_no_children() -> None:
    image = Image()
    lock = Lock(
        (Root(Reference.parse("a"), image.root),),
        objects={image.root.digest: LockObject(OCI_INDEX, image.root.size)},
        absent={image.root.digest: AbsentReason.RECEIVER},
    )
    assert Lock.parse(lock.to_bytes()) == lock


def _changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(_lock().to_bytes())
    change(value)
    return json.dumps(value).encode()


ROOT = str(Image().root.digest)
LAYER = str(_blob("shared").digest)
UNKNOWN = str(Digest.of(b"unknown"))

WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer format": (lambda v: v.update(format="imgsync.lock/2"), "imgsync.lock/1 expected"),
    "other format": (lambda v: v.update(format=1), "imgsync.lock/1 expected"),
    "key missing": (lambda v: v.pop("failed"), "has no failed"),
    "key too many": (lambda v: v.update(more=1), "unknown key 'more'"),
    "images no list": (lambda v: v.update(images={}), "images is not a list"),
    "image no object": (lambda v: v.update(images=[1]), "images[0] is not an object"),
    "bad name": (lambda v: v["images"][0].update(name="A:1"), "lower case"),
    "short name": (lambda v: v["images"][0].update(name="redis:7"), "in full"),
    "name twice": (lambda v: v["images"].append(v["images"][0]), "twice"),
    "name no text": (lambda v: v["images"][0].update(name=7), "is not a text"),
    "origin without digest": (
        lambda v: v["images"][0].update(origin="docker.io/library/redis:7"),
        "not a full name with a digest",
    ),
    "root no descriptor": (lambda v: v["images"][0].update(root=[]), "not a JSON object"),
    "root not listed": (lambda v: v["objects"].pop(ROOT), "is not among the objects"),
    "root of another size": (lambda v: v["images"][0]["root"].update(size=1), "not among"),
    "bad subject": (lambda v: v["extras"][0].update(subject="x"), "is not a digest"),
    "bad object key": (lambda v: v["objects"].update({"md5:1": {}}), "md5"),
    "object without size": (lambda v: v["objects"][LAYER].pop("size"), "has no size"),
    "negative size": (lambda v: v["objects"][LAYER].update(size=-1), "whole number of bytes"),
    "boolean size": (lambda v: v["objects"][LAYER].update(size=True), "whole number of bytes"),
    "child not listed": (lambda v: v["objects"].pop(LAYER), "not listed itself"),
    "blob with children": (lambda v: v["objects"][LAYER].update(children=[]), "is a blob"),
    "index without children": (lambda v: v["objects"][ROOT].pop("children"), "not listed"),
    "object of no image": (
        lambda v: v["objects"].update({UNKNOWN: {"mediaType": "a/b", "size": 1}}),
        "no image needs",
    ),
    "unknown reason": (lambda v: v["absent"].update(lost=[]), "is not a reason"),
    "absent twice": (
        lambda v: v["absent"].update({"in-other-volume": v["absent"]["platform-not-chosen"]}),
        "twice",
    ),
    "absent and not needed": (
        lambda v: v["absent"].update({"in-other-volume": [UNKNOWN]}),
        "no image needs it",
    ),
    "bad docker platform": (lambda v: v["options"].update(dockerPlatform="?"), "platform"),
    "option too many": (lambda v: v["options"].update(x=1), "unknown key"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_doubtful_lock_is_refused(case: str) -> None:
    change, problem = WRONG[case]
    with pytest.raises(InvalidArchive) as caught:
        Lock.parse(_changed(change), "site.tar: lock")
    assert caught.value.message.startswith("site.tar: lock")
    assert problem in caught.value.message


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b'{"a":1,"a":1}', b"[" * 10**5])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidArchive):
        Lock.parse(raw)


def test_a_lock_that_a_user_names_is_an_image_list() -> None:
    with pytest.raises(InvalidImageList):
        Lock.parse(b"{}", "a.lock.json", error=InvalidImageList)
