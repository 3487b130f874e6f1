"""Repository, against a real registry and one that misbehaves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imgsync.content import read_verified
from imgsync.errors import (
    ChildrenUnknown,
    ContentError,
    DigestMismatch,
    InvalidManifest,
    NetworkError,
    NotFound,
    Refused,
)
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import describe
from imgsync.model.media_types import OCI_MANIFEST
from imgsync.model.reference import Reference
from imgsync.model.referrer_tags import fallback_tag
from imgsync.model.strict_json import canonical
from imgsync.stores import Destination, Mounting, Source
from imgsync.stores.registry.registries import Registries
from imgsync.stores.registry.repository import Repository
from tests.images import Images
from tests.servers.faults import Answer, Extend, Replace, SetHeaders, Truncate
from tests.store_contract import DestinationContract, blob, put, put_image
from tests.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.proxy import FaultyProxy
    from tests.servers.registry import Registry
    from tests.stores.registry.conftest import Client

MANIFESTS = "/manifests/"


def _is_typed(repository: Repository) -> tuple[Source, Destination, Mounting]:
    return repository, repository, repository


class TestContract(DestinationContract):
    @pytest.fixture
    def reference(self, registry: Registry, repository: str) -> Reference:
        return Reference.parse(f"{registry.host}/{repository}:1")

    @pytest.fixture
    def store(self, reference: Reference) -> Iterator[Repository]:
        with Registries(environ={}) as registries:
            yield registries.repository(reference)


@pytest.fixture
def proxy(registry: Registry, faulty: Callable[[Registry], FaultyProxy]) -> FaultyProxy:
    return faulty(registry)


@pytest.fixture
def store(proxy: FaultyProxy, repository: str, client: Client) -> Repository:
    return client.repository(proxy.host, repository)


@pytest.fixture
def tag(store: Repository) -> Reference:
    return Reference.parse(f"{store.side}:1")


@pytest.fixture
def root(store: Repository, tag: Reference, proxy: FaultyProxy) -> Descriptor:
    """An image at the tag; the proxy has forgotten how it came there."""
    root, _ = put_image(store)
    store.name(tag, root)
    proxy.forget()
    return root


class TestResolving:
    def test_a_tag_is_one_head(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, root: Descriptor
    ) -> None:
        found = store.resolve(tag)
        assert (found.descriptor, found.raw) == (root, None)
        assert [seen.method for seen in proxy.requests] == ["HEAD"]

    def test_a_digest_is_one_get_that_brings_the_document(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, root: Descriptor
    ) -> None:
        found = store.resolve(tag.at(root.digest))
        assert found.descriptor == root
        assert found.raw is not None
        assert Digest.of(found.raw) == root.digest
        assert [seen.method for seen in proxy.requests] == ["GET"]

    @pytest.mark.parametrize(
        "fault",
        [
            Answer(405),
            SetHeaders({"Docker-Content-Digest": None}),
            SetHeaders({"Docker-Content-Digest": "sha256:nonsense"}),
            SetHeaders({"Content-Type": "application/json; charset=utf-8"}),
            SetHeaders({"Content-Length": "0"}),
        ],
        ids=["405", "no digest", "odd digest", "odd type", "no length"],
    )
    def test_a_head_that_says_too_little_becomes_a_get(
        self,
        proxy: FaultyProxy,
        store: Repository,
        tag: Reference,
        root: Descriptor,
        fault: Answer | SetHeaders,
    ) -> None:
        proxy.on("HEAD", MANIFESTS, fault)
        found = store.resolve(tag)
        assert found.descriptor == root
        assert found.raw is not None

    def test_a_refusal_is_repeated_as_get_to_hear_why(
        self, proxy: FaultyProxy, store: Repository, tag: Reference
    ) -> None:
        why = b'{"errors":[{"code":"X","message":"The image is not signed by cosign."}]}'
        proxy.on("", MANIFESTS, Answer(412, content=why), times=None)
        with pytest.raises(Refused, match="not signed by cosign") as caught:
            store.resolve(tag)
        assert caught.value.hint == "the project only hands out signed images"

    def test_an_unknown_tag_is_named(self, store: Repository, tag: Reference) -> None:
        with pytest.raises(NotFound, match=f"{store.side}: tag 1 is not there"):
            store.resolve(tag)

    def test_a_body_that_is_not_the_digest_is_refused(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, root: Descriptor
    ) -> None:
        other = canonical(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {}, "layers": []}
        )
        proxy.on("GET", MANIFESTS, Replace(other), times=None)
        with pytest.raises(DigestMismatch, match=store.side):
            store.resolve(tag.at(root.digest))
        # A tag whose header and body disagree, as of registries that convert manifests.
        proxy.on("HEAD", MANIFESTS, Answer(405))
        with pytest.raises(DigestMismatch):
            store.resolve(tag)

    def test_documents_among_the_blobs_are_found(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, root: Descriptor
    ) -> None:
        raw = store.resolve(tag.at(root.digest)).raw or b""
        put(store, Descriptor("x/y", root.digest, root.size), raw)
        proxy.on("GET", MANIFESTS, Answer(404), times=None)
        assert store.resolve(tag.at(root.digest)).descriptor == root
        assert read_verified(store.open(root), root)

    def test_endless_documents_are_not_read(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, root: Descriptor
    ) -> None:
        proxy.on("GET", MANIFESTS, Extend(bytes(5_000_000)))
        with pytest.raises(ContentError, match="longer than 4194304 bytes"):
            store.resolve(tag.at(root.digest))

    def test_schema_1_is_told(self, proxy: FaultyProxy, store: Repository, tag: Reference) -> None:
        old = (
            b'{"schemaVersion":1,"name":"a/b","tag":"1","fsLayers":[],"history":[],"signatures":[]}'
        )
        kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
        proxy.on("HEAD", MANIFESTS, Answer(200, {"Content-Type": kind}, old))
        proxy.on("GET", MANIFESTS, Answer(200, {"Content-Type": kind}, old))
        with pytest.raises(InvalidManifest, match="schema 1") as caught:
            store.resolve(tag)
        assert "rebuild" in caught.value.hint

    def test_every_type_is_asked_for(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, root: Descriptor
    ) -> None:
        store.resolve(tag)
        store.open(root).close()
        for seen in proxy.requests:
            assert "image.index.v1+json" in seen.headers["accept"]
            assert "manifest.list.v2+json" in seen.headers["accept"]
            assert seen.headers["accept-encoding"] == "identity"


class TestMissing:
    def test_another_size_is_missing(self, proxy: FaultyProxy, store: Repository) -> None:
        put(store, blob(b"data"), b"data")
        assert store.missing([blob(b"data")]) == set()
        proxy.on("HEAD", "/blobs/", SetHeaders({"Content-Length": "3"}))
        assert store.missing([blob(b"data")]) == {blob(b"data").digest}

    def test_a_refusal_says_why(self, proxy: FaultyProxy, store: Repository) -> None:
        why = b'{"errors":[{"code":"DENIED","message":"The system is in read only mode."}]}'
        proxy.on("", "/blobs/", Answer(403, content=why), times=None)
        with pytest.raises(Exception, match="read only mode"):
            store.missing([blob(b"data")])

    def test_one_head_for_each(self, proxy: FaultyProxy, store: Repository) -> None:
        wanted = [blob(bytes([n])) for n in range(100)]
        assert len(store.missing([*wanted, *wanted])) == 100
        assert [seen.method for seen in proxy.requests] == ["HEAD"] * 100
        assert proxy.peak <= 8
        assert proxy.n_connections <= 9


class TestDocuments:
    def test_exact_bytes_and_type_arrive(
        self, registry: Registry, repository: str, store: Repository
    ) -> None:
        images = Images()
        layer = images.layer({"a": b"1"}, docker=True)
        root = images.index([images.image([layer], docker=True)], docker=True)
        for item in images.closure(root):
            data = images.blobs[item["digest"]]
            put(store, blob(data, item["mediaType"]), data)
        assert root["digest"] in registry.manifests(repository)
        assert registry.read_blob(root["digest"]) == images.blobs[root["digest"]]

    def test_a_child_that_is_not_there_is_told_apart(self, store: Repository) -> None:
        absent = blob(b"absent")
        raw = canonical(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": absent.to_json(),
                "layers": [],
            }
        )
        with pytest.raises(ChildrenUnknown, match="MANIFEST_BLOB_UNKNOWN"):
            put(store, describe(raw), raw)

    def test_another_digest_than_was_sent_is_refused(
        self, proxy: FaultyProxy, store: Repository
    ) -> None:
        other = Digest.of(b"other")
        proxy.on("PUT", MANIFESTS, SetHeaders({"Docker-Content-Digest": str(other)}))
        with pytest.raises(DigestMismatch):
            put_image(store)

    def test_sha512_is_taken_as_it_is(self, store: Repository) -> None:
        data = b"hashed by something longer"
        long = Descriptor("x/y", Digest("sha512", hashlib.sha512(data).hexdigest()), len(data))
        put(store, long, data)
        assert read_verified(store.open(long), long) == data

    def test_a_manifest_by_its_sha512_is_refused_with_a_hint(self, store: Repository) -> None:
        root, _ = put_image(store)
        raw = read_verified(store.open(root), root)
        long = replace(root, digest=Digest.of(raw, "sha512"))
        with pytest.raises(Refused, match="DIGEST_INVALID") as refused:
            put(store, long, raw)
        assert "by their sha256 only" in refused.value.hint

    def test_a_document_of_the_wrong_size_is_refused(
        self, proxy: FaultyProxy, store: Repository, root: Descriptor
    ) -> None:
        proxy.on("GET", MANIFESTS, Truncate(to=10))
        with pytest.raises(ContentError):
            read_verified(store.open(root), root)


class TestNaming:
    def test_a_tag_is_put_and_proved(
        self, proxy: FaultyProxy, store: Repository, tag: Reference
    ) -> None:
        root, _ = put_image(store)
        proxy.forget()
        store.name(tag, root)
        assert [seen.method for seen in proxy.requests] == ["HEAD", "PUT", "HEAD"]

    def test_what_was_looked_at_is_not_looked_at_again(
        self, proxy: FaultyProxy, store: Repository, tag: Reference
    ) -> None:
        assert store.digest_of_tag(tag.tag) is None
        root, _ = put_image(store)
        proxy.forget()
        store.name(tag, root)
        assert [seen.method for seen in proxy.requests] == ["PUT", "HEAD"]

    def test_a_tag_that_stands_is_left_alone(
        self,
        proxy: FaultyProxy,
        store: Repository,
        tag: Reference,
        root: Descriptor,
        client: Client,
    ) -> None:
        again = client.repository(proxy.host, store.repository)
        again.name(tag, root)
        assert [seen.method for seen in proxy.requests] == ["HEAD"]
        assert again.digest_of_tag("1") == root

    def test_a_document_that_nobody_remembers_is_read_back(
        self, proxy: FaultyProxy, store: Repository, root: Descriptor, client: Client
    ) -> None:
        again = client.repository(proxy.host, store.repository)
        again.name(Reference.parse(f"{store.side}:2"), root)
        assert [seen.method for seen in proxy.requests] == ["HEAD", "GET", "PUT", "HEAD"]
        proxy.forget()
        other = client.repository(proxy.host, store.repository)
        raw = read_verified(store.open(root), root)
        other.remember(root, raw)
        proxy.forget()
        other.name(Reference.parse(f"{store.side}:3"), root)
        assert [seen.method for seen in proxy.requests] == ["HEAD", "PUT", "HEAD"]

    def test_a_tag_that_means_something_else_afterwards_is_an_error(
        self, proxy: FaultyProxy, store: Repository, tag: Reference
    ) -> None:
        root, _ = put_image(store)
        other = SetHeaders({"Docker-Content-Digest": str(Digest.of(b"other"))})
        proxy.on("HEAD", f"{MANIFESTS}1", other, nth=2)
        with pytest.raises(ContentError, match="tag 1 was set to") as caught:
            store.name(tag, root)
        assert str(Digest.of(b"other")) in caught.value.message

    def test_an_immutable_tag_is_told(
        self, proxy: FaultyProxy, store: Repository, tag: Reference
    ) -> None:
        root, _ = put_image(store)
        why = (
            b'{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to '
            b"'app:1' configured as immutable.\"}]}"
        )
        proxy.on("PUT", f"{MANIFESTS}1", Answer(412, content=why))
        with pytest.raises(Refused, match="configured as immutable") as caught:
            store.name(tag, root)
        assert "another tag" in caught.value.hint

    def test_a_policy_that_hides_the_tag_is_no_failure(
        self, proxy: FaultyProxy, store: Repository, tag: Reference, registry: Registry
    ) -> None:
        root, _ = put_image(store)
        proxy.on("HEAD", f"{MANIFESTS}1", Answer(412), nth=2)
        proxy.on("GET", f"{MANIFESTS}1", Answer(412))
        store.name(tag, root)
        assert registry.tags(store.repository)["1"] == str(root.digest)


class TestTags:
    def test_all_of_them_sorted(self, store: Repository, root: Descriptor) -> None:
        for name in ("b", "a", "10", "9"):
            store.name(Reference.parse(f"{store.side}:{name}"), root)
        assert store.tags() == ["1", "10", "9", "a", "b"]

    def test_an_unknown_repository_is_named(self, store: Repository) -> None:
        with pytest.raises(NotFound, match=store.side):
            store.tags()

    def _page(self, proxy: FaultyProxy, tags: object, link: str, nth: int) -> None:
        body = json.dumps({"name": "a/b", "tags": tags}).encode()
        headers = {"Link": link} if link else {}
        proxy.on("GET", "/tags/list", Answer(200, headers, body), nth=nth)

    def test_pages_are_followed(self, proxy: FaultyProxy, store: Repository) -> None:
        self._page(proxy, ["a", "b"], '</v2/x/tags/list?next_page=opaque>; rel="next"', 1)
        self._page(proxy, ["b", "c"], "", 2)
        assert store.tags() == ["a", "b", "c"]
        assert proxy.requests[0].path.endswith("/tags/list?n=1000")
        assert proxy.requests[1].path == "/v2/x/tags/list?next_page=opaque"

    @pytest.mark.parametrize(
        ("link", "why"),
        [
            ('<http://127.0.0.2:1/v2/x/tags/list>; rel="next"', "on another server"),
            ('</v2/x/tags/list?last=a>; rel="next"', "round in a circle"),
        ],
    )
    def test_pages_that_lead_astray_are_not(
        self, proxy: FaultyProxy, store: Repository, link: str, why: str
    ) -> None:
        for nth in (1, 2, 3):
            self._page(proxy, ["a"], link, nth)
        with pytest.raises(NetworkError, match=why):
            store.tags()
        assert proxy.count() <= 2

    @pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'"' + b"x" * 100])
    def test_what_is_no_list_is_told(
        self, proxy: FaultyProxy, store: Repository, body: bytes
    ) -> None:
        proxy.on("GET", "/tags/list", Answer(200, {}, body))
        with pytest.raises(ContentError, match=store.side):
            store.tags()


class TestReferrers:
    @pytest.fixture
    def images(self, registry: Registry, repository: str) -> tuple[Images, Digest, str]:
        """An image with an SBOM, found by the fallback tag; this registry has no API."""
        images = Images()
        root = images.image([images.layer({"a": b"1"})])
        images.name(f"registry.example/{repository}:1", root)
        sbom = images.referrer(
            root, "application/spdx+json", b"{}", f"registry.example/{repository}"
        )
        upload(registry.url, images)
        return images, Digest.parse(root["digest"]), sbom["digest"]

    def test_the_fallback_tag(
        self, proxy: FaultyProxy, store: Repository, images: tuple[Images, Digest, str]
    ) -> None:
        _, subject, sbom = images
        (found,) = store.referrers(subject)
        assert str(found.descriptor.digest) == sbom
        assert found.artifact_type == "application/spdx+json"
        assert store.referrers(Digest.of(b"without any")) == []
        # The API is asked for once.
        assert proxy.count("GET", "/referrers/") == 1

    def test_the_api(self, proxy: FaultyProxy, store: Repository) -> None:
        entries = [
            {**blob(bytes([n])).to_json(), "mediaType": OCI_MANIFEST, "artifactType": f"x/{n}"}
            for n in range(3)
        ]
        kind = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
        for nth, (part, link) in enumerate(
            [(entries[:2], '</v2/a/referrers/x?p=2>; rel="next"'), (entries[1:], "")], 1
        ):
            body = json.dumps({"schemaVersion": 2, "manifests": part}).encode()
            headers = {**kind, "Link": link} if link else kind
            proxy.on("GET", "/referrers/", Answer(200, headers, body), nth=nth)
        found = store.referrers(Digest.of(b"subject"))
        assert [item.artifact_type for item in found] == ["x/0", "x/1", "x/2"]
        assert store.host.has_referrers_api

    def test_a_page_that_is_no_index_is_no_api(
        self, proxy: FaultyProxy, store: Repository, images: tuple[Images, Digest, str]
    ) -> None:
        proxy.on("GET", "/referrers/", Answer(200, {"Content-Type": "text/html"}, b"<html>"))
        assert len(store.referrers(images[1])) == 1

    def test_tags_that_stand_for_digests(self) -> None:
        assert fallback_tag(Digest.of(b"")) == f"sha256-{hashlib.sha256(b'').hexdigest()}"
        long = Digest("sha512", hashlib.sha512(b"").hexdigest())
        assert fallback_tag(long) == f"sha512-{long.hex[:64]}"
