"""A rewritten index holds just what is whole, and the same input gives the same digest."""

import json

import pytest

from imgsync.documents import reader_of
from imgsync.errors import PartialRefused
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.platform import PlatformChoice
from imgsync.platforms import absent_of, platforms_of
from imgsync.rewriting import Rewritten, is_whole, rewrite
from imgsync.walk import Graph, walk
from tests.bundling.stores import memory_of
from tests.images import Images


def multi() -> tuple[Images, Graph, Descriptor]:
    images = Images()
    shared = images.layer({"base": b"shared"})
    children = []
    for platform in ("linux/amd64", "linux/arm64/v8", "linux/arm/v7"):
        image = images.image([shared, images.layer({"app": platform.encode()})], platform=platform)
        children += [image, images.attestation(image)]
    index = images.index(children, annotations={"org.example.kept": "yes"})
    images.name("registry.example/app:1", index)
    read = reader_of(memory_of(images))
    root = Descriptor.from_json(index)
    graph = walk([root], read)
    return images, graph, root


def chosen(graph: Graph, root: Descriptor, *platforms: str) -> set[Digest]:
    known = platforms_of(graph, [root], lambda _items: [])
    return absent_of(graph, root, PlatformChoice.parse(platforms), known)


def document(made: Rewritten) -> dict[str, object]:
    value: dict[str, object] = json.loads(made.documents[made.root.digest])
    return value


def test_attestations_follow_their_subject_and_the_rest_stays() -> None:
    images, graph, root = multi()
    absent = chosen(graph, root, "linux/amd64", "linux/arm/v7")
    made = rewrite(graph, root, absent)
    old = images.json(str(root.digest))
    new = document(made)
    manifests = old["manifests"]
    assert new["manifests"] == [*manifests[0:2], *manifests[4:6]]
    assert new["annotations"] == {"org.example.kept": "yes"}
    assert new["mediaType"] == old["mediaType"]
    made.add_to(graph)
    assert is_whole(graph, made.root, absent)


def test_one_platform_stays_an_index() -> None:
    _, graph, root = multi()
    made = rewrite(graph, root, chosen(graph, root, "linux/arm64"))
    assert made.root.media_type == root.media_type
    assert len(document(made)["manifests"]) == 2  # type: ignore[arg-type]


def test_the_same_input_gives_the_same_digest() -> None:
    first, second = (
        rewrite(graph, root, chosen(graph, root, "linux/arm64"))
        for _, graph, root in (multi(), multi())
    )
    assert first.root.digest == second.root.digest
    assert first.root.digest == Digest.of(first.documents[first.root.digest])


def test_a_whole_root_is_left_alone() -> None:
    _, graph, root = multi()
    assert rewrite(graph, root, set()) == Rewritten(root, {})


def test_nested_indexes_are_rewritten_from_within() -> None:
    images, _, inner = multi()
    outer = images.index([images.names["registry.example/app:1"]])
    images.name("registry.example/outer:1", outer)
    root = Descriptor.from_json(outer)
    graph = walk([root], reader_of(memory_of(images)))
    made = rewrite(graph, root, chosen(graph, root, "linux/amd64"))
    entries = document(made)["manifests"]
    assert isinstance(entries, list)
    assert len(made.documents) == 2
    assert entries[0]["digest"] != str(inner.digest)
    assert Digest.parse(entries[0]["digest"]) in made.documents


def test_nothing_whole_is_refused() -> None:
    _, graph, root = multi()
    layers = {digest for digest in graph.descriptors if digest not in graph.documents}
    with pytest.raises(PartialRefused, match="nothing of index sha256:"):
        rewrite(graph, root, layers)
