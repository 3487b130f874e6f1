"""What happens on the way: tokens that end, content that is lost, collected, or not mounted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
import requests

from imgsync.errors import CollectingGarbage, RegistryUnavailable
from imgsync.events import Event, Retried
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference
from tests.images import Images, sized_image
from tests.servers.faults import Answer, Delay, LimitBody, SetHeaders
from tests.servers.harbor import ADMIN, ADMIN_PASSWORD, PASSWORD, Harbor
from tests.servers.proxy import FaultyProxy
from tests.upload import upload

if TYPE_CHECKING:
    from tests.harbor.conftest import Somebody
    from tests.servers.harbor import AnyHarbor

pytestmark = pytest.mark.real

NAME = "registry.example/team/app:1"
ANN = ("ann", PASSWORD)


def large(n_layers: int = 1) -> Images:
    """Layers that are sent as a stream, not from memory."""
    return sized_image(n_layers, 400_000, name=NAME)


def layers(images: Images) -> list[str]:
    manifest = images.json(images.names[NAME]["digest"])
    return [layer["digest"] for layer in manifest["layers"]]


def test_no_manifest_is_ever_read(harbor: AnyHarbor, somebody: Somebody) -> None:
    images = sized_image(2, 1000, platforms=("linux/amd64", "linux/arm64"), name=NAME)
    for _ in range(2):
        assert somebody.push(images, harbor.host).failures == []
    assert harbor.count("GET", "/manifests/") == 0
    assert harbor.count("GET", "/blobs/sha256") == 0
    seen = Counter(s.method for s in harbor.matching("", "/manifests/"))
    assert set(seen) == {"HEAD", "PUT"}


def test_a_token_that_ends_within_a_long_blob(stand_in: Harbor, somebody: Somebody) -> None:
    """The server looks at the token when a request begins; the next one needs a new token."""
    stand_in.token_lifetime_s = 0.3
    images = large(2)
    with FaultyProxy(upstream=stand_in.url) as proxy:
        proxy.on("PUT", f"digest=sha256%3A{layers(images)[0][7:]}", Delay(0.5))
        assert somebody.push(images, proxy.host, jobs=1).failures == []
        basic = [
            seen
            for seen in proxy.matching("", "/v2/")
            if seen.headers.get("authorization", "").startswith("Basic")
        ]
        assert basic == [], "Harbor's Basic challenge for a stale token is not followed"
    assert stand_in.tags("team/app")
    assert any("the token ended on the way" in line for line in somebody.retried())
    assert stand_in.failed_logins == []


def test_content_that_harbor_says_it_has_and_lost(stand_in: Harbor, somebody: Somebody) -> None:
    """HEAD is answered from Harbor's database; the registry behind does not have the blob."""
    images = large()
    (layer,) = layers(images)
    upload(stand_in.url, images, auth=ANN)
    stand_in.state.tags["team/app"].clear()
    stand_in.state.artifacts["team/app"].clear()
    stand_in.registry.remove_blob(layer)
    size = str(len(images.blobs[layer]))
    with FaultyProxy(upstream=stand_in.url) as proxy:
        # the cache of the registry behind still knows it (distribution/distribution#4702)
        stale = SetHeaders({"Content-Length": size}, status=200)
        proxy.on("HEAD", f"/blobs/{layer}", stale, times=None)
        assert somebody.push(images, proxy.host).failures == []
    assert stand_in.registry.has_blob(layer)
    assert stand_in.tags("team/app")
    assert any("lost content that it had" in line for line in somebody.retried())


def test_a_garbage_collection_that_ends_in_time(stand_in: Harbor, somebody: Somebody) -> None:
    images = large()
    (layer,) = layers(images)
    upload(stand_in.url, images, auth=ANN)
    stand_in.state.tags["team/app"].clear()
    stand_in.state.artifacts["team/app"].clear()
    stand_in.begin_gc(layer)

    def end(event: Event) -> None:
        if isinstance(event, Retried) and event.wait_s and layer in stand_in.state.blobs:
            stand_in.end_gc(layer)

    somebody.on_event = end
    assert somebody.push(images, stand_in.host).failures == []
    assert stand_in.tags("team/app")
    waits = [e for e in somebody.events if isinstance(e, Retried) and e.wait_s]
    assert "a garbage collection is about to delete just this" in waits[0].why


def test_a_garbage_collection_that_does_not_end(stand_in: Harbor, somebody: Somebody) -> None:
    images = large()
    (layer,) = layers(images)
    upload(stand_in.url, images, auth=ANN)
    stand_in.state.artifacts["team/app"].clear()
    stand_in.begin_gc(layer)
    ((_, error),) = somebody.push(images, stand_in.host).failures
    assert isinstance(error, CollectingGarbage)
    assert "a garbage collection is running there; push again in some minutes" in error.hint
    assert layer[:19] in error.message
    stand_in.end_gc(layer)


def test_a_pause_that_is_asked_for_is_everybodys(harbor: AnyHarbor, somebody: Somebody) -> None:
    """429 and 503 with Retry-After: one backoff for all workers of the host."""
    images = sized_image(8, 1000, name=NAME)
    with FaultyProxy(upstream=harbor.url) as proxy:
        proxy.on("POST", "/uploads/", Answer(429, {"Retry-After": "1"}), nth=2)
        proxy.on("PUT", "/manifests/", Answer(503, {"Retry-After": "0"}))
        assert somebody.push(images, proxy.host, jobs=8).failures == []
        refused = [seen for seen in proxy.requests if seen.status in {429, 503}]
        assert len(refused) == 2
    waits = [e.wait_s for e in somebody.events if isinstance(e, Retried)]
    assert max(waits) >= 1


def test_a_harbor_that_goes_on_failing(harbor: AnyHarbor, somebody: Somebody) -> None:
    with FaultyProxy(upstream=harbor.url) as proxy:
        proxy.on("PUT", "/manifests/", Answer(502, {}, b"<html>Bad Gateway</html>"), times=None)
        ((_, error),) = somebody.push(large(), proxy.host).failures
    assert isinstance(error, RegistryUnavailable)
    assert "Bad Gateway" in error.message


def test_a_new_project_gets_a_new_token(harbor: AnyHarbor, somebody: Somebody) -> None:
    images = Images()
    for name in ("team/app", "fresh/app"):
        layer = images.layer({"own": name.encode()}, compression="none")
        images.name(f"registry.example/{name}:1", images.image([layer]))
    assert somebody.push(images, harbor.host, create_project=True).failures == []
    order = [
        seen.path.partition("?")[0]
        for seen in harbor.requests
        if seen.method == "POST" or seen.path.startswith("/service/token")
    ]
    created = order.index("/api/v2.0/projects")
    assert "/service/token" in order[:created]
    assert "/service/token" in order[created:]
    assert not [seen for seen in harbor.requests if seen.status == 401 and "/v2/f" in seen.path]


def test_what_cannot_be_mounted_is_sent_and_not_tried_again(
    harbor: AnyHarbor, somebody: Somebody
) -> None:
    harbor.project("secret")
    images = sized_image(3, 1000, name="registry.example/secret/app:1")
    upload(harbor.url, images, auth=(ADMIN, ADMIN_PASSWORD))
    registries = somebody.registries(harbor.host)
    target = registries.repository(Reference.parse(f"{harbor.host}/team/app:1"))
    origin = registries.repository(Reference.parse(f"{harbor.host}/secret/app:1"))
    manifest = images.json(images.names["registry.example/secret/app:1"]["digest"])
    blobs = [
        Descriptor(layer["mediaType"], Digest.parse(layer["digest"]), layer["size"])
        for layer in manifest["layers"]
    ]
    assert not target.mount(blobs[0], origin)
    n_requests = len(harbor.requests)
    assert not target.mount(blobs[1], origin)
    assert len(harbor.requests) == n_requests


def test_chunks_are_closed_by_an_empty_put(harbor: AnyHarbor, somebody: Somebody) -> None:
    """Harbor takes a blob's size from the closing PUT, unless that has no body."""
    images = sized_image(1, 2_500_000, name=NAME)
    with FaultyProxy(upstream=harbor.url) as proxy:
        proxy.on("(PUT|PATCH)", "/uploads/", LimitBody(1_500_000), times=None)
        assert somebody.push(images, proxy.host).failures == []
    assert harbor.used("team") == sum(len(data) for data in images.blobs.values())


def test_signatures_arrive_without_a_manifest_being_read(
    harbor: AnyHarbor, somebody: Somebody
) -> None:
    images = large()
    subject = images.names[NAME]
    images.referrer(subject, "application/spdx+json", b"{}", "registry.example/team/app")
    images.cosign_signature(subject, "registry.example/team/app")
    for _ in range(2):
        assert somebody.push(images, harbor.host).failures == []
    assert harbor.count("GET", "/manifests/") == 0
    answer = requests.get(
        f"{harbor.url}/v2/team/app/referrers/{subject['digest']}", auth=ANN, timeout=10
    )
    types = {entry["artifactType"] for entry in answer.json()["manifests"]}
    assert "application/spdx+json" in types
    if isinstance(harbor, Harbor):
        assert harbor.state.is_signed("team/app", subject["digest"])
