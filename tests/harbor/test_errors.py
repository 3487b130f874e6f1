"""What Harbor answers, in an operator's words: a test for each kind of answer.

The preflight tells most of it before anything is sent; here nobody has asked beforehand.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imgsync.content import VerifiedStream
from imgsync.errors import (
    AccessDenied,
    CollectingGarbage,
    ImgsyncError,
    NotFound,
    ProjectFull,
    RateLimited,
    ReadOnly,
    Refused,
    RegistryUnavailable,
)
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference
from imgsync.stores.registry.envelope import Envelope
from imgsync.stores.registry.refusals import Refusal
from tests.images import OCI_MANIFEST, Images
from tests.servers.faults import Answer
from tests.servers.harbor import PASSWORD, Harbor, ImmutableRule
from tests.servers.proxy import FaultyProxy
from tests.upload import upload

if TYPE_CHECKING:
    from imgsync.stores.registry.repository import Repository
    from tests.harbor.conftest import Somebody
    from tests.servers.harbor import AnyHarbor
    from tests.servers.registry import Registry

pytestmark = pytest.mark.real

ANN = ("ann", PASSWORD)
_COLLECTED = 'http status code: 404, body: {"errors":[{"code":"MANIFEST_UNKNOWN","message":"x"}]}'


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        end = len(self._data) if size < 0 else size
        data, self._data = self._data[:end], self._data[end:]
        return data

    def close(self) -> None:
        pass


def put(repository: Repository, data: bytes, media_type: str = "application/x") -> Descriptor:
    descriptor = Descriptor(media_type, Digest.of(data), len(data))
    repository.put(descriptor, VerifiedStream(_Bytes(data), descriptor, side="here"))
    return descriptor


def refused_blob(repository: Repository, data: bytes = b"content") -> ImgsyncError:
    with pytest.raises(ImgsyncError) as caught:
        put(repository, data)
    return caught.value


def image(name: str = "team/app:1") -> Images:
    images = Images()
    layer = images.layer({"a": b"1"}, compression="none")
    images.name(f"registry.example/{name}", images.image([layer]))
    return images


def test_a_repository_without_a_project(harbor: AnyHarbor, somebody: Somebody) -> None:
    error = refused_blob(somebody.repository(harbor.host, "app"))
    assert isinstance(error, Refused)
    assert error.hint == "Harbor needs PROJECT/NAME"


def test_a_missing_project(harbor: AnyHarbor, somebody: Somebody) -> None:
    error = refused_blob(somebody.repository(harbor.host, "none/app"))
    assert isinstance(error, NotFound)
    assert "project none not found" in error.message
    assert error.message.count("project none not found") == 1
    assert "--create-project" in error.hint
    assert len(harbor.requests) < 6, "an empty challenge leads round no circle"


@pytest.mark.parametrize("user", ["guest", "bob"])
def test_no_permission(harbor: AnyHarbor, somebody: Somebody, user: str) -> None:
    error = refused_blob(somebody.repository(harbor.host, "team/app", user))
    assert isinstance(error, AccessDenied)
    assert error.exit_code == 5
    assert f"user {user} from a test may not push to it" in error.message
    with_token = [
        s for s in harbor.requests if "bearer" in s.headers.get("authorization", "").lower()
    ]
    assert len(with_token) <= 2, "at most one more token is tried"
    if isinstance(harbor, Harbor):
        assert harbor.failed_logins == []


@pytest.mark.parametrize("reference", ["nothing", f"sha256:{'0' * 64}"])
def test_an_unknown_manifest(harbor: AnyHarbor, somebody: Somebody, reference: str) -> None:
    mark = "@" if ":" in reference else ":"
    name = Reference.parse(f"{harbor.host}/team/app{mark}{reference}")
    with pytest.raises(NotFound):
        somebody.repository(harbor.host, "team/app").resolve(name)


def test_a_blob_in_garbage_collection(stand_in: Harbor, somebody: Somebody) -> None:
    repository = somebody.repository(stand_in.host, "team/app")
    blob = put(repository, b"content")
    stand_in.begin_gc(str(blob.digest))
    assert repository.missing([blob]) == {blob.digest}
    error = refused_blob(repository)
    assert isinstance(error, CollectingGarbage)
    assert error.exit_code == 6
    assert "a garbage collection is running" in error.hint


def test_a_full_project(harbor: AnyHarbor, somebody: Somebody) -> None:
    harbor.limit("team", 3)
    repository = somebody.repository(harbor.host, "team/app")
    error = refused_blob(repository)
    assert isinstance(error, ProjectFull)
    assert "will exceed the configured upper limit of 3 B" in error.message
    assert "quota" in error.hint
    harbor.forget()
    again = refused_blob(repository, b"other")
    assert isinstance(again, ProjectFull)
    assert harbor.requests == []


def test_an_immutable_tag(harbor: AnyHarbor, somebody: Somebody) -> None:
    images = image()
    upload(harbor.url, images, auth=ANN)
    harbor.make_immutable("team", [ImmutableRule()])
    repository = somebody.repository(harbor.host, "team/app")
    (descriptor,) = images.names.values()
    name = Reference.parse(f"{harbor.host}/team/app:1")
    same = Descriptor(OCI_MANIFEST, Digest.parse(descriptor["digest"]), descriptor["size"])
    repository.name(name, same)
    assert harbor.count("PUT", "") == 4, "only those of the upload"
    other = put(repository, images.blobs[descriptor["digest"]] + b"\n", OCI_MANIFEST)
    with pytest.raises(Refused) as caught:
        repository.name(name, other)
    assert "configured as immutable" in caught.value.message
    assert "another tag" in caught.value.hint


def test_a_policy_that_blocks_pulls(harbor: AnyHarbor, somebody: Somebody) -> None:
    images = image()
    upload(harbor.url, images, auth=ANN)
    harbor.require_signatures("team")
    name = Reference.parse(f"{harbor.host}/team/app:1")
    with pytest.raises(Refused) as caught:
        somebody.repository(harbor.host, "team/app").resolve(name)
    assert "not signed by cosign" in caught.value.message
    assert "only hands out signed images" in caught.value.hint


def test_a_policy_about_vulnerabilities(stand_in: Harbor, somebody: Somebody) -> None:
    images = image()
    upload(stand_in.url, images, auth=ANN)
    (descriptor,) = images.names.values()
    text = "current image with 3 vulnerabilities cannot be pulled"
    stand_in.state.projects["team"].blocked[descriptor["digest"]] = text
    name = Reference.parse(f"{stand_in.host}/team/app:1")
    with pytest.raises(Refused) as caught:
        somebody.repository(stand_in.host, "team/app").resolve(name)
    assert "vulnerabilities" in caught.value.hint


def test_a_push_is_proved_where_policies_hide_what_is_not_signed(
    harbor: AnyHarbor, somebody: Somebody
) -> None:
    harbor.require_signatures("team")
    images = image()
    result = somebody.push(images, harbor.host)
    assert result.failures == []
    assert harbor.tags("team/app")


def test_read_only_mode(harbor: AnyHarbor, somebody: Somebody) -> None:
    harbor.project("other", members={"ann": "developer"})
    registries = somebody.registries(harbor.host)
    repository = registries.repository(Reference.parse(f"{harbor.host}/team/app:1"))
    put(repository, b"content")
    harbor.read_only()
    error = refused_blob(repository, b"more")
    assert isinstance(error, ReadOnly)
    assert "maintenance" in error.hint
    harbor.forget()
    other = registries.repository(Reference.parse(f"{harbor.host}/other/app:1"))
    assert isinstance(refused_blob(other), ReadOnly)
    assert harbor.requests == [], "it is the whole Harbor that takes nothing"


def test_a_proxy_cache_project(harbor: AnyHarbor, somebody: Somebody, registry: Registry) -> None:
    harbor.project("cache", members={"ann": "developer"}, upstream=registry.url)
    error = refused_blob(somebody.repository(harbor.host, "cache/app"))
    assert isinstance(error, Refused)
    assert "choose another project" in error.hint


def test_the_limit_of_a_proxied_registry(harbor: AnyHarbor, somebody: Somebody) -> None:
    error = {"code": "TOO_MANY_REQUEST", "message": "too many requests to upstream registry"}
    text = json.dumps({"errors": [error]})
    with FaultyProxy(upstream=harbor.url) as proxy:
        proxy.on("HEAD", "/manifests/", Answer(429, {}, text.encode()), times=None)
        repository = somebody.repository(proxy.host, "team/app")
        with pytest.raises(RateLimited):
            repository.resolve(Reference.parse(f"{proxy.host}/team/app:1"))
        assert proxy.count("HEAD", "/manifests/") == 3


def test_a_manifest_that_is_too_large(harbor: AnyHarbor, somebody: Somebody) -> None:
    repository = somebody.repository(harbor.host, "team/app")
    with pytest.raises(Refused) as caught:
        put(repository, b'{"schemaVersion":2,"x":"' + b"x" * 2**22 + b'"}', OCI_MANIFEST)
    assert "413" in caught.value.message
    assert "limit of the registry" in caught.value.hint


@pytest.mark.parametrize(
    ("method", "status", "code", "text", "kind", "hint"),
    [
        ("DELETE", 400, "UNSUPPORTED", "The operation is unsupported.", Refused, ""),
        ("PUT", 403, "FORBIDDEN", "CSRF token invalid", Refused, "cookie"),
        ("PUT", 500, "UNKNOWN", "internal server error", RegistryUnavailable, "run the same"),
        ("PUT", 404, "NOT_FOUND", "invalid reference format", NotFound, ""),
        ("PUT", 404, "NOT_FOUND", _COLLECTED, CollectingGarbage, "a garbage collection is running"),
    ],
)
def test_answers_that_we_should_not_see(
    method: str, status: int, code: str, text: str, kind: type[ImgsyncError], hint: str
) -> None:
    refusal = Refusal("harbor.example/p/r", "tag 1", method, status, Envelope((code,), text))
    error = refusal.error()
    assert type(error) is kind
    assert text in error.message
    assert hint in error.hint
