"""Uploads: one PUT where that works, and what happens where it does not."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import pytest

from imgsync.content import VerifiedStream
from imgsync.errors import (
    AccessDenied,
    DigestMismatch,
    NetworkError,
    NotFound,
    RateLimited,
    ReadOnly,
    Refused,
)
from imgsync.stores.registry import upload_ways
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.upload import UploadBroken
from tests.servers.faults import (
    Answer,
    Corrupt,
    CorruptRequest,
    CutRequest,
    Delay,
    LimitBody,
    LoseResponse,
    Reset,
    SetHeaders,
    SubHeader,
)
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.store_contract import blob, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.stores.registry.repository import Repository
    from tests.stores.registry.conftest import Client

LARGE = random.Random(2).randbytes(3_000_000)
SMALL = b"small enough to keep"
UPLOADS = "/blobs/uploads/"
_QUOTA = (
    b'{"errors":[{"code":"DENIED","message":"adding 29.0 MiB of storage resource, which when '
    b'updated to current usage of 152.4 MiB will exceed the configured upper limit of 10.0 MiB."}]}'
)


@pytest.fixture
def proxy(new_registry: Registry, faulty: Callable[[Registry], FaultyProxy]) -> FaultyProxy:
    return faulty(new_registry)


@pytest.fixture
def store(proxy: FaultyProxy, client: Client) -> Repository:
    return client.repository(proxy.host, "team/app")


def put_as_the_engine(store: Repository, data: bytes, retries: int = 4) -> int:
    """Put with fresh streams; says how many it took."""
    for attempt in range(1, retries + 2):
        try:
            put(store, blob(data), data)
        except RateLimited:
            raise
        except NetworkError:
            if attempt > retries:
                raise
        else:
            return attempt
    raise AssertionError


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_blob_is_one_post_and_one_put(
    proxy: FaultyProxy, store: Repository, new_registry: Registry, data: bytes
) -> None:
    put(store, blob(data), data)
    assert new_registry.read_blob(str(blob(data).digest)) == data
    assert [seen.method for seen in proxy.requests] == ["POST", "PUT"]
    assert proxy.requests[1].headers["content-length"] == str(len(data))
    assert "transfer-encoding" not in proxy.requests[1].headers
    assert "content-range" not in proxy.requests[1].headers


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "fault",
    [Reset(), CutRequest(after=5), Answer(503), Answer(500), Answer(429, {"Retry-After": "0"})],
    ids=["reset", "cut", "503", "500", "429"],
)
def test_a_broken_put_is_begun_again(
    proxy: FaultyProxy, store: Repository, new_registry: Registry, data: bytes, fault: Answer
) -> None:
    proxy.on("PUT", UPLOADS, fault)
    assert put_as_the_engine(store, data) <= 2
    assert new_registry.read_blob(str(blob(data).digest)) == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_lost_answer_is_not_a_lost_blob(
    proxy: FaultyProxy, store: Repository, data: bytes
) -> None:
    proxy.on("PUT", UPLOADS, LoseResponse())
    assert put_as_the_engine(store, data) == 1
    assert proxy.count("POST") == 1


def test_a_broken_post_is_asked_again_without_the_engine(
    proxy: FaultyProxy, store: Repository
) -> None:
    proxy.on("POST", UPLOADS, Answer(503), times=2)
    assert put_as_the_engine(store, LARGE) == 1


def test_bytes_that_are_damaged_on_the_way_are_not_ours(
    proxy: FaultyProxy, store: Repository
) -> None:
    proxy.on("PUT", UPLOADS, CorruptRequest(at=2_000_000), times=None)
    with pytest.raises(UploadBroken, match="other bytes arrived than were sent"):
        put(store, blob(LARGE), LARGE)
    assert store.missing([blob(LARGE)])


def test_a_source_that_lies_leaves_nothing(store: Repository, new_registry: Registry) -> None:
    stream = VerifiedStream(io.BytesIO(LARGE[:-1] + b"x"), blob(LARGE))
    with pytest.raises(DigestMismatch):
        store.put(blob(LARGE), stream)
    assert store.missing([blob(LARGE)])
    assert new_registry.blobs() == set()


def test_a_registry_without_whole_puts_gets_one_patch(
    proxy: FaultyProxy, store: Repository, new_registry: Registry
) -> None:
    proxy.on("PUT", UPLOADS, Answer(405))
    assert put_as_the_engine(store, LARGE) == 2
    assert put_as_the_engine(store, LARGE[1:]) == 1
    assert new_registry.has_blob(str(blob(LARGE[1:]).digest))
    methods = [seen.method for seen in proxy.requests]
    assert methods == ["POST", "PUT", "POST", "PATCH", "PUT", "POST", "PATCH", "PUT"]
    closing = [seen for seen in proxy.matching("PUT") if seen.status == 201]
    assert [seen.headers["content-length"] for seen in closing] == ["0", "0"]


def test_a_proxy_with_a_limit_gets_pieces(
    proxy: FaultyProxy,
    store: Repository,
    new_registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload_ways, "LEAST_CHUNK_BYTES", 100_000)
    proxy.on("", UPLOADS, LimitBody(1_000_000), times=None)
    assert put_as_the_engine(store, LARGE) == 2
    assert new_registry.read_blob(str(blob(LARGE).digest)) == LARGE
    accepted = [seen for seen in proxy.matching("PATCH") if seen.status == 202]
    assert max(seen.n_bytes_in for seen in accepted) <= 1_000_000
    assert accepted[0].headers["content-range"].startswith("0-")
    assert [seen.headers["content-length"] for seen in proxy.matching("PUT")][-1] == "0"
    # The next blob goes in pieces at once, of a size that was found to fit.
    proxy.forget()
    put(store, blob(LARGE[1:]), LARGE[1:])
    assert all(seen.status != 413 for seen in proxy.requests)


def test_a_limit_below_all_sense_is_told(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on("", UPLOADS, LimitBody(1000), times=None)
    with pytest.raises(Refused, match="413"):
        put_as_the_engine(store, LARGE)


def test_pieces_that_did_not_arrive_are_noticed(
    proxy: FaultyProxy, store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_ways, "FIRST_CHUNK_BYTES", 1_000_000)
    store.host.upload_ways.way = upload_ways.Way.CHUNKS
    store.host.upload_ways.chunk_bytes = 1_000_000
    proxy.on("PATCH", UPLOADS, SetHeaders({"Range": "0-499999"}), nth=2)
    assert put_as_the_engine(store, LARGE) == 2


@pytest.mark.parametrize("relative", [True, False])
def test_locations_are_followed_as_they_are(client: Client, relative: bool) -> None:
    with Registry(relative_urls=relative) as server:
        put(client.repository(server.host, "a/b"), blob(LARGE), LARGE)
        assert server.has_blob(str(blob(LARGE).digest))


def test_a_location_that_says_http_is_kept_on_https(
    new_registry: Registry, client: Client, authority: object
) -> None:
    with FaultyProxy(
        upstream=new_registry.url,
        certificate=authority.issue(),  # type: ignore[attr-defined]
    ) as proxy:
        proxy.on("", UPLOADS, SubHeader("Location", "^https:", "http:"), times=None)
        store = client.repository(proxy.host, "a/b", insecure=True)
        put(store, blob(LARGE), LARGE)
        assert new_registry.has_blob(str(blob(LARGE).digest))


def test_credentials_stay_away_from_uploads_elsewhere(client: Client) -> None:
    ann = Credential("ann", "pw", origin="--username")
    with (
        Registry(users={"ann": "pw"}) as server,
        FaultyProxy(upstream=server.url) as proxy,
        FaultyProxy(upstream=server.url) as elsewhere,
    ):
        proxy.on("POST", UPLOADS, SubHeader("Location", proxy.host, elsewhere.host), times=None)
        store = client.repository(proxy.host, "a/b", credentials={proxy.host: ann})
        with pytest.raises(NetworkError):
            put(store, blob(LARGE), LARGE)
        assert elsewhere.count("PUT") == 1
        assert all("authorization" not in seen.headers for seen in elsewhere.requests)


def test_a_token_that_ends_before_a_large_put_is_renewed(client: Client) -> None:
    with (
        TokenServer(users={"ann": User("pw")}, told_lifetime_s=3600) as tokens,
        Registry(token_server=tokens) as server,
        FaultyProxy(upstream=server.url) as proxy,
    ):
        ann = Credential("ann", "pw", origin="--username")
        store = client.repository(proxy.host, "a/b", credentials={proxy.host: ann})
        tokens.lifetime_s = 2 - 60  # with distribution's leeway two seconds are left
        tokens.lifetime_s = 2
        proxy.on("PUT", UPLOADS, Delay(seconds=3))
        assert put_as_the_engine(store, LARGE) <= 2
        tokens.lifetime_s = 300
        assert server.has_blob(str(blob(LARGE).digest))


def test_an_unknown_upload_is_begun_again(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on("PUT", UPLOADS, Answer(404, content=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'))
    assert put_as_the_engine(store, LARGE) == 2


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (403, _QUOTA, Refused),
        (403, b'{"errors":[{"code":"DENIED","message":"access denied"}]}', AccessDenied),
        (404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such repository"}]}', NotFound),
        (405, b'{"errors":[{"code":"UNSUPPORTED"}]}', Refused),
    ],
)
def test_a_refusal_is_final(
    proxy: FaultyProxy, store: Repository, status: int, body: bytes, error: type[Exception]
) -> None:
    proxy.on("POST", UPLOADS, Answer(status, content=body), times=None)
    with pytest.raises(error) as caught:
        put_as_the_engine(store, LARGE)
    assert proxy.count() == 1
    assert caught.value.hint  # type: ignore[attr-defined]


def test_a_read_only_registry_is_told(client: Client) -> None:
    with Registry(read_only=True) as server:
        store = client.repository(server.host, "a/b")
        with pytest.raises(ReadOnly, match="405") as caught:
            put(store, blob(LARGE), LARGE)
        assert caught.value.hint == "the registry may be read-only"
        server.forget()
        with pytest.raises(ReadOnly, match="405"):
            put(store, blob(SMALL), SMALL)
        assert not server.requests("POST", "/v2/"), "the first answer is remembered"


def test_a_registry_that_has_no_room_is_told(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on("POST", UPLOADS, Answer(507), times=None)
    with pytest.raises(NetworkError, match="507") as caught:
        put(store, blob(LARGE), LARGE)
    assert "storage is full" in caught.value.hint


class TestMounting:
    def test_content_is_linked(self, new_registry: Registry, client: Client) -> None:
        first = client.repository(new_registry.host, "a/one")
        second = sibling(first, "b/two")
        put(first, blob(LARGE), LARGE)
        new_registry.forget()
        assert second.mount(blob(LARGE), first)
        assert [line.status for line in new_registry.requests()] == [201]
        assert second.missing([blob(LARGE)]) == set()

    def test_a_refused_mount_is_the_beginning_of_an_upload(
        self, new_registry: Registry, client: Client
    ) -> None:
        first = client.repository(new_registry.host, "a/one")
        second = sibling(first, "b/two")
        assert not second.mount(blob(LARGE), first)
        put(second, blob(LARGE), LARGE)
        assert [line.method for line in new_registry.requests()] == ["POST", "PUT"]

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 500])
    def test_a_registry_that_cannot_mount_is_sent_to(
        self, proxy: FaultyProxy, client: Client, status: int
    ) -> None:
        first = client.repository(proxy.host, "a/one")
        second = sibling(first, "b/two")
        proxy.on("POST", "mount=", Answer(status), times=None)
        assert not second.mount(blob(LARGE), first)
        put(second, blob(LARGE), LARGE)

    def test_other_registries_are_not_mounted_from(
        self, new_registry: Registry, registry: Registry, client: Client
    ) -> None:
        first = client.repository(registry.host, "a/one")
        second = client.repository(new_registry.host, "b/two")
        assert first.mounts_with != second.mounts_with
        assert not second.mount(blob(LARGE), first)
        assert new_registry.requests() == []


def sibling(store: Repository, name: str) -> Repository:
    """Another repository of the same registry, over the same connections."""
    return type(store)(store.host, name)


def test_corruption_of_answers_is_no_harm(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on("POST", UPLOADS, SetHeaders({"Location": None}))
    with pytest.raises(NetworkError, match="without saying where"):
        put(store, blob(SMALL), SMALL)
    proxy.on("PUT", UPLOADS, Corrupt())
    put(store, blob(SMALL), SMALL)
