"""The faulty proxy passes everything on, and breaks exactly what it is told to break."""

import gzip
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from tests.images import Images, digest_of, sized_image
from tests.servers import faults
from tests.servers.certificates import Authority
from tests.servers.forward_proxy import ForwardProxy
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.upload import upload

pytestmark = pytest.mark.real

NAME = "registry.example/sized/app:1"
LAYER_BYTES = 300_000


@pytest.fixture(scope="module")
def images() -> Images:
    return sized_image(1, LAYER_BYTES)


@pytest.fixture(scope="module")
def layer(images: Images) -> str:
    digest: str = images.children(images.names[NAME])[1]["digest"]
    return digest


@pytest.fixture(scope="module")
def filled(images: Images) -> Iterator[Registry]:
    with Registry() as registry:
        upload(registry.url, images)
        yield registry


@pytest.fixture
def proxy(filled: Registry) -> Iterator[FaultyProxy]:
    with FaultyProxy(upstream=filled.url) as proxy:
        yield proxy


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def get(proxy: FaultyProxy, layer: str, http: requests.Session) -> Callable[[], requests.Response]:
    """Fetches the layer through the proxy."""
    return lambda: http.get(f"{proxy.url}/v2/sized/app/blobs/{layer}", timeout=10)


type_of_get = Callable[[], requests.Response]


def test_it_passes_on_and_counts(
    proxy: FaultyProxy, get: type_of_get, images: Images, layer: str
) -> None:
    assert get().content == images.blobs[layer]
    assert get().headers["Docker-Content-Digest"] == layer
    assert proxy.count("GET", f"/blobs/{layer}") == 2
    assert proxy.requests[0].n_bytes_out == len(images.blobs[layer])
    assert proxy.n_connections == 1


def test_it_passes_on_uploads(filled: Registry, repository: str, images: Images) -> None:
    with FaultyProxy(upstream=filled.url) as proxy:
        upload(proxy.url, images, prefix=f"{repository}/")
        assert filled.layers(f"{repository}/sized/app") < images.digests()
        assert sum(seen.n_bytes_in for seen in proxy.matching("PUT", "/blobs/")) > LAYER_BYTES


def test_it_passes_on_chunked_uploads(
    proxy: FaultyProxy, filled: Registry, repository: str, http: requests.Session
) -> None:
    begun = http.post(f"{proxy.url}/v2/{repository}/blobs/uploads/", timeout=5)
    data = b"sent in two chunks"
    digest = digest_of(data)
    address = f"{begun.headers['Location']}&digest={digest}"
    assert address.startswith(proxy.url)
    assert http.put(address, data=iter([data[:5], data[5:]]), timeout=5).status_code == 201
    assert filled.read_blob(digest) == data


def test_it_speaks_tls(filled: Registry, authority: Authority, images: Images) -> None:
    with FaultyProxy(upstream=filled.url, certificate=authority.issue()) as proxy:
        upload(proxy.url, images, prefix="tls/", ca=str(authority.ca))
        assert proxy.count("PUT", "/manifests/1") == 1


def test_it_stands_before_a_tls_registry(authority: Authority, http: requests.Session) -> None:
    with (
        Registry(certificate=authority.issue()) as registry,
        FaultyProxy(upstream=registry.url) as proxy,
    ):
        assert http.get(f"{proxy.url}/v2/", timeout=5).status_code == 200


def test_only_the_nth_request_is_broken(proxy: FaultyProxy, get: type_of_get) -> None:
    proxy.on("GET", "/blobs/", faults.Answer(500), nth=2, times=2)
    assert [get().status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    proxy.on("GET", "/blobs/", faults.Answer(500), times=None)
    assert [get().status_code for _ in range(3)] == [500, 500, 500]
    proxy.heal()
    assert get().status_code == 200


def test_answer_with_headers(proxy: FaultyProxy, get: type_of_get) -> None:
    proxy.on("GET", "/blobs/", faults.Answer(429, {"Retry-After": "7"}, b"slow down"))
    answer = get()
    assert (answer.status_code, answer.content) == (429, b"slow down")
    assert answer.headers["Retry-After"] == "7"


def test_redirect(proxy: FaultyProxy, get: type_of_get, filled: Registry) -> None:
    proxy.on("GET", "/blobs/", faults.Redirect(filled.url))
    answer = get()
    assert answer.status_code == 200
    assert answer.url.startswith(filled.url)


@pytest.mark.parametrize("reset", [False, True])
def test_cut(proxy: FaultyProxy, get: type_of_get, *, reset: bool) -> None:
    proxy.on("GET", "/blobs/", faults.Cut(after=100_000, reset=reset))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get()
    assert proxy.requests[0].n_bytes_out == 100_000
    assert get().status_code == 200


def test_reset_is_a_reset(proxy: FaultyProxy) -> None:
    proxy.on("GET", "/", faults.Reset())
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_cut_request(
    proxy: FaultyProxy, filled: Registry, repository: str, http: requests.Session
) -> None:
    proxy.on("PUT", "/blobs/uploads/", faults.CutRequest(after=1000))
    begun = http.post(f"{proxy.url}/v2/{repository}/blobs/uploads/", timeout=5)
    data = bytes(10_000_000)
    address = f"{begun.headers['Location']}&digest={digest_of(data)}"
    with pytest.raises(requests.ConnectionError):
        http.put(address, data=data, timeout=5)
    assert not filled.has_blob(digest_of(data))


def test_lose_response(
    proxy: FaultyProxy, filled: Registry, repository: str, http: requests.Session
) -> None:
    proxy.on("PUT", "/blobs/uploads/", faults.LoseResponse())
    begun = http.post(f"{proxy.url}/v2/{repository}/blobs/uploads/", timeout=5)
    address = f"{begun.headers['Location']}&digest={digest_of(b'lost')}"
    with pytest.raises(requests.ConnectionError):
        http.put(address, data=b"lost", timeout=5)
    assert filled.has_blob(digest_of(b"lost"))


def test_stall_ends_when_told(
    proxy: FaultyProxy, get: type_of_get, images: Images, layer: str
) -> None:
    stall = faults.Stall(after=1000)
    proxy.on("GET", "/blobs/", stall)
    got: list[bytes] = []
    client = threading.Thread(target=lambda: got.append(get().content))
    client.start()
    assert stall.reached.wait(5)
    assert not got
    stall.go_on.set()
    client.join(5)
    assert got == [images.blobs[layer]]


def test_delay_waits_before_asking(proxy: FaultyProxy, get: type_of_get) -> None:
    proxy.on("GET", "/blobs/", faults.Delay(seconds=0.2))
    begun = time.monotonic()
    assert get().status_code == 200
    assert time.monotonic() - begun >= 0.2


def test_slow_takes_its_time(proxy: FaultyProxy, get: type_of_get) -> None:
    proxy.on("GET", "/blobs/", faults.Slow(bytes_per_s=1_000_000))
    begun = time.monotonic()
    assert get().status_code == 200
    assert time.monotonic() - begun >= 0.25


def test_corrupt_changes_one_bit(
    proxy: FaultyProxy, get: type_of_get, images: Images, layer: str
) -> None:
    proxy.on("GET", "/blobs/", faults.Corrupt(at=70_000))
    expected = bytearray(images.blobs[layer])
    expected[70_000] ^= 1
    assert get().content == expected


def test_corrupt_request_is_refused_by_the_registry(
    proxy: FaultyProxy, repository: str, http: requests.Session
) -> None:
    proxy.on("PUT", "/blobs/uploads/", faults.CorruptRequest(at=2))
    begun = http.post(f"{proxy.url}/v2/{repository}/blobs/uploads/", timeout=5)
    address = f"{begun.headers['Location']}&digest={digest_of(b'good')}"
    answer = http.put(address, data=b"good", timeout=5)
    assert (answer.status_code, "DIGEST_INVALID" in answer.text) == (400, True)


def test_truncate_extend_and_replace_tell_consistent_lies(
    proxy: FaultyProxy, get: type_of_get, images: Images, layer: str
) -> None:
    proxy.on("GET", "/blobs/", faults.Truncate(to=10))
    proxy.on("GET", "/blobs/", faults.Extend(b"and more"), nth=2)
    proxy.on("GET", "/blobs/", faults.Replace(b"{}"), nth=3)
    data = images.blobs[layer]
    assert [get().content for _ in range(4)] == [data[:10], data + b"and more", b"{}", data]


def test_headers_can_lie_or_be_missing(
    proxy: FaultyProxy, layer: str, http: requests.Session
) -> None:
    wrong = "sha256:" + "0" * 64
    proxy.on("HEAD", "/manifests/", faults.SetHeaders({"Docker-Content-Digest": wrong}))
    proxy.on("HEAD", "/manifests/", faults.SetHeaders({"Docker-Content-Digest": None}), nth=2)
    proxy.on("HEAD", "/manifests/", faults.SubHeader("Content-Type", "oci", "xyz"), nth=3)
    address = f"{proxy.url}/v2/sized/app/manifests/1"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    heads = [http.head(address, headers=accept, timeout=5).headers for _ in range(3)]
    assert heads[0]["Docker-Content-Digest"] == wrong
    assert "Docker-Content-Digest" not in heads[1]
    assert heads[2]["Content-Type"] == "application/vnd.xyz.image.manifest.v1+json"
    assert layer != wrong


def test_a_dropped_range_becomes_the_whole(
    proxy: FaultyProxy, layer: str, http: requests.Session
) -> None:
    proxy.on("GET", "/blobs/", faults.DropRequestHeaders(("Range",)))
    address = f"{proxy.url}/v2/sized/app/blobs/{layer}"
    statuses = [
        http.get(address, headers={"Range": "bytes=10-"}, timeout=5).status_code for _ in range(2)
    ]
    assert statuses == [200, 206]


def test_gzip_compresses_unasked(proxy: FaultyProxy, layer: str, images: Images) -> None:
    proxy.on("GET", "/blobs/", faults.Gzip())
    with requests.get(f"{proxy.url}/v2/sized/app/blobs/{layer}", stream=True, timeout=5) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(answer.raw.read(decode_content=False)) == images.blobs[layer]


def test_limit_body_is_nginx_with_a_limit(
    proxy: FaultyProxy, repository: str, http: requests.Session
) -> None:
    proxy.on("PUT|PATCH", "/blobs/uploads/", faults.LimitBody(10), times=None)
    begun = http.post(f"{proxy.url}/v2/{repository}/blobs/uploads/", timeout=5)
    small, large = b"small", b"larger than that"
    answers = [
        http.put(f"{begun.headers['Location']}&digest={digest_of(data)}", data=data, timeout=5)
        for data in (large, small)
    ]
    assert [answer.status_code for answer in answers] == [413, 201]
    assert re.search("413 Request Entity Too Large", answers[0].text)


def test_a_dead_upstream_is_a_502(http: requests.Session) -> None:
    with Registry() as registry, FaultyProxy(upstream=registry.url) as proxy:
        registry.kill()
        assert http.get(f"{proxy.url}/v2/", timeout=5).status_code == 502


def test_a_forward_proxy_passes_on_http(filled: Registry, http: requests.Session) -> None:
    with ForwardProxy() as proxy:
        http.proxies = {"http": proxy.url}
        begun = http.post(f"{filled.url}/v2/forward/x/blobs/uploads/", timeout=5)
        address = f"{begun.headers['Location']}&digest={digest_of(b'hello')}"
        assert http.put(address, data=b"hello", timeout=5).status_code == 201
        assert proxy.count("PUT", re.escape(filled.url)) == 1


def test_a_forward_proxy_tunnels_https(authority: Authority, http: requests.Session) -> None:
    with (
        Registry(certificate=authority.issue()) as registry,
        ForwardProxy(user="ann", password="pw") as proxy,
    ):
        http.proxies = {"https": proxy.url_with_credentials}
        address = f"{registry.url}/v2/"
        assert http.get(address, verify=str(authority.ca), timeout=5).status_code == 200
        assert [(seen.method, seen.status) for seen in proxy.requests] == [("CONNECT", 200)]
        http.proxies = {"https": proxy.url}
        http.close()
        with pytest.raises(requests.exceptions.ProxyError):
            http.get(address, verify=str(authority.ca), timeout=5)
