"""Authentication against real registries: Basic, tokens, expiry, wrong passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.content import read_verified
from imgsync.errors import AccessDenied
from imgsync.model.reference import Reference
from imgsync.stores.registry.credential import Credential
from tests.images import Images
from tests.servers.faults import Answer
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.store_contract import blob, put, put_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.proxy import FaultyProxy
    from tests.stores.registry.conftest import Client

ANN = Credential("ann", "pw", origin="--username")


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    users = {"ann": User("pw"), "bob": User("pw", {"team/*": ("pull",)})}
    with TokenServer(users=users, anonymous={"public/*": ("pull",)}) as server:
        yield server


@pytest.fixture
def registry_with_tokens(tokens: TokenServer) -> Iterator[Registry]:
    with Registry(token_server=tokens) as server:
        yield server


@pytest.fixture(scope="module")
def registry_with_password() -> Iterator[Registry]:
    with Registry(users={"ann": "pw"}) as server:
        yield server


class TestBasic:
    def test_a_password_is_sent_where_it_is_asked_for(
        self, registry_with_password: Registry, client: Client
    ) -> None:
        server = registry_with_password
        store = client.repository(server.host, "team/app", credentials={server.host: ANN})
        root, _ = put_image(store)
        store.name(Reference.parse(f"{server.host}/team/app:1"), root)
        assert server.tags("team/app") == {"1": str(root.digest)}
        # The first request finds out that a password is wanted; no other goes without it.
        assert len([line for line in server.requests() if line.status == 401]) == 1

    def test_a_wrong_password_names_its_place_and_not_itself(
        self, registry_with_password: Registry, client: Client
    ) -> None:
        server = registry_with_password
        wrong = Credential("ann", "s3cret", origin="/etc/auth.json")
        store = client.repository(server.host, "team/app", credentials={server.host: wrong})
        with pytest.raises(AccessDenied) as caught:
            store.resolve(Reference.parse(f"{server.host}/team/app:1"))
        assert "user ann from /etc/auth.json" in caught.value.message
        assert "s3cret" not in repr(caught.value)

    def test_without_credentials_it_says_so(
        self, registry_with_password: Registry, client: Client
    ) -> None:
        server = registry_with_password
        store = client.repository(server.host, "team/app")
        with pytest.raises(AccessDenied) as caught:
            store.resolve(Reference.parse(f"{server.host}/team/app:1"))
        assert "without credentials" in caught.value.message
        assert caught.value.hint.startswith(f"imgsync login {server.host}")


class TestTokens:
    def test_one_token_serves_a_whole_push(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        store = client.repository(server.host, "team/app", credentials={server.host: ANN})
        assert len(store.missing([blob(b"1"), blob(b"2"), blob(b"3")])) == 3
        root, _ = put_image(store)
        store.name(Reference.parse(f"{server.host}/team/app:1"), root)
        assert [issued.user for issued in tokens.issued] == ["ann"]
        assert len([line for line in server.requests() if line.status == 401]) == 1

    def test_public_images_are_pulled_without_credentials(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        owner = client.repository(server.host, "public/app", credentials={server.host: ANN})
        root, _ = put_image(owner)
        tokens.issued.clear()
        store = client.repository(server.host, "public/app")
        reference = Reference.parse(f"{server.host}/public/app").at(root.digest)
        assert store.resolve(reference).descriptor == root
        assert [issued.user for issued in tokens.issued] == [None]

    def test_a_wrong_password_is_tried_once(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        wrong = Credential("ann", "s3cret", origin="/etc/auth.json")
        registries = client.registries(credentials={server.host: wrong})
        for name in ("team/one", "team/two", "team/three"):
            reference = Reference.parse(f"{server.host}/{name}:1")
            with pytest.raises(AccessDenied, match=r"user ann from /etc/auth\.json") as caught:
                registries.repository(reference).resolve(reference)
            assert "s3cret" not in caught.value.message
        assert tokens.count("GET", "/token") == 1

    def test_a_right_that_is_missing_is_said_once(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        bob = Credential("bob", "pw", origin="--username")
        store = client.repository(server.host, "team/app", credentials={server.host: bob})
        with pytest.raises(AccessDenied, match="user bob"):
            put(store, blob(b"data"), b"data")
        assert tokens.count("GET", "/token") == 1

    def test_an_ended_token_is_replaced_on_the_way(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        tokens.lifetime_s = -1
        tokens.told_lifetime_s = 3600  # a lie, which only the registry knows
        store = client.repository(server.host, "team/app", credentials={server.host: ANN})
        with pytest.raises(AccessDenied):
            store.missing([blob(b"data")])
        tokens.lifetime_s = 300
        put(store, blob(b"data"), b"data")
        assert read_verified(store.open(blob(b"data")), blob(b"data")) == b"data"

    def test_a_short_token_is_replaced_before_it_ends(
        self,
        registry_with_tokens: Registry,
        tokens: TokenServer,
        client: Client,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        server = registry_with_tokens
        store = client.repository(server.host, "team/app", credentials={server.host: ANN})
        store.missing([blob(b"data")])
        now = store.host.auth.clock()
        monkeypatch.setattr(store.host.auth, "clock", lambda: now + 241)
        server.forget()
        store.missing([blob(b"data")])
        assert tokens.count("GET", "/token") == 2
        assert [line.status for line in server.requests()] == [404]

    def test_an_identity_token_goes_by_post(self, client: Client) -> None:
        with (
            TokenServer(users={"ann": User("pw")}, oauth2=True) as tokens,
            Registry(token_server=tokens) as server,
        ):
            tokens.refresh_tokens = {"long-lived": "ann"}
            credential = Credential(identity_token="long-lived", origin="auth.json")
            store = client.repository(server.host, "a/b", credentials={server.host: credential})
            put(store, blob(b"data"), b"data")
            assert (tokens.count("POST"), tokens.count("GET")) == (1, 0)

    def test_where_post_is_not_known_a_password_still_does(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        both = Credential("ann", "pw", identity_token="unknown", origin="auth.json")
        store = client.repository(server.host, "a/b", credentials={server.host: both})
        put(store, blob(b"data"), b"data")
        assert (tokens.count("POST"), tokens.count("GET")) == (1, 1)

    @pytest.mark.parametrize("field", ["token", "access_token"])
    def test_either_name_of_the_token_is_read(self, field: str, client: Client) -> None:
        with (
            TokenServer(users={"ann": User("pw")}, field_name=field) as tokens,
            Registry(token_server=tokens) as server,
        ):
            store = client.repository(server.host, "a/b", credentials={server.host: ANN})
            put(store, blob(b"data"), b"data")

    def test_mounting_asks_for_both_repositories(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        registries = client.registries(credentials={server.host: ANN})
        first = registries.repository(Reference.parse(f"{server.host}/team/one"))
        second = registries.repository(Reference.parse(f"{server.host}/other/two"))
        put(first, blob(b"data"), b"data")
        assert second.mount(blob(b"data"), first)
        assert second.missing([blob(b"data")]) == set()
        assert tokens.issued[-1].scopes == (
            "repository:other/two:pull,push",
            "repository:team/one:pull",
        )

    def test_many_workers_log_in_once(
        self, registry_with_tokens: Registry, tokens: TokenServer, client: Client
    ) -> None:
        server = registry_with_tokens
        store = client.repository(server.host, "team/app", credentials={server.host: ANN})
        assert len(store.missing([blob(bytes([n])) for n in range(40)])) == 40
        assert tokens.count("GET", "/token") == 1
        assert len([line for line in server.requests() if line.status == 401]) == 1

    def test_a_token_server_that_fails_is_asked_again(
        self, tokens: TokenServer, client: Client, faulty: Callable[[Registry], FaultyProxy]
    ) -> None:
        with Registry(token_server=tokens) as behind:
            proxy = faulty(behind)
            tokens_proxy = faulty(behind)
            tokens_proxy.upstream = tokens.url
            tokens_proxy.on("GET", "/token", Answer(503), times=2)
            challenge = f'Bearer realm="{tokens_proxy.url}/token",service="imgsync-tests"'
            proxy.on("", "", Answer(401, {"WWW-Authenticate": challenge}))
            store = client.repository(proxy.host, "team/app", credentials={proxy.host: ANN})
            put(store, blob(b"data"), b"data")
            assert tokens_proxy.count("GET", "/token") == 3


def test_pulling_costs_what_the_design_says(
    registry_with_tokens: Registry, tokens: TokenServer, client: Client
) -> None:
    """A tag is a HEAD, each object a GET, and a host a 401."""
    server = registry_with_tokens
    images = Images()
    layer = images.layer({"a": b"1"})
    root = images.index([images.image([layer]), images.image([layer], platform="linux/arm64")])
    tokens.anonymous = {"*": ("pull", "push")}
    owner = client.repository(server.host, "public/app")
    for descriptor in images.closure(root):
        data = images.blobs[descriptor["digest"]]
        put(owner, blob(data, descriptor["mediaType"]), data)
    owner.name(
        Reference.parse(f"{server.host}/public/app:1"),
        owner.resolve(Reference.parse(f"{server.host}/public/app@{root['digest']}")).descriptor,
    )
    server.forget()
    store = client.repository(server.host, "public/app")
    found = store.resolve(Reference.parse(f"{server.host}/public/app:1")).descriptor
    assert str(found.digest) == root["digest"]
    n_objects = 0
    for descriptor in images.closure(root):
        data = images.blobs[descriptor["digest"]]
        read_verified(store.open(blob(data, descriptor["mediaType"])), blob(data))
        n_objects += 1
    assert len(server.requests()) == n_objects + 1 + 1
