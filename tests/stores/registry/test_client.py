"""One question, several requests: retries, quotas, proxies, hostile answers, dead hosts."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from imgsync.content import read_verified
from imgsync.errors import (
    AccessDenied,
    InvalidInput,
    NetworkError,
    RateLimited,
    RegistryUnavailable,
    Unreachable,
)
from imgsync.events import Noted, Retried
from imgsync.model.reference import Reference
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.guard import AddressGuard
from imgsync.stores.registry.options import ForHosts
from imgsync.stores.registry.quota import Quota
from imgsync.stores.registry.registries import Registries
from imgsync.stores.registry.request import Request
from tests.servers.faults import Answer, Delay, Redirect, Reset, SetHeaders, Stall
from tests.servers.forward_proxy import ForwardProxy
from tests.servers.proxy import FaultyProxy
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.store_contract import blob, put, put_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.stores.registry.repository import Repository
    from tests.servers.certificates import Authority
    from tests.stores.registry.conftest import Client

DATA = blob(b"data")


@pytest.fixture
def proxy(registry: Registry, faulty: Callable[[Registry], FaultyProxy]) -> FaultyProxy:
    return faulty(registry)


@pytest.fixture
def store(registry: Registry, proxy: FaultyProxy, repository: str, client: Client) -> Repository:
    """Through the proxy, with one blob in it."""
    put(client.repository(registry.host, repository), DATA, b"data")
    return client.repository(proxy.host, repository)


class TestRetries:
    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 499, 522])
    def test_what_may_pass_is_asked_again(
        self, proxy: FaultyProxy, store: Repository, client: Client, status: int
    ) -> None:
        proxy.on("", "", Answer(status), times=2)
        assert store.missing([DATA]) == set()
        assert proxy.count() == 3
        told = [event for event in client.events if isinstance(event, Retried)]
        assert len(told) == 2
        assert str(status) in told[0].why

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 412, 413, 416, 418])
    def test_what_will_not_is_asked_once(
        self, proxy: FaultyProxy, store: Repository, status: int
    ) -> None:
        proxy.on("", "", Answer(status), times=None)
        answer = store.host.ask(Request("GET", "/v2/x/blobs/y", body=b""))
        answer.close()
        assert answer.status == status
        assert proxy.count("GET", "/blobs/") <= 2  # http on loopback is a guess, see there

    def test_in_the_end_it_says_how_it_was(self, proxy: FaultyProxy, store: Repository) -> None:
        body = b'{"errors":[{"code":"UNAVAILABLE","message":"service unavailable"}]}'
        proxy.on("GET", "", Answer(503, content=body), times=None)
        with pytest.raises(RegistryUnavailable, match="503 UNAVAILABLE service unavailable"):
            store.open(DATA)
        assert proxy.count("GET") == 5

    def test_a_reset_is_asked_again(self, proxy: FaultyProxy, store: Repository) -> None:
        store.missing([DATA])
        proxy.on("", "", Reset(), times=3)
        assert store.missing([DATA]) == set()

    def test_the_server_says_how_long_to_wait(self, proxy: FaultyProxy, store: Repository) -> None:
        proxy.on("", "", Answer(503, {"Retry-After": "1"}))
        started = time.monotonic()
        store.missing([DATA])
        assert time.monotonic() - started >= 1

    def test_one_failure_holds_up_all_workers(self, proxy: FaultyProxy, store: Repository) -> None:
        store.missing([DATA])
        proxy.on("HEAD", "", Answer(503, {"Retry-After": "1"}))
        store.missing([DATA, blob(b"one")])
        proxy.forget()
        proxy.on("HEAD", "", Answer(503, {"Retry-After": "1"}))
        started = time.monotonic()
        store.missing([blob(bytes([n])) for n in range(64)])
        # Each of the 64 by itself would make more than a minute.
        assert 1 <= time.monotonic() - started < 30
        assert proxy.count("HEAD") == 65

    def test_closing_wakes_up_who_waits(self, proxy: FaultyProxy, repository: str) -> None:
        proxy.on("", "", Answer(503, {"Retry-After": "50"}), times=None)
        registries = Registries(environ={})
        store = registries.repository(Reference.parse(f"{proxy.host}/{repository}"))
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                store.missing([DATA])
            except NetworkError as error:
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not proxy.requests:
            time.sleep(0.01)
        registries.close()
        thread.join(10)
        assert not thread.is_alive()
        assert failed

    def test_a_registry_that_restarts_is_waited_for(self, client: Client) -> None:
        with Registry() as server:
            store = client.repository(server.host, "a/b", retries=8)
            put(store, DATA, b"data")
            server.stop()
            threading.Timer(0.3, server.start).start()
            assert store.missing([DATA]) == set()


class TestDeadHosts:
    def test_a_port_that_nobody_listens_on(self, client: Client) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(Unreachable, match=f"{host}: connection refused") as caught:
                client.repository(host, "a/b").missing([DATA])
        assert "port" in caught.value.hint

    def test_a_name_that_does_not_resolve(self, client: Client) -> None:
        with pytest.raises(Unreachable, match="does not resolve") as caught:
            client.repository("registry.invalid", "a/b").missing([DATA])
        assert "DNS" in caught.value.hint

    def test_many_images_of_a_dead_host_fail_together(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
            host = f"127.0.0.1:{silent.getsockname()[1]}"
            registries = client.registries(read_timeout_s=0.5, connect_timeout_s=0.5)
            failed: list[str] = []

            def ask(number: int) -> None:
                reference = Reference.parse(f"{host}/team/app{number}:1")
                try:
                    registries.repository(reference).resolve(reference)
                except NetworkError as error:
                    failed.append(error.message)

            threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
            started = time.monotonic()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert time.monotonic() - started < 15
            assert len(failed) == 16
            assert all("no byte came" in message for message in failed)

    def test_silence(self, proxy: FaultyProxy, repository: str, client: Client) -> None:
        delay = Delay(seconds=20)
        proxy.on("", "", delay, times=None)
        store = client.repository(proxy.host, repository, read_timeout_s=0.2, retries=1)
        with pytest.raises(NetworkError, match="no byte came within the time limit, 2 times"):
            store.missing([DATA])
        delay.go_on.set()

    def test_something_that_speaks_no_http(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve() -> None:
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    with connection:
                        connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
                        connection.recv(1000)

            threading.Thread(target=serve, daemon=True).start()
            host = f"127.0.0.1:{listener.getsockname()[1]}"
            with pytest.raises(NetworkError, match=host):
                client.repository(host, "a/b", plain_http=True).missing([DATA])


class TestQuotas:
    def test_it_is_read_from_every_answer(self, proxy: FaultyProxy, store: Repository) -> None:
        headers = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "20;w=21600"}
        assert [store.host.quota] == [None]
        proxy.on("HEAD", "", SetHeaders(headers))
        store.missing([DATA])
        assert store.host.quota == Quota(100, 20, 21600)
        store.missing([DATA])
        assert store.host.quota == Quota(100, 20, 21600)

    @pytest.mark.parametrize(
        ("answer", "reset_s"),
        [
            (Answer(429, {"Retry-After": "7200"}), 7200),
            (Answer(429, {"ratelimit-remaining": "0;w=21600"}), 21600),
            (
                Answer(
                    429,
                    {},
                    b'{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your '
                    b'pull rate limit. You may increase the limit by authenticating."}]}',
                ),
                None,
            ),
        ],
        ids=["wait of hours", "nothing left", "in words"],
    )
    def test_a_spent_quota_ends_it_at_once(
        self, proxy: FaultyProxy, store: Repository, answer: Answer, reset_s: float | None
    ) -> None:
        proxy.on("GET", "", answer, times=None)
        with pytest.raises(RateLimited) as caught:
            store.open(DATA)
        assert caught.value.reset_s == reset_s
        assert proxy.count("GET") == 1

    def test_a_short_pause_is_waited_for(self, proxy: FaultyProxy, store: Repository) -> None:
        proxy.on("GET", "", Answer(429, {"Retry-After": "0"}), times=2)
        assert read_verified(store.open(DATA), DATA) == b"data"

    def test_one_that_does_not_end_is_a_limit(self, proxy: FaultyProxy, store: Repository) -> None:
        proxy.on("GET", "", Answer(429), times=None)
        with pytest.raises(RateLimited):
            store.open(DATA)


class TestHostileAnswers:
    def test_signatures_are_in_no_traceback(self, proxy: FaultyProxy, store: Repository) -> None:
        location = "http://127.0.0.1:1/bucket?X-Signature=s3cret"
        proxy.on("GET", "/blobs/", Answer(307, {"Location": location}), times=None)
        with pytest.raises(NetworkError) as caught:
            store.open(DATA)
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))

    def test_control_characters_do_not_reach_the_terminal(
        self, proxy: FaultyProxy, store: Repository
    ) -> None:
        body = b'{"errors":[{"code":"X\\u001b[2J","message":"\\u001b]0;owned\\u0007 \\r\\n no"}]}'
        proxy.on("GET", "", Answer(403, content=body))
        with pytest.raises(AccessDenied) as caught:
            store.open(DATA)
        assert caught.value.message.isprintable()

    def test_an_endless_error_is_not_read(self, proxy: FaultyProxy, store: Repository) -> None:
        proxy.on("GET", "", Answer(403, content=b"x" * 50_000_000))
        with pytest.raises(AccessDenied) as caught:
            store.open(DATA)
        assert len(caught.value.message) < 1000
        assert proxy.requests[-1].n_bytes_out < 50_000_000

    def test_cookies_are_not_kept(self, proxy: FaultyProxy, store: Repository) -> None:
        proxy.on("", "", SetHeaders({"Set-Cookie": "sid=1; Path=/"}), times=None)
        store.missing([DATA])
        store.missing([DATA])
        assert all("cookie" not in seen.headers for seen in proxy.requests)

    def test_netrc_is_not_read(
        self,
        proxy: FaultyProxy,
        store: Repository,
        tmp_path: object,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = f"{tmp_path}/netrc"
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - shortest here
            file.write("machine 127.0.0.1 login ann password pw\n")
        monkeypatch.setenv("NETRC", path)
        store.missing([DATA])
        assert all("authorization" not in seen.headers for seen in proxy.requests)

    def test_a_warning_is_told_once(
        self, proxy: FaultyProxy, store: Repository, client: Client
    ) -> None:
        proxy.on("", "", SetHeaders({"Warning": '299 - "this registry moves"'}), times=None)
        store.missing([DATA])
        store.missing([DATA])
        told = [event for event in client.events if isinstance(event, Noted)]
        assert [event.message for event in told] == [f"{proxy.host} warns: this registry moves"]

    def test_a_401_of_another_host_is_not_answered(
        self, proxy: FaultyProxy, repository: str, client: Client
    ) -> None:
        ann = Credential("ann", "pw", origin="--username")
        with FaultyProxy(upstream=proxy.upstream) as elsewhere:
            elsewhere.on(
                "", "", Answer(401, {"WWW-Authenticate": 'Basic realm="give"'}), times=None
            )
            proxy.on("GET", "/blobs/", Redirect(elsewhere.url), times=None)
            store = client.repository(proxy.host, repository, credentials={proxy.host: ann})
            with pytest.raises(AccessDenied):
                store.open(DATA)
            assert elsewhere.count() == 1
            assert "authorization" not in elsewhere.requests[0].headers

    def test_a_token_server_of_somebody_else_gets_no_password(
        self, proxy: FaultyProxy, repository: str, client: Client
    ) -> None:
        ann = Credential("ann", "pw", origin="--username")
        challenge = 'Bearer realm="http://tokens.example/token",service="x"'
        proxy.on("", "", Answer(401, {"WWW-Authenticate": challenge}), times=None)
        store = client.repository(proxy.host, repository, credentials={proxy.host: ann})
        with pytest.raises(AccessDenied, match="belongs to somebody else") as caught:
            store.missing([DATA])
        assert "--trusted-host tokens.example" in caught.value.hint
        assert "user ann from --username" in caught.value.message

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{}", b'{"token":7}', b'{"token":"a\\nb"}', b"x" * 2_000_000]
    )
    def test_a_token_that_is_none_is_told(
        self, proxy: FaultyProxy, repository: str, client: Client, content: bytes
    ) -> None:
        challenge = f'Bearer realm="{proxy.url}/token",service="x"'
        proxy.on("", "/v2/", Answer(401, {"WWW-Authenticate": challenge}), times=None)
        proxy.on("GET", "/token", Answer(200, content=content), times=None)
        with pytest.raises(Exception, match=r"token|longer"):
            client.repository(proxy.host, repository).missing([DATA])

    @pytest.mark.parametrize("header", ["", "Bearer", 'Bearer realm=""', "Digest x=1", None])
    def test_a_challenge_that_asks_for_nothing_ends(
        self, proxy: FaultyProxy, repository: str, client: Client, header: str | None
    ) -> None:
        headers = {} if header is None else {"WWW-Authenticate": header}
        body = (
            b'{"errors":[{"code":"UNAUTHORIZED","message":"project p not found: '
            b'project p not found"}]}'
        )
        proxy.on("", "", Answer(401, headers, body), times=None)
        ann = {proxy.host: Credential("ann", "pw", origin="--username")}
        with pytest.raises(Exception, match="project p not found"):
            client.repository(proxy.host, repository, credentials=ann).missing([DATA])
        assert proxy.count() <= 6


class TestForwardProxies:
    """Names under .localhost are loopback; a proxy is only used for others."""

    def _resolve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # The forward proxy runs in this process and resolves names for us.
        real = socket.getaddrinfo

        def resolve(host: str, *args: object, **kwargs: object) -> object:
            name = "127.0.0.1" if host == "registry.example" else host
            return real(name, *args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    def test_http_goes_through_it(
        self, registry: Registry, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._resolve(monkeypatch)
        with ForwardProxy(user="ann", password="p@w") as forward:
            store = client.repository(
                f"registry.example:{registry.port}",
                "a/b",
                plain_http=True,
                environ={"http_proxy": forward.url_with_credentials.replace("p@w", "p%40w")},
            )
            put(store, DATA, b"data")
            assert forward.count("PUT") == 1
            assert forward.errors == []

    def test_https_and_its_token_server_are_tunnelled(
        self, authority: Authority, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._resolve(monkeypatch)
        certificate = authority.issue("registry.example")
        with (
            TokenServer(users={"ann": User("pw")}, certificate=certificate) as tokens,
            Registry(
                certificate=certificate,
                token_server=tokens,
                realm=tokens.realm.replace("127.0.0.1", "registry.example"),
            ) as server,
            ForwardProxy() as forward,
        ):
            host = f"registry.example:{server.port}"
            store = client.repository(
                host,
                "a/b",
                ca_files=ForHosts(str(authority.ca)),
                credentials={host: Credential("ann", "pw", origin="--username")},
                environ={"https_proxy": forward.url},
            )
            put(store, DATA, b"data")
            assert {seen.path for seen in forward.matching("CONNECT")} == {
                host,
                f"registry.example:{tokens.port}",
            }

    def test_a_proxy_that_wants_a_password_is_told(self, client: Client) -> None:
        with ForwardProxy(user="ann", password="pw") as forward:
            store = client.repository(
                "registry.example", "a/b", environ={"https_proxy": forward.url}
            )
            with pytest.raises(Unreachable, match="proxy") as caught:
                store.missing([DATA])
            assert "https_proxy" in caught.value.hint

    def test_a_dead_proxy_is_told_as_one(self, client: Client) -> None:
        environ = {"https_proxy": "http://127.0.0.1:1"}
        with pytest.raises(Unreachable, match="proxy"):
            client.repository("registry.example", "a/b", environ=environ).missing([DATA])

    def test_loopback_and_exceptions_go_straight(
        self, registry: Registry, repository: str, client: Client
    ) -> None:
        environ = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "0.0.0.0/8"}
        put(client.repository(registry.host, repository, environ=environ), DATA, b"data")
        name = f"0.0.0.0:{registry.port}"
        put(client.repository(name, repository, environ=environ, plain_http=True), DATA, b"data")

    def test_a_variable_that_is_no_proxy_is_named(self, client: Client) -> None:
        environ = {"https_proxy": "socks5://127.0.0.1:1"}
        with pytest.raises(InvalidInput, match="https_proxy"):
            client.repository("registry.example", "a/b", environ=environ).missing([DATA])


def test_connections_are_kept_and_shared(
    proxy: FaultyProxy, repository: str, client: Client
) -> None:
    registries = client.registries()
    for name in ("one", "two"):
        store = registries.repository(Reference.parse(f"{proxy.host}/{repository}/{name}:1"))
        root, _ = put_image(store)
        store.name(Reference.parse(f"{proxy.host}/{repository}/{name}:1"), root)
        read_verified(store.open(root), root)
    assert proxy.n_connections == 1


def test_a_body_that_is_left_is_not_waited_for(
    proxy: FaultyProxy, store: Repository, registry: Registry, repository: str, client: Client
) -> None:
    large = bytes(5_000_000)
    put(client.repository(registry.host, repository), blob(large), large)
    stall = Stall(after=100_000, seconds=30)
    proxy.on("GET", "/blobs/", stall)
    body = store.open(blob(large))
    body.read(10)
    started = time.monotonic()
    body.close()
    assert time.monotonic() - started < stall.seconds / 2
    stall.go_on.set()


class TestThinLines:
    def _accepting(self, listener: socket.socket, pause_s: float) -> threading.Thread:
        """A server that takes its time before it reads a body, and then answers 201."""

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as file:
                length = 0
                while (line := file.readline()) not in {b"\r\n", b""}:
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                time.sleep(pause_s)
                file.read(length)
                connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return thread

    def test_sending_may_take_longer_than_connecting(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = self._accepting(listener, pause_s=0.6)
            host = client.registries(connect_timeout_s=0.2, read_timeout_s=5, plain_http=True).host(
                f"127.0.0.1:{listener.getsockname()[1]}"
            )
            data = bytes(20_000_000)  # more than the buffers of a socket hold
            headers = {"Content-Length": str(len(data))}
            answer = host.ask(Request("PUT", "/v2/a/blobs/uploads/x", body=data, headers=headers))
            answer.close()
            assert answer.status == 201
            thread.join(5)

    def test_a_line_that_takes_nothing_any_more_is_dead(self, client: Client) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._accepting(listener, pause_s=3)
            host = client.registries(read_timeout_s=0.3, retries=0, plain_http=True).host(
                f"127.0.0.1:{listener.getsockname()[1]}"
            )
            data = bytes(20_000_000)
            headers = {"Content-Length": str(len(data))}
            started = time.monotonic()
            with pytest.raises(NetworkError):
                host.ask(Request("PUT", "/v2/a/blobs/uploads/x", body=data, headers=headers))
            assert time.monotonic() - started < 2


def test_the_internet_does_not_lead_into_a_private_network(
    proxy: FaultyProxy, store: Repository, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the registry were on a public address, and its storage said to be on a private one."""
    monkeypatch.setattr(AddressGuard, "own", lambda self, _: setattr(self, "_is_public", True))
    with FaultyProxy(upstream=registry.url) as inner:
        proxy.on("GET", "/blobs/", Redirect(inner.url), times=None)
        with pytest.raises(NetworkError, match=r"sends us to 127\.0\.0\.1") as caught:
            store.open(DATA)
        assert "--trusted-host" in caught.value.hint
        assert inner.requests == []
