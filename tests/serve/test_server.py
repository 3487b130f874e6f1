"""What a client of the distribution-spec's pull side may expect, asked of a real server."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import DigestMismatch, InvalidInput, Unreachable
from imgsync.events import Advanced, Event, Failed
from imgsync.model.digest import Digest
from imgsync.serve.access import OneCredential
from imgsync.serve.connection import Served
from imgsync.serve.server import Server, parse_listen
from tests.images import OCI_INDEX, Images, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import requests

    from tests.servers.certificates import Authority

Serve = "Callable[..., Server]"


@pytest.fixture
def images() -> Images:
    """One image under two hosts, another that only docker.io has, and what is about the first."""
    images = Images()
    base = images.layer({"base": b"shared by all"})
    app = images.index(
        [
            images.image([base, images.layer({"a": name.encode()})], platform=name)
            for name in ("linux/amd64", "linux/arm64")
        ]
    )
    for name in ("one.example/team/app:1", "one.example/team/app:10", "one.example/team/app:2"):
        images.name(name, app)
    images.name("two.example:8443/team/app:1", images.image([base], entrypoint="/other"))
    images.name("docker.io/library/redis:7", images.image([base], entrypoint="/redis"))
    images.referrer(app, "application/spdx+json", b'{"spdx": 1}', "one.example/team/app")
    images.referrer(app, "application/vnd.example.sig", b"sig", "one.example/team/app")
    return images


@pytest.fixture
def server(serve: Callable[..., Server], images: Images) -> Server:
    return serve(images)


def test_it_is_a_registry(server: Server, http: requests.Session) -> None:
    answer = http.get(f"{server.url}/v2/")
    assert answer.status_code == 200
    assert http.head(f"{server.url}/v2/").status_code == 200


def test_manifests_by_tag_and_by_digest(
    server: Server, http: requests.Session, images: Images
) -> None:
    root = images.names["one.example/team/app:1"]
    raw = images.blobs[root["digest"]]
    for reference in ("1", "10", root["digest"]):
        address = f"{server.url}/v2/one.example/team/app/manifests/{reference}"
        for answer in (http.get(address), http.head(address)):
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == OCI_INDEX
            assert answer.headers["Content-Length"] == str(len(raw))
            assert answer.headers["Docker-Content-Digest"] == root["digest"]
        assert http.get(address).content == raw
        assert http.head(address).content == b""


def test_what_is_accepted_changes_nothing(
    server: Server, http: requests.Session, images: Images
) -> None:
    root = images.names["one.example/team/app:1"]
    address = f"{server.url}/v2/one.example/team/app/manifests/1"
    answer = http.get(address, headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
    assert answer.headers["Docker-Content-Digest"] == root["digest"]


def test_every_blob_of_every_image(server: Server, http: requests.Session, images: Images) -> None:
    for digest in images.digests():
        address = f"{server.url}/v2/one.example/team/app/blobs/{digest}"
        answer = http.get(address)
        assert answer.status_code == 200
        assert answer.content == images.blobs[digest]
        assert answer.headers["Docker-Content-Digest"] == digest
        head = http.head(address)
        assert head.headers["Content-Length"] == str(len(images.blobs[digest]))
        assert head.content == b""


def test_parts_of_a_blob(server: Server, http: requests.Session, images: Images) -> None:
    digest = images.children(images.children(images.names["one.example/team/app:1"])[0])[1][
        "digest"
    ]
    data = images.blobs[digest]
    address = f"{server.url}/v2/one.example/team/app/blobs/{digest}"
    for header, part in (
        ("bytes=0-9", data[:10]),
        ("bytes=5-", data[5:]),
        ("bytes=-7", data[-7:]),
        (f"bytes=3-{len(data) + 99}", data[3:]),
    ):
        answer = http.get(address, headers={"Range": header})
        assert answer.status_code == 206
        assert answer.content == part
        assert answer.headers["Content-Length"] == str(len(part))
        first = data.index(part)
        last = first + len(part) - 1
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(data)}"
    answer = http.get(address, headers={"Range": f"bytes={len(data)}-"})
    assert answer.status_code == 416
    assert answer.json()["errors"][0]["code"] == "RANGE_INVALID"
    assert http.get(address, headers={"Range": "bytes=1-2,4-5"}).content == data


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("one.example/team/app/manifests/none", "MANIFEST_UNKNOWN"),
        (f"one.example/team/app/manifests/sha256:{'0' * 64}", "MANIFEST_UNKNOWN"),
        (f"one.example/team/app/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        (f"one.example/team/app/blobs/sha512:{'0' * 128}", "BLOB_UNKNOWN"),
        ("one.example/team/none/manifests/1", "NAME_UNKNOWN"),
        ("one.example/team/none/tags/list", "NAME_UNKNOWN"),
        ("three.example/team/app/manifests/1", "NAME_UNKNOWN"),
    ],
)
def test_what_is_not_there(server: Server, http: requests.Session, path: str, code: str) -> None:
    answer = http.get(f"{server.url}/v2/{path}")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = answer.json()["errors"]
    assert error["code"] == code
    assert error["message"]
    assert http.head(f"{server.url}/v2/{path}").content == b""


def test_a_layer_is_no_manifest(server: Server, http: requests.Session, images: Images) -> None:
    layer = images.children(images.names["docker.io/library/redis:7"])[1]["digest"]
    assert http.get(f"{server.url}/v2/redis/manifests/{layer}").status_code == 404
    assert http.get(f"{server.url}/v2/redis/blobs/{layer}").status_code == 200


@pytest.mark.parametrize("path", ["manifests/sha256:xyz", "blobs/sha256:00", "referrers/sha256:"])
def test_malformed_digests(server: Server, http: requests.Session, path: str) -> None:
    answer = http.get(f"{server.url}/v2/one.example/team/app/{path}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "DIGEST_INVALID"


def test_tags_are_sorted_and_paged(server: Server, http: requests.Session) -> None:
    address = f"{server.url}/v2/one.example/team/app/tags/list"
    assert http.get(address).json() == {"name": "one.example/team/app", "tags": ["1", "10", "2"]}
    assert http.get(f"{address}?last=1").json()["tags"] == ["10", "2"]
    assert http.get(f"{address}?last=2").json()["tags"] == []
    none = http.get(f"{address}?n=0")
    assert none.json()["tags"] == []
    assert "Link" not in none.headers
    first = http.get(f"{address}?n=2")
    assert first.json()["tags"] == ["1", "10"]
    following = first.links["next"]["url"]
    assert http.get(server.url + following).json()["tags"] == ["2"]
    assert "Link" not in http.get(server.url + following).headers


def test_the_catalog_is_paged(server: Server, http: requests.Session) -> None:
    every = ["docker.io/library/redis", "one.example/team/app", "two.example:8443/team/app"]
    assert http.get(f"{server.url}/v2/_catalog").json()["repositories"] == every
    found, following = [], "/v2/_catalog?n=1"
    while following:
        answer = http.get(server.url + following)
        found += answer.json()["repositories"]
        following = answer.links.get("next", {}).get("url", "")
    assert found == every


def test_referrers(server: Server, http: requests.Session, images: Images) -> None:
    subject = images.names["one.example/team/app:1"]["digest"]
    address = f"{server.url}/v2/one.example/team/app/referrers/{subject}"
    answer = http.get(address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == OCI_INDEX
    index = answer.json()
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    kinds = {entry["artifactType"] for entry in index["manifests"]}
    assert kinds == {"application/spdx+json", "application/vnd.example.sig"}
    for entry in index["manifests"]:
        raw = http.get(f"{server.url}/v2/one.example/team/app/manifests/{entry['digest']}").content
        assert digest_of(raw) == entry["digest"]
        assert len(raw) == entry["size"]
    one = http.get(address, params={"artifactType": "application/spdx+json"})
    assert one.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["artifactType"] for entry in one.json()["manifests"]] == ["application/spdx+json"]
    assert "OCI-Filters-Applied" not in answer.headers


@pytest.mark.parametrize("repository", ["one.example/team/app", "nowhere/at/all"])
def test_referrers_are_never_unknown(
    server: Server, http: requests.Session, repository: str
) -> None:
    answer = http.get(f"{server.url}/v2/{repository}/referrers/sha256:{'0' * 64}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == OCI_INDEX
    assert answer.json() == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def test_a_config_type_stands_for_the_artifact_type(
    serve: Callable[..., Server], http: requests.Session
) -> None:
    images = Images()
    subject = images.image([images.layer({"a": b"a"})])
    images.name("one.example/app:1", subject)
    config = images.blob("application/vnd.example.config", b"{}")
    about = {key: subject[key] for key in ("mediaType", "digest", "size")}
    artifact = images.artifact(
        "", b"x", config=config, subject=about, annotations={"org.example": "yes"}
    )
    images.unnamed.append((artifact, ("one.example/app",)))
    server = serve(images)
    answer = http.get(f"{server.url}/v2/app/referrers/{subject['digest']}")
    (entry,) = answer.json()["manifests"]
    assert entry["artifactType"] == "application/vnd.example.config"
    assert entry["annotations"] == {"org.example": "yes"}


def test_three_ways_to_say_a_repository(
    server: Server, http: requests.Session, images: Images
) -> None:
    def digest(path: str) -> str:
        answer = http.head(f"{server.url}/v2/{path}")
        return answer.headers.get("Docker-Content-Digest", str(answer.status_code))

    one = images.names["one.example/team/app:1"]["digest"]
    two = images.names["two.example:8443/team/app:1"]["digest"]
    redis = images.names["docker.io/library/redis:7"]["digest"]
    assert digest("one.example/team/app/manifests/1") == one
    assert digest("two.example:8443/team/app/manifests/1") == two
    assert digest("team/app/manifests/1?ns=one.example") == one
    assert digest("team/app/manifests/1?ns=two.example%3A8443") == two
    assert digest("team/app/manifests/1?ns=docker.io") == "404"
    assert digest("team/app/manifests/1") == "404"  # two hosts have it
    assert digest("redis/manifests/7") == redis
    assert digest("library/redis/manifests/7") == redis
    assert digest("docker.io/library/redis/manifests/7") == redis
    assert digest("library/redis/manifests/7?ns=docker.io") == redis
    assert digest("library/redis/manifests/7?ns=registry-1.docker.io") == redis
    message = http.get(f"{server.url}/v2/team/app/manifests/1").json()["errors"][0]["message"]
    assert "one.example/team/app" in message


def test_what_is_absent_is_not_offered(
    serve: Callable[..., Server], http: requests.Session, images: Images
) -> None:
    layer = images.children(images.names["docker.io/library/redis:7"])[1]["digest"]
    server = serve(images, absent={Digest.parse(layer)})
    assert http.get(f"{server.url}/v2/redis/blobs/{layer}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_nothing_can_be_written(server: Server, http: requests.Session, method: str) -> None:
    answer = http.request(method, f"{server.url}/v2/one.example/team/app/manifests/1", data=b"{}")
    assert answer.status_code == 405
    assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"
    assert http.get(f"{server.url}/v2/").status_code == 200


def test_a_connection_serves_many_requests(server: Server, images: Images) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.connect()
    used = connection.sock
    for digest in sorted(images.digests()):
        connection.request("GET", f"/v2/one.example/team/app/blobs/{digest}")
        answer = connection.getresponse()
        assert answer.read() == images.blobs[digest]
        assert connection.sock is used
    connection.close()


@pytest.mark.parametrize(
    "request_bytes",
    [b"nonsense\r\n\r\n", b"GET /v2/ HTTP/9.9\r\n\r\n", b"GET " + b"x" * 70_000, b"\r\n", b""],
)
def test_what_is_no_request_harms_nobody(
    server: Server, http: requests.Session, request_bytes: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(request_bytes)
        raw.shutdown(socket.SHUT_WR)
        try:
            while raw.recv(65536):
                pass
        except ConnectionResetError:
            pass
    assert http.get(f"{server.url}/v2/").status_code == 200


def test_many_clients_at_once(serve: Callable[..., Server]) -> None:
    big = Images()
    layers = [
        big.layer({f"f{number}": bytes([number]) * 3_000_000}, compression="none")
        for number in range(4)
    ]
    big.name("one.example/big:1", big.image(layers))
    server = serve(big)
    failures: list[str] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for digest in big.digests():
            connection.request("GET", f"/v2/big/blobs/{digest}")
            if connection.getresponse().read() != big.blobs[digest]:
                failures.append(digest)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_it_ends_with_clients_still_connected(serve: Callable[..., Server], images: Images) -> None:
    server = serve(images)
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    server.close()
    while connection.recv(1000):
        pass
    connection.close()


# --- damage -----------------------------------------------------------------------------------


def _damage(tmp_path: Path, digest: str) -> None:
    path = tmp_path / "layout/blobs/sha256" / digest.removeprefix("sha256:")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _big() -> tuple[Images, str]:
    images = Images()
    layer = images.layer({"f": bytes(range(256)) * 8000}, compression="none")
    images.name("one.example/big:1", images.image([layer]))
    return images, layer.descriptor["digest"]


def test_wrong_bytes_never_come_whole(
    serve: Callable[..., Server], http: requests.Session, tmp_path: Path
) -> None:
    images, digest = _big()
    events: list[Event] = []
    server = serve(images, report=events.append)
    _damage(tmp_path, digest)
    address = f"{server.url}/v2/big/blobs/{digest}"
    with pytest.raises(Exception, match=r"IncompleteRead|Connection broken|ChunkedEncoding"):
        _ = http.get(address).content
    # A part of it is refused before the first byte.
    answer = http.get(address, headers={"Range": "bytes=0-9"})
    assert answer.status_code == 500
    assert digest.partition(":")[2][:12] in answer.json()["errors"][0]["message"]
    failed = [event.error for event in events if isinstance(event, Failed)]
    assert [type(error) for error in failed] == [DigestMismatch, DigestMismatch]


def test_a_blob_that_is_gone_is_told(
    serve: Callable[..., Server], http: requests.Session, tmp_path: Path
) -> None:
    images, digest = _big()
    server = serve(images, prove=False)
    (tmp_path / "layout/blobs/sha256" / digest.removeprefix("sha256:")).unlink()
    with pytest.raises(Exception, match=r"IncompleteRead|Connection broken|ChunkedEncoding"):
        _ = http.get(f"{server.url}/v2/big/blobs/{digest}").content


def test_what_was_proved_is_not_hashed_again(
    serve: Callable[..., Server], http: requests.Session
) -> None:
    images, digest = _big()
    server = serve(images)
    address = f"{server.url}/v2/big/blobs/{digest}"
    for _ in range(2):
        assert http.get(address).content == images.blobs[digest]
        part = http.get(address, headers={"Range": "bytes=100-199"}).content
        assert part == images.blobs[digest][100:200]
    assert {str(proved) for proved in server.sender.proved} == {digest}


# --- who may, and how -------------------------------------------------------------------------


def test_one_credential_opens(
    serve: Callable[..., Server], http: requests.Session, images: Images
) -> None:
    access = OneCredential()
    server = serve(images, access=access)
    address = f"{server.url}/v2/redis/manifests/7"
    for header in (None, "Basic x", "Bearer y", "Basic aW1nc3luYzp3cm9uZw=="):
        answer = http.get(address, headers={"Authorization": header} if header else None)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert answer.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert http.get(f"{server.url}/v2/").status_code == 401
    assert http.get(address, headers={"Authorization": access.header}).status_code == 200
    assert OneCredential().header != access.header


def test_tls(
    serve: Callable[..., Server], http: requests.Session, images: Images, authority: Authority
) -> None:
    certificate = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server = serve(images, tls=context, prove=False)
    assert server.url.startswith("https://")
    for digest in images.digests():
        answer = http.get(f"{server.url}/v2/redis/blobs/{digest}", verify=str(authority.ca))
        assert answer.content == images.blobs[digest]
    # Somebody who speaks no TLS disturbs nobody.
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET /v2/ HTTP/1.1\r\n\r\n")
        plain.settimeout(5)
        assert not plain.recv(1000).startswith(b"HTTP/1.1 200")
    assert http.get(f"{server.url}/v2/", verify=str(authority.ca)).status_code == 200


def test_requests_and_bytes_are_told(serve: Callable[..., Server], http: requests.Session) -> None:
    images, digest = _big()
    events: list[Event] = []
    log: list[Served] = []
    server = serve(images, report=events.append, log=log.append)
    http.get(f"{server.url}/v2/big/blobs/{digest}")
    http.get(f"{server.url}/v2/big/manifests/none")
    server.close()
    size = len(images.blobs[digest])
    assert sum(event.n_bytes for event in events if isinstance(event, Advanced)) == size
    assert [(line.method, line.status) for line in log] == [("GET", 200), ("GET", 404)]
    assert log[0].n_bytes == size
    assert log[1].target == "/v2/big/manifests/none"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        (":5000", ("127.0.0.1", 5000)),
        ("5000", ("127.0.0.1", 5000)),
        ("[::1]:5000", ("::1", 5000)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),  # noqa: S104 - what a user may type
        ("registry.example:80", ("registry.example", 80)),
    ],
)
def test_addresses_to_listen_on(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:port", "host:70000", "host:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_listen(text)


def test_an_address_that_is_taken(serve: Callable[..., Server], images: Images) -> None:
    server = serve(images)
    with pytest.raises(Unreachable, match="cannot listen on"):
        serve(images, listen=("127.0.0.1", server.port))


def test_ipv6_loopback(
    serve: Callable[..., Server], http: requests.Session, images: Images
) -> None:
    try:
        server = serve(images, listen=("::1", 0))
    except Unreachable:
        pytest.skip("no IPv6 on this host")
    assert http.get(f"{server.url}/v2/").status_code == 200
