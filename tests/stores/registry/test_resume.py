"""Downloads that are cut, slow, redirected or lied about."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imgsync.content import VerifiedStream, read_verified
from imgsync.errors import (
    ContentError,
    DigestMismatch,
    NetworkError,
    NotFound,
    RegistryUnavailable,
    SizeMismatch,
)
from imgsync.stores.registry import resume
from tests.servers.faults import (
    Answer,
    Corrupt,
    Cut,
    DropRequestHeaders,
    Extend,
    Gzip,
    Redirect,
    Reset,
    SetHeaders,
    Slow,
    Stall,
    Truncate,
)
from tests.servers.object_store import ObjectStore
from tests.servers.proxy import FaultyProxy
from tests.store_contract import blob, put

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.model.descriptor import Descriptor
    from imgsync.stores.registry.repository import Repository
    from tests.servers.registry import Registry
    from tests.stores.registry.conftest import Client

CONTENT = random.Random(1).randbytes(3_000_000)
BLOB = blob(CONTENT)
GET_BLOB = ("GET", f"/blobs/{BLOB.digest}")


@pytest.fixture
def proxy(
    registry: Registry, repository: str, client: Client, faulty: Callable[[Registry], FaultyProxy]
) -> FaultyProxy:
    """In front of a registry that has the blob in the repository."""
    put(client.repository(registry.host, repository), BLOB, CONTENT)
    return faulty(registry)


@pytest.fixture
def store(proxy: FaultyProxy, repository: str, client: Client) -> Repository:
    return client.repository(proxy.host, repository)


def fetched(store: Repository, descriptor: Descriptor = BLOB) -> bytes:
    return read_verified(store.open(descriptor), descriptor, side=store.side)


def test_it_goes_on_where_it_was_cut(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Cut(after=1_000_000))
    proxy.on(*GET_BLOB, Cut(after=500_000, reset=True), nth=2)
    assert fetched(store) == CONTENT
    ranges = [seen.headers.get("range") for seen in proxy.matching(*GET_BLOB)]
    assert ranges[0] is None
    assert len(ranges) == 3
    # What was on the wire when a reset came is lost; what was read is not fetched again.
    assert sum(seen.n_bytes_out for seen in proxy.matching(*GET_BLOB)) < len(CONTENT) + 600_000


def test_a_cut_before_the_first_byte_is_asked_again(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Reset())
    proxy.on(*GET_BLOB, Cut(after=0), nth=2)
    assert fetched(store) == CONTENT


def test_a_server_without_ranges_is_read_again_from_the_start(
    proxy: FaultyProxy, store: Repository
) -> None:
    proxy.on(*GET_BLOB, Cut(after=2_000_000))
    proxy.on(*GET_BLOB, DropRequestHeaders(("Range",)), nth=2, times=None)
    assert fetched(store) == CONTENT


def test_without_progress_it_gives_up(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Cut(after=1_000_000))
    proxy.on(*GET_BLOB, Cut(after=0), nth=2, times=None)
    with pytest.raises(RegistryUnavailable, match="cut 5 times at byte 1000000") as caught:
        fetched(store)
    assert store.side in caught.value.message
    assert proxy.count(*GET_BLOB) == 5


def test_with_progress_it_never_gives_up(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Cut(after=100_000), times=None)
    assert fetched(store) == CONTENT
    assert proxy.count(*GET_BLOB) == 30


def test_an_offset_is_asked_for_and_never_one_at_the_end(
    proxy: FaultyProxy, store: Repository
) -> None:
    assert store.open(BLOB, 2_999_999).read() == CONTENT[-1:]
    assert proxy.matching(*GET_BLOB)[0].headers["range"] == "bytes=2999999-"
    proxy.on(*GET_BLOB, Extend(b"x"))
    proxy.forget()
    # All bytes came, and then the line broke: there is nothing to ask for any more.
    proxy.heal()
    proxy.on(*GET_BLOB, Cut(after=3_000_000))
    assert fetched(store) == CONTENT
    assert proxy.count(*GET_BLOB) == 1


@pytest.mark.parametrize(
    ("content_range", "error"),
    [
        ("bytes 0-2999999/3000000", NetworkError),
        ("bytes 1000001-2999999/3000000", NetworkError),
        ("bytes 1000000-2999999/4000000", SizeMismatch),
        ("nonsense", NetworkError),
        (None, NetworkError),
    ],
)
def test_another_part_than_was_asked_for_is_refused(
    proxy: FaultyProxy, store: Repository, content_range: str | None, error: type[Exception]
) -> None:
    proxy.on(*GET_BLOB, SetHeaders({"Content-Range": content_range}, status=206), times=None)
    with pytest.raises(error):
        store.open(BLOB, 1_000_000).read()


def test_wrong_bytes_are_told_with_their_side(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Corrupt(at=1_500_000))
    with pytest.raises(DigestMismatch, match=store.side):
        fetched(store)
    assert fetched(store) == CONTENT


@pytest.mark.parametrize("fault", [Truncate(to=1000), Extend(b"more")])
def test_another_size_is_told_before_a_byte_is_read(
    proxy: FaultyProxy, store: Repository, fault: Truncate | Extend
) -> None:
    proxy.on(*GET_BLOB, fault)
    with pytest.raises(SizeMismatch):
        store.open(BLOB)


def test_a_body_without_a_length_is_counted(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, SetHeaders({"Content-Length": None}), times=None)
    assert fetched(store) == CONTENT
    proxy.on(*GET_BLOB, Extend(b"more"))


def test_compression_on_the_way_is_refused(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Gzip(), times=None)
    with pytest.raises(ContentError, match="Content-Encoding 'gzip'"):
        store.open(BLOB)


def test_storage_elsewhere_gets_no_credentials_and_the_registry_is_asked_again(
    registry: Registry, proxy: FaultyProxy, store: Repository
) -> None:
    with ObjectStore(registry=registry) as storage, FaultyProxy(upstream=storage.url) as line:
        proxy.on(*GET_BLOB, Redirect(lambda path: f"{line.url}{_path(storage, path)}"), times=None)
        line.on("GET", "", Cut(after=1_000_000))
        assert fetched(store) == CONTENT
        assert all("authorization" not in seen.headers for seen in storage.requests)
        # The second address was asked for when the first was of no use any more.
        assert proxy.count(*GET_BLOB) == 2
        storage.expired = True
        with pytest.raises(Exception, match="403"):
            store.open(BLOB)


def _path(storage: ObjectStore, path: str) -> str:
    return storage.address_of(path).removeprefix(storage.url)


def test_a_redirect_in_a_circle_ends(proxy: FaultyProxy, store: Repository) -> None:
    proxy.on(*GET_BLOB, Redirect(proxy.url), times=None)
    with pytest.raises(NetworkError, match="more than 10 redirects"):
        store.open(BLOB)


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://user:secret@127.0.0.1/x", "gopher://x/y"]
)
def test_a_redirect_to_nowhere_is_refused(
    proxy: FaultyProxy, store: Repository, location: str
) -> None:
    proxy.on(*GET_BLOB, Answer(307, {"Location": location}), times=None)
    with pytest.raises(NetworkError, match="address") as caught:
        store.open(BLOB)
    assert "secret" not in caught.value.message


def test_a_missing_blob_is_named(proxy: FaultyProxy, store: Repository) -> None:
    absent = blob(b"never pushed")
    with pytest.raises(NotFound, match=f"{store.side}: {absent.digest.short[:5]}|blob sha256"):
        store.open(absent)
    assert proxy.count("GET", str(absent.digest)) == 1


def test_a_foreign_layer_says_where_it_would_be(store: Repository) -> None:
    absent = replace(blob(b"windows"), urls=("https://mcr.example/layer",))
    with pytest.raises(NotFound) as caught:
        store.open(absent)
    assert "https://mcr.example/layer" in caught.value.hint


def test_a_line_that_hardly_drips_is_cut(
    proxy: FaultyProxy, store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "STALL_S", 0.3)
    proxy.on(*GET_BLOB, Slow(bytes_per_s=5000))
    with VerifiedStream(store.open(BLOB), BLOB) as stream:
        assert stream.read() == CONTENT
    assert proxy.count(*GET_BLOB) == 2


def test_silence_is_a_cut(proxy: FaultyProxy, repository: str, client: Client) -> None:
    store = client.repository(proxy.host, repository, read_timeout_s=0.3)
    stall = Stall(after=1_000_000, seconds=20)
    proxy.on(*GET_BLOB, stall)
    assert fetched(store) == CONTENT
    assert proxy.count(*GET_BLOB) == 2
    stall.go_on.set()
