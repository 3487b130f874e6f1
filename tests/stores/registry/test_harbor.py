"""What Harbor does differently from other registries, against a stand-in of its face."""

from __future__ import annotations

import io
import random
import secrets
import time
from typing import TYPE_CHECKING

import pytest

from imgsync.content import VerifiedStream, read_verified
from imgsync.errors import AccessDenied, NotFound, Refused
from imgsync.model.reference import Reference
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.login import Proof, prove
from imgsync.stores.registry.options import ForHosts
from imgsync.stores.registry.upload import UploadBroken
from tests.servers.harbor import ADMIN_PASSWORD, PASSWORD, Account, AnyHarbor, Harbor
from tests.store_contract import DestinationContract, blob, put, put_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imgsync.stores.registry.repository import Repository
    from tests.servers.certificates import Authority
    from tests.stores.registry.conftest import Client

ANN = Credential("ann", PASSWORD, origin="--username")
BOB = Credential("bob", PASSWORD, origin="--username")
LARGE = random.Random(4).randbytes(1_000_000)


@pytest.fixture
def harbor(harbors: Callable[[Mapping[str, Account]], AnyHarbor]) -> Iterator[AnyHarbor]:
    with harbors({"ann": Account(PASSWORD), "bob": Account(PASSWORD)}) as server:
        server.project("team", members={"ann": "developer", "bob": "guest"})
        server.project("open", public=True)
        yield server


def repository(client: Client, harbor: AnyHarbor, name: str, who: Credential | None) -> Repository:
    credentials = {} if who is None else {harbor.host: who}
    return client.repository(harbor.host, name, credentials=credentials)


def refuse_tokens(stand_in: Harbor, for_s: float = 0) -> None:
    """Those until now, as if the project had been made anew a minute from now."""
    stand_in.state.projects["team"].created = time.time() + 60 + for_s


class TestContract(DestinationContract):
    @pytest.fixture
    def reference(self, harbor: AnyHarbor) -> Reference:
        # A Harbor keeps what a repository has, also when its project was deleted and made anew.
        return Reference.parse(f"{harbor.host}/team/{secrets.token_hex(4)}:1")

    @pytest.fixture
    def store(self, harbor: AnyHarbor, client: Client, reference: Reference) -> Repository:
        return repository(client, harbor, reference.repository, ANN)


def test_one_token_serves_a_project(harbor: AnyHarbor, client: Client) -> None:
    registries = client.registries(credentials={harbor.host: ANN})
    for name in ("team/one", "team/two", "team/three"):
        store = registries.repository(Reference.parse(f"{harbor.host}/{name}:1"))
        put(store, blob(LARGE), LARGE)
    assert harbor.count("GET", "/service/token") == 1
    assert registries.host(harbor.host).auth.is_harbor


def test_a_stale_token_is_replaced_although_the_challenge_says_basic(
    stand_in: Harbor, client: Client
) -> None:
    store = repository(client, stand_in, "team/app", ANN)
    store.missing([blob(LARGE)])
    # The project was deleted and made anew: tokens from before do not count any more.
    refuse_tokens(stand_in)
    stand_in.forget()
    put(store, blob(LARGE), LARGE)
    assert len(stand_in.issued) == 2
    assert all(
        "basic" not in seen.headers["authorization"].lower() for seen in stand_in.requests[2:]
    )


def test_a_token_that_ends_while_a_blob_is_sent(stand_in: Harbor, client: Client) -> None:
    store = repository(client, stand_in, "team/app", ANN)
    store.missing([blob(LARGE)])
    upload = store._uploads.new(blob(LARGE))
    upload.begin()
    refuse_tokens(stand_in)
    with pytest.raises(UploadBroken, match="the token ended"):
        upload.send(VerifiedStream(io.BytesIO(LARGE), blob(LARGE)))
    put(store, blob(LARGE), LARGE)
    assert len(stand_in.issued) == 2


def test_where_no_token_does_the_password_may(stand_in: Harbor, client: Client) -> None:
    store = repository(client, stand_in, "team/app", ANN)
    refuse_tokens(stand_in, for_s=3600)
    assert store.missing([blob(LARGE)]) == {blob(LARGE).digest}


def test_a_missing_project_is_named(harbor: AnyHarbor, client: Client) -> None:
    for who in (ANN, None):
        store = repository(client, harbor, "absent/app", who)
        with pytest.raises(NotFound, match="project absent not found") as caught:
            put(store, blob(LARGE), LARGE)
        assert "create the project" in caught.value.hint
        assert caught.value.message.count("not found") == 1
    assert len(harbor.requests) < 12


def test_a_wrong_password_is_told_and_not_tried_often(harbor: AnyHarbor, client: Client) -> None:
    wrong = Credential("ann", "s3cret", origin="/etc/auth.json")
    store = repository(client, harbor, "team/app", wrong)
    with pytest.raises(AccessDenied, match=r"user ann from /etc/auth\.json") as caught:
        store.missing([blob(LARGE)])
    assert "s3cret" not in repr(caught.value)
    # Once for a token, once without; what is asked afterwards does not try again.
    if isinstance(harbor, Harbor):
        assert len(harbor.failed_logins) == 2


def test_a_guest_may_not_push(harbor: AnyHarbor, client: Client) -> None:
    store = repository(client, harbor, "team/app", BOB)
    assert store.missing([blob(LARGE)]) == {blob(LARGE).digest}
    with pytest.raises(AccessDenied, match="user bob from --username"):
        put(store, blob(LARGE), LARGE)


def test_a_public_project_needs_a_token_too(harbor: AnyHarbor, client: Client) -> None:
    admin = repository(client, harbor, "open/app", Credential("admin", ADMIN_PASSWORD))
    root, _ = put_image(admin)
    admin.name(Reference.parse(f"{harbor.host}/open/app:1"), root)
    anyone = repository(client, harbor, "open/app", None)
    assert anyone.resolve(Reference.parse(f"{harbor.host}/open/app:1")).descriptor == root
    assert read_verified(anyone.open(root), root)


def test_a_login_is_proved_by_a_token_without_a_scope(harbor: AnyHarbor, client: Client) -> None:
    host = client.registries(credentials={harbor.host: ANN}).host(harbor.host)
    assert prove(host) is Proof.PROVED
    wrong = Credential("ann", "wrong", origin="--username")
    with pytest.raises(AccessDenied):
        prove(client.registries(credentials={harbor.host: wrong}).host(harbor.host))


def test_robots_have_odd_names(harbor: AnyHarbor, client: Client) -> None:
    harbor.robot("robot$team+ci", "Secret12", {"team": ("pull", "push")})
    robot = Credential("robot$team+ci", "Secret12", origin="IMGSYNC_USERNAME")
    put(repository(client, harbor, "team/app", robot), blob(LARGE), LARGE)
    eaten = Credential("robot+ci", "Secret12", origin="IMGSYNC_USERNAME")
    with pytest.raises(AccessDenied) as caught:
        repository(client, harbor, "team/app", eaten).missing([blob(LARGE)])
    assert "did a shell eat the $?" in caught.value.hint


def test_no_cookie_is_sent_back(harbor: AnyHarbor, client: Client) -> None:
    store = repository(client, harbor, "team/app", ANN)
    root, _ = put_image(store)
    store.name(Reference.parse(f"{harbor.host}/team/app:1"), root)
    assert all("cookie" not in seen.headers for seen in harbor.requests)


def test_sizes_are_recorded_as_they_are(harbor: AnyHarbor, client: Client) -> None:
    store = repository(client, harbor, "team/app", ANN)
    put(store, blob(LARGE), LARGE)
    put(store, blob(b""), b"")
    assert harbor.used("team") == len(LARGE)
    other = repository(client, harbor, "team/app", ANN)
    other.host.upload_ways.no_whole()
    put(other, blob(LARGE[1:]), LARGE[1:])
    assert harbor.used("team") == 2 * len(LARGE) - 1
    other.host.upload_ways.too_large(1_200_000)
    put(other, blob(LARGE[2:]), LARGE[2:])
    assert harbor.used("team") == 3 * len(LARGE) - 3


def test_a_name_without_a_project_is_told(harbor: AnyHarbor, client: Client) -> None:
    with pytest.raises(Refused) as caught:
        put(repository(client, harbor, "app", ANN), blob(LARGE), LARGE)
    assert caught.value.hint == "Harbor needs PROJECT/NAME"


def test_a_realm_that_says_http_is_asked_by_https(authority: Authority, client: Client) -> None:
    with Harbor(
        users={"ann": Account(PASSWORD)}, certificate=authority.issue(), external_scheme="http"
    ) as harbor:
        harbor.project("team", members={"ann": "developer"})
        store = client.repository(
            harbor.host,
            "team/app",
            ca_files=ForHosts(str(authority.ca)),
            credentials={harbor.host: ANN},
        )
        put(store, blob(LARGE), LARGE)


def test_port_80_leads_to_https_before_a_password_is_sent(
    authority: Authority, client: Client
) -> None:
    with Harbor(
        users={"ann": Account(PASSWORD)}, certificate=authority.issue(), redirect_http=True
    ) as harbor:
        harbor.project("team", members={"ann": "developer"})
        host = harbor.http_url.removeprefix("http://")
        store = client.repository(
            host,
            "team/app",
            plain_http=True,
            ca_files=ForHosts(str(authority.ca)),
            credentials={host: ANN},
        )
        put(store, blob(LARGE), LARGE)
        assert read_verified(store.open(blob(LARGE)), blob(LARGE)) == LARGE
