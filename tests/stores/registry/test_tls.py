"""TLS against real registries: own authorities, client certificates, plain http."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from imgsync.errors import AccessDenied, InvalidInput, NetworkError, Unreachable
from imgsync.model.reference import Reference
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.options import ForHosts
from tests.servers.faults import Answer
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.store_contract import blob, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Authority
    from tests.stores.registry.conftest import Client

DATA = blob(b"data")


@pytest.fixture(scope="module")
def secure(authority: Authority) -> Iterator[Registry]:
    with Registry(certificate=authority.issue()) as server:
        yield server


def test_an_authority_is_trusted_where_it_is_given(
    secure: Registry, authority: Authority, client: Client
) -> None:
    for ca_files in (ForHosts(str(authority.ca)), ForHosts("", {secure.host: str(authority.ca)})):
        put(client.repository(secure.host, "a/b", ca_files=ca_files), DATA, b"data")


def test_an_unknown_authority_is_told_with_what_helps(secure: Registry, client: Client) -> None:
    for ca_files in (ForHosts(), ForHosts("", {"other.example": "/nowhere"})):
        store = client.repository(secure.host, "a/b", ca_files=ca_files)
        with pytest.raises(Unreachable, match="not trusted") as caught:
            store.missing([DATA])
        assert f"--ca-file {secure.host}=FILE" in caught.value.hint


def test_verification_can_be_turned_off_for_one_host(secure: Registry, client: Client) -> None:
    store = client.repository(secure.host, "a/b", insecure_hosts=frozenset({secure.host}))
    put(store, DATA, b"data")
    other = client.repository(secure.host, "a/b", insecure_hosts=frozenset({"other.example"}))
    with pytest.raises(Unreachable, match="not trusted"):
        other.missing([DATA])


def test_the_wrong_host_and_an_expired_certificate_are_told(
    authority: Authority, client: Client
) -> None:
    ca = ForHosts(str(authority.ca))
    for certificate, why, hint in (
        (authority.issue("elsewhere.example"), "not valid for '127", "as its certificate does"),
        (authority.issue(expired=True), "expired", "clock"),
    ):
        with Registry(certificate=certificate) as server:
            store = client.repository(server.host, "a/b", ca_files=ca)
            with pytest.raises(Unreachable, match=why) as caught:
                store.missing([DATA])
            assert hint in caught.value.hint


def test_a_client_certificate_is_shown_where_it_is_asked_for(
    authority: Authority, client: Client
) -> None:
    mine = authority.issue("someone", client=True)
    ca = ForHosts(str(authority.ca))
    with Registry(certificate=authority.issue(), client_ca=authority.ca) as server:
        store = client.repository(
            server.host,
            "a/b",
            ca_files=ca,
            certs=ForHosts("", {server.host: str(mine.certificate)}),
            keys=ForHosts("", {server.host: str(mine.key)}),
        )
        put(store, DATA, b"data")
        with pytest.raises(NetworkError, match=f"{server.host}: "):
            client.repository(server.host, "a/b", ca_files=ca).missing([DATA])


def test_the_environment_names_authorities(
    secure: Registry, authority: Authority, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"REQUESTS_CA_BUNDLE": str(authority.ca)}
    put(client.repository(secure.host, "a/b", environ=environ), DATA, b"data")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))  # read by OpenSSL itself
    put(client.repository(secure.host, "a/b"), DATA, b"data")


@pytest.mark.parametrize("folder", ["hosts.toml", "podman", "containerd without hosts.toml"])
def test_folders_of_other_tools_are_read(
    secure: Registry, authority: Authority, client: Client, tmp_path: Path, folder: str
) -> None:
    environ = {"HOME": str(tmp_path)}
    hosts_dir = None
    match folder:
        case "hosts.toml":
            hosts_dir = tmp_path / "certs.d"
            place = hosts_dir / secure.host.replace(":", "_").__add__("_")
            place.mkdir(parents=True)
            shutil.copy(authority.ca, place / "ca.pem")
            (place / "hosts.toml").write_text(f'server = "{secure.url}"\nca = "ca.pem"\n')
        case "podman":
            place = tmp_path / ".config/containers/certs.d" / secure.host
            place.mkdir(parents=True)
            shutil.copy(authority.ca, place / "own.crt")
        case _:
            hosts_dir = tmp_path / "certs.d"
            place = hosts_dir / secure.host
            place.mkdir(parents=True)
            shutil.copy(authority.ca, place / "own.crt")
    store = client.repository(secure.host, "a/b", environ=environ, hosts_dir=hosts_dir)
    put(store, DATA, b"data")


def test_files_that_are_none_are_named(secure: Registry, client: Client, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for ca_file in (tmp_path / "text", tmp_path / "absent"):
        store = client.repository(secure.host, "a/b", ca_files=ForHosts(str(ca_file)))
        with pytest.raises(InvalidInput, match=str(ca_file)):
            store.missing([DATA])


def test_certificates_that_are_none_are_named(
    secure: Registry, authority: Authority, client: Client, tmp_path: Path
) -> None:
    mine, other = authority.issue("me", client=True), authority.issue("you", client=True)
    (tmp_path / "locked.key").write_bytes(
        load_pem_private_key(mine.key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    for cert, key, why in (
        (mine.certificate, other.key, "do not fit"),
        (mine.certificate, tmp_path / "absent", "cannot be read"),
        (mine.certificate, tmp_path / "locked.key", "is encrypted"),
    ):
        store = client.repository(
            secure.host, "a/b", certs=ForHosts(str(cert)), keys=ForHosts(str(key))
        )
        with pytest.raises(InvalidInput, match=why):
            store.missing([DATA])


def test_docker_keeps_pairs_in_folders(
    authority: Authority, client: Client, tmp_path: Path
) -> None:
    mine = authority.issue("someone", client=True)
    with Registry(certificate=authority.issue(), client_ca=authority.ca) as server:
        folder = tmp_path / ".config/containers/certs.d" / server.host
        folder.mkdir(parents=True)
        shutil.copy(authority.ca, folder / "ca.crt")
        shutil.copy(mine.certificate, folder / "client.cert")
        shutil.copy(mine.key, folder / "client.key")
        put(client.repository(server.host, "a/b", environ={"HOME": str(tmp_path)}), DATA, b"data")


def test_a_token_server_is_trusted_by_the_same_authority(
    authority: Authority, client: Client
) -> None:
    with (
        TokenServer(users={"ann": User("pw")}, certificate=authority.issue()) as tokens,
        Registry(token_server=tokens, certificate=authority.issue()) as server,
    ):
        ann = {server.host: Credential("ann", "pw", origin="--username")}
        ca = ForHosts(str(authority.ca))
        put(client.repository(server.host, "a/b", ca_files=ca, credentials=ann), DATA, b"data")


def test_credentials_never_go_to_a_token_server_without_tls(
    authority: Authority, client: Client
) -> None:
    ann = Credential("ann", "pw", origin="--username")
    with (
        Registry(certificate=authority.issue()) as server,
        FaultyProxy(upstream=server.url, certificate=authority.issue()) as proxy,
        TokenServer(users={"ann": User("pw")}) as tokens,
    ):
        realm = tokens.realm.replace("127.0.0.1", "127.0.0.2")
        proxy.on("", "", Answer(401, {"WWW-Authenticate": f'Bearer realm="{realm}"'}), times=None)
        store = client.repository(
            proxy.host, "a/b", ca_files=ForHosts(str(authority.ca)), credentials={proxy.host: ann}
        )
        with pytest.raises(AccessDenied, match="is plain http"):
            store.missing([DATA])
        assert tokens.requests == []


def test_plain_http_is_only_guessed_on_loopback(registry: Registry, client: Client) -> None:
    put(client.repository(registry.host, "tls/guess"), DATA, b"data")
    # The same server under a name that is not loopback to us, reached by a hosts entry or DNS.
    name = f"0.0.0.0:{registry.port}"
    with pytest.raises(Unreachable, match="speaks plain http") as caught:
        client.repository(name, "tls/guess").missing([DATA])
    assert caught.value.hint.endswith(f"--plain-http-host {name}")
    put(client.repository(name, "tls/guess", plain_http_hosts=frozenset({name})), DATA, b"data")


def test_plain_http_to_a_tls_port_is_told(secure: Registry, client: Client) -> None:
    store = client.repository(secure.host, "a/b", plain_http=True)
    with pytest.raises(Exception, match="HTTPS server") as caught:
        store.missing([DATA])
    assert "leave --plain-http away" in str(getattr(caught.value, "hint", ""))


def test_a_port_that_redirects_to_https_is_left_at_once(
    secure: Registry, authority: Authority, client: Client
) -> None:
    with FaultyProxy(upstream=secure.url) as port_80:
        port_80.on("", "", Answer(308, {"Location": f"{secure.url}/v2/a/b/blobs/{DATA.digest}"}))
        store = client.repository(
            port_80.host, "a/b", plain_http=True, ca_files=ForHosts(str(authority.ca))
        )
        store.missing([DATA])
        put(store, DATA, b"data")
        assert port_80.count() == 1


def test_names_are_references(client: Client) -> None:
    assert Reference.parse("localhost:1/a").registry == "localhost:1"
    assert client.events == []
