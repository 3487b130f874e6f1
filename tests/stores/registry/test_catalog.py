"""The catalog of a registry: paged, guarded, and often not to be had."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.errors import AccessDenied, NetworkError, NotFound, RegistryUnavailable
from imgsync.model.reference import Reference
from imgsync.stores.registry.catalog import Catalog
from imgsync.stores.registry.credential import Credential
from tests.images import Images
from tests.servers.faults import Answer, SetHeaders
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.store_contract import put_image
from tests.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.proxy import FaultyProxy
    from tests.stores.registry.conftest import Client

pytestmark = pytest.mark.real


def _fill(server: Registry, *repositories: str) -> None:
    images = Images()
    image = images.image([])
    for name in repositories:
        images.name(f"registry.example/{name}:1", image)
    upload(server.url, images)


def _catalog(client: Client, host: str, **options: Any) -> Catalog:
    return Catalog(client.registries(**options).host(host))


def _page(*names: object) -> bytes:
    return json.dumps({"repositories": names}).encode()


def test_repositories_below_a_path(new_registry: Registry, client: Client) -> None:
    _fill(new_registry, "team/app", "team/db", "teams/app", "other")
    catalog = _catalog(client, new_registry.host)
    assert catalog.repositories() == ["other", "team/app", "team/db", "teams/app"]
    assert catalog.repositories("team/") == ["team/app", "team/db"]
    assert catalog.repositories("nothing/") == []


def test_pages_are_followed(
    new_registry: Registry, client: Client, faulty: Callable[[Registry], FaultyProxy]
) -> None:
    _fill(new_registry, "a", "b", "c")
    proxy = faulty(new_registry)
    link = {"Link": '</v2/_catalog?n=2&last=b>; rel="next"'}
    proxy.on("GET", "/_catalog\\?n=1000", Answer(200, link, _page("a", "b")))
    assert _catalog(client, proxy.host).repositories() == ["a", "b", "c"]
    assert proxy.count("GET", "_catalog") == 2


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("<http://elsewhere.example/v2/_catalog>", "on another server"),
        ("</v2/_catalog?n=1000>", "in a circle"),
    ],
)
def test_a_link_is_not_followed_anywhere(
    new_registry: Registry,
    client: Client,
    faulty: Callable[[Registry], FaultyProxy],
    link: str,
    problem: str,
) -> None:
    proxy = faulty(new_registry)
    proxy.on("GET", "/_catalog", SetHeaders({"Link": f'{link}; rel="next"'}))
    with pytest.raises(NetworkError, match=problem):
        _catalog(client, proxy.host).repositories()


def test_names_that_nobody_can_have_are_passed_over(
    new_registry: Registry, client: Client, faulty: Callable[[Registry], FaultyProxy]
) -> None:
    proxy = faulty(new_registry)
    names = ("../../etc", "Team/App", "a b", "ok/app", None, 7, "x?y", "a\nb")
    proxy.on("GET", "/_catalog", Answer(200, {}, _page(*names)))
    assert _catalog(client, proxy.host).repositories() == ["ok/app"]
    proxy.heal()
    proxy.on("GET", "/_catalog", Answer(200, {}, b'{"repositories": null}'))
    assert _catalog(client, proxy.host).repositories() == []


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (401, AccessDenied), (403, AccessDenied)]
)
def test_no_catalog_says_what_to_do(
    new_registry: Registry,
    client: Client,
    faulty: Callable[[Registry], FaultyProxy],
    status: int,
    error: type[NotFound | AccessDenied],
) -> None:
    proxy = faulty(new_registry)
    proxy.on("GET", "/_catalog", Answer(status), times=None)
    with pytest.raises(error) as caught:
        _catalog(client, proxy.host).repositories()
    assert "name repositories" in caught.value.hint


def test_a_registry_that_is_down_is_no_missing_catalog(
    new_registry: Registry, client: Client, faulty: Callable[[Registry], FaultyProxy]
) -> None:
    proxy = faulty(new_registry)
    proxy.on("GET", "/_catalog", Answer(503), times=None)
    with pytest.raises(RegistryUnavailable):
        _catalog(client, proxy.host, retries=0).repositories()


def test_a_token_for_the_catalog(client: Client) -> None:
    access = {"*": ("pull", "push", "*")}
    with (
        TokenServer(users={"ann": User("pw", access)}) as tokens,
        Registry(token_server=tokens) as server,
    ):
        credentials = {server.host: Credential("ann", "pw", origin="--username")}
        store = client.repository(server.host, "team/app", credentials=credentials)
        root, _ = put_image(store)
        store.name(Reference.parse(f"{server.host}/team/app:1"), root)
        catalog = _catalog(client, server.host, credentials=credentials)
        assert catalog.repositories() == ["team/app"]
        assert any("registry:catalog:*" in str(token.scopes) for token in tokens.issued)
