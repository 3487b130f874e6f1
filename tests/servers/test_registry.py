"""The registries of the tests are registries."""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.images import Images, sized_image
from tests.servers.certificates import Authority
from tests.servers.object_store import ObjectStore
from tests.servers.registry import Registry
from tests.servers.tokens import TokenServer, User
from tests.upload import upload

pytestmark = pytest.mark.real

NAME = "registry.example/sized/app:1"


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def images() -> Images:
    return sized_image(1, 1000)


def test_it_counts_what_it_was_asked(new_registry: Registry, http: requests.Session) -> None:
    http.get(f"{new_registry.url}/v2/?one", timeout=5)
    http.get(f"{new_registry.url}/v2/?two", timeout=5)
    assert [line.status for line in new_registry.requests("GET", r"/v2/\?")] == [200, 200]
    new_registry.forget()
    assert new_registry.requests() == []


def test_it_keeps_port_and_content_over_a_restart(new_registry: Registry, images: Images) -> None:
    upload(new_registry.url, images)
    before = new_registry.host
    new_registry.kill()
    new_registry.start()
    assert new_registry.host == before
    assert new_registry.blobs() == images.digests()
    assert new_registry.tags("sized/app") == {"1": images.names[NAME]["digest"]}
    assert new_registry.repositories() == {"sized/app"}


def test_it_can_be_damaged(new_registry: Registry, images: Images) -> None:
    upload(new_registry.url, images)
    digest = images.children(images.names[NAME])[1]["digest"]
    new_registry.damage_blob(digest)
    assert new_registry.read_blob(digest) != images.blobs[digest]
    new_registry.remove_blob(digest)
    assert not new_registry.has_blob(digest)


def test_read_only_refuses_an_upload(http: requests.Session) -> None:
    with Registry(read_only=True) as registry:
        answer = http.post(f"{registry.url}/v2/a/b/blobs/uploads/", timeout=5)
        assert answer.status_code == 405


def test_a_password_file_asks_for_basic(http: requests.Session, images: Images) -> None:
    with Registry(users={"ann": "pass:w$rd"}) as registry:
        assert http.get(f"{registry.url}/v2/", timeout=5).status_code == 401
        upload(registry.url, images, auth=("ann", "pass:w$rd"))
        assert registry.has_blob(images.names[NAME]["digest"])


def test_tls_is_of_the_authority(authority: Authority, images: Images) -> None:
    with Registry(certificate=authority.issue()) as registry:
        upload(registry.url, images, ca=str(authority.ca))
        assert len(registry.requests("PUT", "/manifests/")) == 2
        with pytest.raises(requests.exceptions.SSLError):
            upload(registry.url, images)


def test_tls_asks_for_a_client_certificate(authority: Authority, http: requests.Session) -> None:
    client = authority.issue(client=True)
    with Registry(certificate=authority.issue(), client_ca=authority.ca) as registry:
        both = (str(client.certificate), str(client.key))
        answer = http.get(f"{registry.url}/v2/", cert=both, verify=str(authority.ca), timeout=5)
        assert answer.status_code == 200


def _token(http: requests.Session, tokens: TokenServer, *scopes: str, **given: str) -> str:
    asked = {"service": tokens.service, "scope": list(scopes)}
    auth = tuple(given.values()) if given else None
    answer = http.get(tokens.realm, params=asked, auth=auth, timeout=5)  # type: ignore[arg-type]  # a pair
    answer.raise_for_status()
    token: str = answer.json()["token"]
    return token


def test_tokens_open_what_the_user_may(http: requests.Session) -> None:
    ann = User("pw", {"team/*": ("pull", "push"), "public/*": ("pull",)})
    with (
        TokenServer(users={"ann": ann}, anonymous={"public/*": ("pull",)}) as tokens,
        Registry(token_server=tokens) as registry,
    ):
        address = f"{registry.url}/v2/team/app/blobs/uploads/"
        refused = http.post(address, timeout=5)
        # The order of the actions is not stable.
        assert re.search(
            'scope="repository:team/app:(pull,push|push,pull)"', refused.headers["WWW-Authenticate"]
        )
        scope = "repository:team/app:pull,push"
        token = _token(http, tokens, scope, user="ann", password="pw")
        bearer = {"Authorization": f"Bearer {token}"}
        assert http.post(address, headers=bearer, timeout=5).status_code == 202
        _token(http, tokens, scope)
        _token(http, tokens, "repository:public/x:pull,push", scope)
        assert [issued.access for issued in tokens.issued[1:]] == [
            (),
            ("repository:public/x:pull",),
        ]
        assert tokens.count("GET", "/token") == 3


def test_a_token_ends(http: requests.Session) -> None:
    with (
        TokenServer(users={"ann": User("pw")}, lifetime_s=-1, told_lifetime_s=300) as tokens,
        Registry(token_server=tokens) as registry,
    ):
        token = _token(http, tokens, "repository:a/b:pull", user="ann", password="pw")
        bearer = {"Authorization": f"Bearer {token}"}
        answer = http.get(f"{registry.url}/v2/a/b/tags/list", headers=bearer, timeout=5)
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_wrong_password_gets_no_token(http: requests.Session) -> None:
    with TokenServer(users={"ann": User("pw")}) as tokens:
        with pytest.raises(requests.HTTPError, match="401"):
            _token(http, tokens, user="ann", password="guessed")
        assert http.post(tokens.realm, timeout=5).status_code == 405


def test_identity_tokens_are_for_post(http: requests.Session) -> None:
    with TokenServer(
        users={"ann": User("pw")}, oauth2=True, refresh_tokens={"secret": "ann"}
    ) as tokens:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": "secret",
            "scope": "repository:a:pull",
        }
        assert http.post(tokens.realm, data=form, timeout=5).status_code == 200
        assert tokens.issued[-1].user == "ann"
        form["refresh_token"] = "guessed"
        assert http.post(tokens.realm, data=form, timeout=5).status_code == 401


def test_storage_of_another_origin_refuses_credentials(
    new_registry: Registry, images: Images, http: requests.Session
) -> None:
    upload(new_registry.url, images)
    digest = images.children(images.names[NAME])[1]["digest"]
    with ObjectStore(registry=new_registry) as store:
        address = store.address_of(f"/v2/a/blobs/{digest}")
        assert http.get(address, timeout=5).content == images.blobs[digest]
        part = http.get(address, headers={"Range": "bytes=5-"}, timeout=5)
        assert (part.status_code, part.content) == (206, images.blobs[digest][5:])
        assert http.get(address, auth=("ann", "pw"), timeout=5).status_code == 400
        assert http.get(address.partition("?")[0], timeout=5).status_code == 403
