"""Labels of where content is from, as a pull leaves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.model.digest import Digest
from imgsync.stores.containerd.import_request import Carrier
from imgsync.stores.containerd.sources import missing_sources, source_label, with_source
from tests.images import Images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.stores.containerd.namespace import Containerd
    from tests.stores.containerd.conftest import Loader

HARBOR = "containerd.io/distribution.source.harbor.example.com"
NAME = "harbor.example.com:8443/team/app:1"


@pytest.mark.parametrize(
    ("registry", "host"),
    [
        ("docker.io", "docker.io"),
        ("harbor.example.com:8443", "harbor.example.com"),
        ("[fd00::1]:5000", "fd00::1"),
    ],
)
def test_a_host_is_said_without_its_port(registry: str, host: str) -> None:
    assert source_label(registry) == f"containerd.io/distribution.source.{host}"


@pytest.mark.parametrize(
    ("said", "new"),
    [
        ({}, {HARBOR: "team/app"}),
        ({"containerd.io/gc.root": "x"}, {HARBOR: "team/app"}),
        ({HARBOR: "team/app"}, {}),
        ({HARBOR: "a,team/app,z"}, {}),
        ({HARBOR: "z,a"}, {HARBOR: "a,team/app,z"}),
        ({HARBOR: ",".join(f"team/{number:060}" for number in range(62))}, {}),
    ],
    ids=["none", "another label", "the same", "among others", "beside others", "no room"],
)
def test_what_has_to_be_set(said: Mapping[str, str], new: Mapping[str, str]) -> None:
    assert with_source(said, "harbor.example.com", "team/app") == new


def test_content_of_several_images() -> None:
    shared, own, elsewhere = (Digest.of(text) for text in (b"shared", b"own", b"elsewhere"))
    names = ["redis:7", "docker.io/library/redis:7", "Not A Name"]
    images = [(names, [shared, own]), (["docker.io/team/app:1"], [shared, elsewhere])]
    hub = source_label("docker.io")
    assert missing_sources(images, {shared: {}, own: {hub: "library/redis"}}) == {
        shared: {hub: "library/redis,team/app"}
    }


@pytest.mark.real
@pytest.mark.parametrize("carrier", [None, Carrier.STREAM])
def test_all_content_is_labelled(
    load: Loader, ours: Containerd, namespace: str, carrier: Carrier | None
) -> None:
    images = Images()
    layer = images.layer({"own": namespace.encode()})
    children = [images.image([layer], platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    images.name(NAME, images.index(children))
    load(images, carrier=Carrier.STREAM)
    assert not any(HARBOR in labels for labels in ours.content.labels().values())
    # Of what is there already, it is said too.
    (unchanged,) = load(images, carrier=carrier, sources=True).imported
    assert unchanged.status == "unchanged"
    before = ours.content.labels()
    assert {str(digest) for digest in before} == images.digests()
    assert {labels[HARBOR] for labels in before.values()} == {"team/app"}
    # What comes later under another name keeps what was said before, and its other labels.
    (renamed,) = load(
        images,
        carrier=carrier,
        sources=True,
        rename=lambda name: name.moved_to("harbor.example.com", "a/app"),
    ).imported
    assert renamed.status == "imported"
    after = ours.content.labels()
    assert {labels[HARBOR] for labels in after.values()} == {"a/app,team/app"}
    for digest, labels in before.items():
        assert labels.items() - {(HARBOR, "team/app")} <= after[digest].items()
