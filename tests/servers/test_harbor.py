"""The stand-in says what Harbor's source says, word for word."""

import hashlib
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.images import OCI_INDEX, OCI_MANIFEST, Images, digest_of, sized_image
from tests.servers.certificates import Authority
from tests.servers.harbor import (
    ADMIN,
    ADMIN_PASSWORD,
    PASSWORD,
    Account,
    AnyHarbor,
    Harbor,
    ImmutableRule,
)
from tests.servers.registry import Registry
from tests.upload import UploadRefused, upload

pytestmark = pytest.mark.real

ANN = ("ann", PASSWORD)
ADMINISTRATOR = (ADMIN, ADMIN_PASSWORD)
NAME = "registry.example/team/app:1"

Harbors = Callable[[Mapping[str, Account]], AnyHarbor]


@pytest.fixture
def harbor(harbors: Harbors) -> Iterator[AnyHarbor]:
    with harbors({"ann": Account(PASSWORD), "bob": Account(PASSWORD)}) as harbor:
        harbor.project("team", members={"ann": "developer"})
        yield harbor


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        yield session


@pytest.fixture
def images() -> Images:
    return sized_image(1, 1000, name=NAME)


def _get(http: requests.Session, url: str, **given: Any) -> requests.Response:
    return http.get(url, timeout=5, allow_redirects=False, **given)


def _token(
    http: requests.Session, harbor: AnyHarbor, *scopes: str, auth: tuple[str, str] | None = None
) -> requests.Response:
    query = urlencode({"service": "harbor-registry", "scope": scopes}, doseq=True)
    return _get(http, f"{harbor.url}/service/token?{query}", auth=auth)


def _bearer(answer: requests.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def _claims(answer: requests.Response) -> dict[str, Any]:
    text = answer.json()["token"].split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


def _error(answer: requests.Response) -> tuple[int, str, str]:
    (error,) = answer.json()["errors"]
    assert set(error) == {"code", "message"}
    return answer.status_code, error["code"], error["message"]


# Challenges.


def test_the_scheme_of_a_challenge_is_the_configured_one(
    stand_in: Harbor, http: requests.Session
) -> None:
    stand_in.external_scheme = "https"
    answer = _get(http, f"{stand_in.url}/v2/team/app/manifests/1")
    realm = f'Bearer realm="https://{stand_in.host}/service/token"'
    assert answer.headers["Www-Authenticate"].startswith(realm)


def test_without_credentials_the_challenge_is_bearer(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    answer = _get(http, f"{harbor.url}/v2/team/app/manifests/1")
    assert answer.status_code == 401
    assert answer.headers["Www-Authenticate"] == (
        f'Bearer realm="http://{harbor.host}/service/token",service="harbor-registry",'
        'scope="repository:team/app:pull"'
    )
    answer = http.post(f"{harbor.url}/v2/team/app/blobs/uploads/", timeout=5)
    assert 'scope="repository:team/app:pull,push"' in answer.headers["Www-Authenticate"]


def test_with_any_credentials_that_do_not_do_the_challenge_is_basic(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    url = f"{harbor.url}/v2/team/app/manifests/1"
    for headers in ({"Authorization": "Bearer expired"}, {"Authorization": "Basic d3Jvbmc6"}):
        answer = _get(http, url, headers=headers)
        assert answer.headers["Www-Authenticate"] == 'Basic realm="harbor"'
        text = "unauthorized to access repository: team/app, action: pull"
        assert _error(answer) == (401, "UNAUTHORIZED", f"{text}: {text}")


def test_a_missing_project_has_an_empty_challenge(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    answer = http.post(f"{harbor.url}/v2/none/app/blobs/uploads/", auth=ANN, timeout=5)
    assert answer.headers["Www-Authenticate"] == ""
    assert _error(answer)[2] == "project none not found: project none not found"


def test_a_repository_without_a_project_is_refused(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    answer = _get(http, f"{harbor.url}/v2/app/manifests/1", auth=ANN)
    text = "bad request: invalid repository name: app"
    assert _error(answer) == (400, "BAD_REQUEST", text)


# Tokens.


def test_a_wrong_password_with_a_scope_gets_a_token_of_nobody(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    scope = "repository:team/app:pull"
    answer = _token(http, harbor, scope, auth=("ann", "guessed"))
    assert answer.status_code == 200
    assert "sub" not in _claims(answer)
    assert [access["actions"] for access in _claims(answer)["access"]] == [[]]
    refused = _get(http, f"{harbor.url}/v2/team/app/tags/list", headers=_bearer(answer))
    assert refused.status_code == 401
    assert _token(http, harbor, auth=("ann", "guessed")).status_code == 401
    assert _token(http, harbor, auth=ANN).status_code == 200


def test_a_token_grants_all_that_the_user_may_in_the_project(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    answer = _token(http, harbor, "repository:team/other:pull", auth=ANN)
    (access,) = _claims(answer)["access"]
    assert (access["name"], {*access["actions"]}) == ("team/other", {"pull", "push"})
    tags = _get(http, f"{harbor.url}/v2/team/app/tags/list", headers=_bearer(answer))
    assert tags.json() == {"name": "team/app", "tags": ["1"]}


def test_a_token_is_refused_by_a_much_younger_project(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    """Harbor gives clocks a minute of leeway."""
    url = f"{harbor.url}/v2/new/app/blobs/uploads/"
    harbor.project("new", members={"ann": "developer"})
    old = _bearer(_token(http, harbor, "repository:new/app:push", auth=ANN))
    assert http.post(url, headers=old, timeout=5).status_code == 202
    harbor.remove_project("new")
    harbor.project("new", members={"ann": "developer"})
    assert http.post(url, headers=old, timeout=5).status_code == 202
    if isinstance(harbor, Harbor):
        harbor.state.projects["new"].created += 61
        assert http.post(url, headers=old, timeout=5).status_code == 401


def test_a_token_ends(stand_in: Harbor, http: requests.Session) -> None:
    url = f"{stand_in.url}/v2/team/app/blobs/uploads/"
    stand_in.token_lifetime_s = 0.2
    short = _bearer(_token(http, stand_in, "repository:team/app:push", auth=ANN))
    assert http.post(url, headers=short, timeout=5).status_code == 202
    time.sleep(0.25)
    assert http.post(url, headers=short, timeout=5).status_code == 401


def test_the_token_service_knows_get_and_its_own_name(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    assert http.post(f"{harbor.url}/service/token", timeout=5).status_code == 405
    answer = _get(http, f"{harbor.url}/service/token?service=other")
    assert (answer.status_code, answer.text) == (400, "Unable to handle service: other")


def test_everyone_may_read_a_public_project_with_a_token(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.make_public("team")
    url = f"{harbor.url}/v2/team/app/tags/list"
    assert _get(http, url).status_code == 401
    token = _token(http, harbor, "repository:team/app:pull")
    assert _get(http, url, headers=_bearer(token)).status_code == 200


def test_the_base_asks_for_somebody(harbor: AnyHarbor, http: requests.Session) -> None:
    answer = _get(http, f"{harbor.url}/v2/")
    assert "scope" not in answer.headers["Www-Authenticate"]
    assert _get(http, f"{harbor.url}/v2/", auth=ANN).status_code == 200
    assert _get(http, f"{harbor.url}/v2/", auth=("ann", "guessed")).status_code == 401
    assert _get(http, f"{harbor.url}/v1/").status_code == 404


# Robots.


def test_robots_may_what_their_permissions_list(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    harbor.robot("robot$team+ci", "S:cret12", {"team": ("pull", "push")})
    upload(harbor.url, images, auth=("robot$team+ci", "S:cret12"))
    assert harbor.tags("team/app") == {"1": images.names[NAME]["digest"]}
    harbor.disable_robot("robot$team+ci")
    base = f"{harbor.url}/v2/"
    assert _get(http, base, auth=("robot$team+ci", "S:cret12")).status_code == 401
    if isinstance(harbor, Harbor):
        harbor.robot("robot$old", "Secret12", {"*": ("pull",)}, days=0)
        assert _get(http, base, auth=("robot$old", "Secret12")).status_code == 401


def test_only_system_robots_create_projects(harbor: AnyHarbor, http: requests.Session) -> None:
    harbor.robot("robot$team+ci", "Secret12", {"team": ("push",)})
    harbor.robot("robot$sys", "Secret12", {"*": ("push",)})
    answers = [
        _create(http, harbor, "by-robot", (name, "Secret12"))
        for name in ("robot$team+ci", "robot$sys")
    ]
    text = "Only system level robot can create project"
    assert _error(answers[0]) == (403, "FORBIDDEN", text)
    assert answers[1].status_code == 201
    assert harbor.owner("by-robot") == "admin"


# Content.


def test_images_go_in_and_come_out(
    harbor: AnyHarbor, http: requests.Session, fixture_images: Images
) -> None:
    upload(harbor.url, fixture_images, ["registry.example/team/app:1.0"], auth=ANN)
    root = fixture_images.names["registry.example/team/app:1.0"]["digest"]
    url = f"{harbor.url}/v2/team/app/manifests/1.0"
    answer = _get(http, url, auth=ANN, headers={"Accept": OCI_INDEX})
    assert answer.content == fixture_images.blobs[root]
    assert answer.headers["Docker-Content-Digest"] == root
    stored = fixture_images.digests("registry.example/team/app:1.0")
    assert harbor.used("team") == sum(len(fixture_images.blobs[digest]) for digest in stored)
    assert len(harbor.artifacts("team/app")) == 7
    if isinstance(harbor, Harbor):
        assert stored == harbor.registry.blobs()
        assert harbor.registry.tags("team/app") == {}


def test_what_is_unknown_is_not_found(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    base = f"{harbor.url}/v2/team/app"
    missing = "sha256:" + "0" * 64
    texts = {
        f"{base}/manifests/1": "repository team/app not found",
        f"{base}/manifests/{missing}": f"artifact team/app@{missing} not found",
        f"{base}/tags/list": "repository team/app not found",
        f"{base}/manifests/-": "invalid reference format",
    }
    for url, text in texts.items():
        assert _error(_get(http, url, auth=ANN)) == (404, "NOT_FOUND", text)
    assert http.head(f"{base}/blobs/{missing}", auth=ANN, timeout=5).status_code == 404
    upload(harbor.url, images, auth=ANN)
    text = "artifact team/app:2 not found"
    assert _error(_get(http, f"{base}/manifests/2", auth=ANN)) == (404, "NOT_FOUND", text)


def test_lists_and_referrers_know_no_head(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    base = f"{harbor.url}/v2/team/app"
    assert http.head(f"{base}/tags/list", auth=ANN, timeout=5).status_code == 405
    digest = images.names[NAME]["digest"]
    assert http.head(f"{base}/referrers/{digest}", auth=ANN, timeout=5).status_code == 404


def test_names_that_there_are_not(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    answer = http.post(f"{harbor.url}/v2/team/App/blobs/uploads/", auth=ANN, timeout=5)
    assert answer.headers["Www-Authenticate"] == ""
    assert _error(answer)[2].startswith("un-recognized request: POST /v2/team/App/blobs/uploads/")
    upload(harbor.url, images, auth=ANN)
    data = images.blobs[images.names[NAME]["digest"]]
    url = f"{harbor.url}/v2/team/app"
    content_type = {"Content-Type": OCI_MANIFEST}
    put = http.put(f"{url}/manifests/-x", data=data, auth=ANN, headers=content_type, timeout=5)
    assert _error(put) == (400, "BAD_REQUEST", "bad request: invalid tag name: -x")
    text = "the N must be a positive int type"
    assert _error(_get(http, f"{url}/tags/list?n=abc", auth=ANN)) == (400, "BAD_REQUEST", text)


def test_nobody_gets_a_token_for_the_catalog(harbor: AnyHarbor, http: requests.Session) -> None:
    url = f"{harbor.url}/v2/_catalog"
    for auth in (None, ANN):
        answer = _get(http, url, auth=auth)
        assert answer.status_code == 401
        assert answer.headers["Www-Authenticate"] == 'Basic realm="harbor"'
    assert _get(http, url, auth=ADMINISTRATOR).status_code == 200


def test_sha512_is_known_by_its_sha256(harbor: AnyHarbor, http: requests.Session) -> None:
    data = secrets.token_bytes(8)  # that no earlier run has left in a Harbor
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"
    base = f"{harbor.url}/v2/team/app/blobs"
    begun = http.post(f"{base}/uploads/", auth=ANN, timeout=5)
    address = f"{begun.headers['Location']}&digest={digest}"
    done = http.put(address, data=data, auth=ANN, timeout=5)
    assert (done.status_code, done.headers["Docker-Content-Digest"]) == (201, digest_of(data))
    assert http.head(f"{base}/{digest}", auth=ANN, timeout=5).status_code == 404
    assert http.head(f"{base}/{digest_of(data)}", auth=ANN, timeout=5).status_code == 200
    images = Images()
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 8}
    images.blobs[digest] = data
    images.name(NAME, images.artifact("application/x", b"", layers=[layer]))
    used = harbor.used("team")
    upload(harbor.url, images, auth=ANN)
    assert http.head(f"{base}/{digest}", auth=ANN, timeout=5).status_code == 200, (
        "a manifest has it"
    )
    others = sum(len(data) for known, data in images.blobs.items() if known != digest)
    # Harbor adds beforehand what may come, and counts again when it gets to it.
    assert harbor.used("team") >= used + others + 8, "it counts under both digests"


def test_tags_come_in_pages(harbor: AnyHarbor, http: requests.Session, images: Images) -> None:
    for tag in ("c", "a", "b"):
        images.names[f"registry.example/team/app:{tag}"] = images.names[NAME]
    upload(harbor.url, images, auth=ANN)
    first = _get(http, f"{harbor.url}/v2/team/app/tags/list?n=2", auth=ANN)
    assert first.json()["tags"] == ["1", "a"]
    assert first.headers["Link"] == '</v2/team/app/tags/list?last=a&n=2>; rel="next"'
    rest = _get(http, f"{harbor.url}/v2/team/app/tags/list?last=a&n=2", auth=ANN)
    assert rest.json()["tags"] == ["b", "c"]
    assert "Link" not in rest.headers


def test_referrers_are_listed_and_filtered(
    harbor: AnyHarbor, http: requests.Session, fixture_images: Images
) -> None:
    images = Images(blobs=fixture_images.blobs, unnamed=fixture_images.unnamed[:1])
    upload(harbor.url, images, auth=ANN, referrers=False)
    subject = fixture_images.names["registry.example/team/app:1.0"]["digest"]
    url = f"{harbor.url}/v2/team/app/referrers/{subject}"
    answer = _get(http, url, auth=ANN)
    assert answer.headers["Content-Type"] == OCI_INDEX
    (entry,) = answer.json()["manifests"]
    assert entry["digest"] == fixture_images.unnamed[0][0]["digest"]
    assert entry["artifactType"] == "application/spdx+json"
    other = _get(http, f"{url}?artifactType=application/other", auth=ANN)
    assert (other.json()["manifests"], other.headers["OCI-Filters-Applied"]) == ([], "artifactType")
    assert other.headers["X-Total-Count"] == "1", "of all types"
    unknown = _get(http, f"{harbor.url}/v2/team/app/referrers/sha256:{'1' * 64}", auth=ANN)
    assert (unknown.status_code, unknown.json()["manifests"]) == (200, [])


def test_a_signature_of_cosign_is_a_referrer_too(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    """By its tag: its manifest has no subject."""
    images.cosign_signature(images.names[NAME], "registry.example/team/app")
    upload(harbor.url, images, auth=ANN)
    digest = images.names[NAME]["digest"]
    answer = _get(http, f"{harbor.url}/v2/team/app/referrers/{digest}", auth=ANN)
    (entry,) = answer.json()["manifests"]
    assert entry["artifactType"] == "application/vnd.oci.image.config.v1+json"
    tags = _get(http, f"{harbor.url}/v2/team/app/tags/list", auth=ANN).json()["tags"]
    assert tags == ["1", f"{digest.replace(':', '-')}.sig"]


def test_children_of_an_index_stay(harbor: AnyHarbor, http: requests.Session) -> None:
    images = sized_image(1, 1000, name=NAME, platforms=("linux/amd64", "linux/arm64"))
    upload(harbor.url, images, auth=ANN)
    index = images.names[NAME]["digest"]
    child = images.children(images.names[NAME])[0]["digest"]
    url = f"{harbor.url}/v2/team/app/manifests/"
    answer = http.delete(url + child, auth=ADMINISTRATOR, timeout=5)
    assert _error(answer)[:2] == (412, "VIOLATE_FOREIGN_KEY_CONSTRAINT")
    assert http.delete(url + index, auth=ADMINISTRATOR, timeout=5).status_code == 202


def test_core_believes_the_length_of_the_last_request(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    used = [0]
    for number, last in enumerate([b"", b"9"]):
        data = f"0123456{number}".encode()
        begun = http.post(f"{harbor.url}/v2/team/app/blobs/uploads/", auth=ANN, timeout=5)
        patched = http.patch(begun.headers["Location"], data=data, auth=ANN, timeout=5)
        digest = digest_of(data + last)
        address = f"{patched.headers['Location']}&digest={digest}"
        assert http.put(address, data=last, auth=ANN, timeout=5).status_code == 201
        used.append(harbor.used("team"))
    assert used == [0, 8, 9]


def test_a_mount_needs_the_right_to_read_where_it_comes_from(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.project("other", members={"ann": "developer", "bob": "developer"})
    layer = images.children(images.names[NAME])[1]["digest"]
    mount = f"{harbor.url}/v2/other/app/blobs/uploads/?mount={layer}&from="
    statuses = []
    for source, auth in (("team/app", ("bob", PASSWORD)), ("app", ANN), ("team/app", ANN)):
        statuses.append(http.post(mount + source, auth=auth, timeout=5).status_code)
    assert statuses == [401, 400, 201]
    assert harbor.used("other") == len(images.blobs[layer])


def test_deleting_is_by_digest_and_by_right(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    url = f"{harbor.url}/v2/team/app/manifests/"
    digest = images.names[NAME]["digest"]
    assert http.delete(url + digest, auth=ANN, timeout=5).status_code == 401
    answer = http.delete(f"{url}1", auth=ADMINISTRATOR, timeout=5)
    assert _error(answer)[:2] == (400, "UNSUPPORTED")
    robot = ("robot$team+all", "Secret12")
    harbor.robot(*robot, {"team": ("pull", "push", "delete")})
    tag = f"{harbor.url}/api/v2.0/projects/team/repositories/app/artifacts/{digest}/tags/1"
    assert http.delete(tag, auth=robot, timeout=5).status_code == 403, "it needs tag:delete"
    assert http.delete(url + digest, auth=ADMINISTRATOR, timeout=5).status_code == 202
    assert harbor.tags("team/app") == {}


# Refusals.


def _refused(harbor: AnyHarbor, images: Images, auth: tuple[str, str] = ANN) -> str:
    with pytest.raises(UploadRefused) as caught:
        upload(harbor.url, images, auth=auth)
    return str(caught.value)


def test_a_quota_is_kept(harbor: AnyHarbor, http: requests.Session) -> None:
    harbor.limit("team", 10 * 2**20)
    images = sized_image(1, 11 * 2**20, name=NAME)
    text = _refused(harbor, images)
    assert '403 {"errors":[{"code":"DENIED"' in text
    assert "adding 11.0 MiB of storage resource, which when updated to current usage of" in text
    assert "will exceed the configured upper limit of 10.0 MiB." in text
    harbor.limit("team", -1)
    upload(harbor.url, sized_image(1, 1000, name=NAME), auth=ANN)
    url = f"{harbor.url}/v2/team/app/blobs/uploads/"
    statuses = []
    for limit in (harbor.used("team"), harbor.used("team") - 1):
        harbor.limit("team", limit)
        statuses.append(http.post(url, auth=ANN, timeout=5).status_code)
    assert statuses == [202, 403], "an upload begins until the project is over its limit"


def test_an_immutable_tag_is_not_written_again(harbor: AnyHarbor, images: Images) -> None:
    harbor.project("rules", members={"ann": "developer"}, immutable=[ImmutableRule("app*", "1")])
    images.names["registry.example/rules/app:1"] = images.names.pop(NAME)
    upload(harbor.url, images, auth=ANN)
    text = _refused(harbor, images)
    assert "412" in text
    assert "Failed to process request due to 'app:1' configured as immutable." in text


def test_read_only_refuses_writes_and_lets_reads_through(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.read_only()
    assert "The system is in read only mode. Any modification is prohibited." in _refused(
        harbor, images
    )
    assert _get(http, f"{harbor.url}/v2/team/app/tags/list", auth=ANN).status_code == 200


def test_a_blob_in_garbage_collection_is_not_there(
    stand_in: Harbor, http: requests.Session, images: Images
) -> None:
    upload(stand_in.url, images, auth=ANN)
    layer = images.children(images.names[NAME])[1]["digest"]
    url = f"{stand_in.url}/v2/team/app/blobs/{layer}"
    assert http.head(url, auth=ANN, timeout=5).status_code == 200
    stand_in.begin_gc(layer)
    assert http.head(url, auth=ANN, timeout=5).status_code == 404
    assert "the asking blob is in GC, mark it as non existing" in _refused(stand_in, images)
    stand_in.end_gc(layer)
    upload(stand_in.url, images, auth=ANN)
    assert stand_in.registry.has_blob(layer)


def test_policies_hold_back_what_is_not_signed(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.require_signatures("team")
    url = f"{harbor.url}/v2/team/app/manifests/1"
    accept = {"Accept": OCI_MANIFEST}
    text = "The image is not signed by cosign."
    assert _error(_get(http, url, auth=ANN, headers=accept)) == (
        412,
        "PROJECTPOLICYVIOLATION",
        text,
    )
    images.cosign_signature(images.names[NAME], "registry.example/team/app")
    upload(harbor.url, images, auth=ANN)
    assert _get(http, url, auth=ANN, headers=accept).status_code == 200


def test_a_manifest_has_a_limit(harbor: AnyHarbor, http: requests.Session) -> None:
    url = f"{harbor.url}/v2/team/app/manifests/large"
    data = b" " * (4 * 2**20 + 1)
    answer = http.put(url, data=data, auth=ANN, headers={"Content-Type": OCI_INDEX}, timeout=5)
    assert _error(answer)[:2] == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_an_incomplete_manifest_is_refused_by_the_registry(harbor: AnyHarbor) -> None:
    images = Images()
    child = images.image([images.layer({"a": b"a"})])
    whole = images.index([child])
    images.name(NAME, whole)
    del images.blobs[child["digest"]]
    with pytest.raises(KeyError):
        upload(harbor.url, images, auth=ANN)
    assert harbor.tags("team/app") == {}


def test_a_cookie_that_comes_back_is_refused(harbor: AnyHarbor, http: requests.Session) -> None:
    cookie = _get(http, f"{harbor.url}/v2/", auth=ANN).headers["Set-Cookie"].partition(";")[0]
    url = f"{harbor.url}/v2/team/app/blobs/uploads/"
    answer = http.post(url, auth=ANN, headers={"Cookie": cookie}, timeout=5)
    assert _error(answer) == (403, "FORBIDDEN", "CSRF token not found in request")


# Proxy-cache projects.


def test_a_proxy_cache_fetches_and_keeps(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    with Registry() as upstream:
        upload(upstream.url, images)
        harbor.project("cache", upstream=upstream.url, public=True)
        token = _bearer(_token(http, harbor, "repository:cache/team/app:pull"))
        headers = token | {"Accept": OCI_MANIFEST}
        url = f"{harbor.url}/v2/cache/team/app/manifests/1"
        root = images.names[NAME]["digest"]
        assert _get(http, url, headers=headers).content == images.blobs[root]
        tags = _get(http, f"{harbor.url}/v2/cache/team/app/tags/list", headers=token)
        assert tags.json() == {"name": "cache/team/app", "tags": ["1"]}
        upstream.stop()
        if isinstance(harbor, Harbor):  # a running one needs its time, and the layers
            assert _get(http, url, headers=headers).content == images.blobs[root]
        assert _get(http, f"{url}-missing", headers=headers).status_code == 404


def test_nobody_pushes_into_a_proxy_cache(
    harbor: AnyHarbor, images: Images, registry: Registry
) -> None:
    harbor.project("cache", upstream=registry.url, members={"ann": "admin"})
    images.names["registry.example/cache/app:1"] = images.names.pop(NAME)
    text = _refused(harbor, images)
    assert "denied: can not push artifact to a proxy project: cache" in text


def test_single_names_of_docker_hub_are_redirected(
    stand_in: Harbor, http: requests.Session
) -> None:
    stand_in.project("hub", upstream="http://127.0.0.1:1", upstream_is_docker_hub=True, public=True)
    answer = _get(http, f"{stand_in.url}/v2/hub/redis/manifests/7", auth=ANN)
    assert answer.status_code == 301
    assert answer.headers["Location"] == "/v2/hub/library/redis/manifests/7"


# The API.


def _create(
    http: requests.Session, harbor: AnyHarbor, name: str, auth: tuple[str, str], **more: Any
) -> requests.Response:
    wanted = {"project_name": name, "metadata": {"public": "false"}, **more}
    return http.post(f"{harbor.url}/api/v2.0/projects", json=wanted, auth=auth, timeout=5)


def test_projects_are_created_once(harbor: AnyHarbor, http: requests.Session) -> None:
    location = _create(http, harbor, "new", ANN).headers["Location"]
    assert re.fullmatch(r"/api/v2.0/projects/\d+", location)
    assert _error(_create(http, harbor, "new", ANN))[:2] == (409, "CONFLICT")
    assert _error(_create(http, harbor, "Upper", ANN))[:2] == (400, "BAD_REQUEST")
    assert _create(http, harbor, "by", ("ann", "guessed")).status_code == 401
    assert _create(http, harbor, "by", ANN, metadata={"public": True}).status_code == 422
    harbor.restrict_creation()
    text = "Only system admin can create project"
    assert _error(_create(http, harbor, "by", ANN)) == (403, "FORBIDDEN", text)
    assert _create(http, harbor, "by", ADMINISTRATOR, storage_limit=5).status_code == 201
    assert harbor.limit_of("by") == 5


def test_only_members_see_a_project(harbor: AnyHarbor, http: requests.Session) -> None:
    projects = f"{harbor.url}/api/v2.0/projects"
    statuses = [
        _get(http, f"{projects}/team", auth=auth).status_code
        for auth in (ANN, ("bob", PASSWORD), None, ADMINISTRATOR)
    ]
    assert statuses == [200, 403, 401, 200]
    names = {"ann": ["library", "team"], "bob": ["library"]}
    for user, seen in names.items():
        found = _get(http, projects, auth=(user, PASSWORD)).json()
        assert [row["name"] for row in found] == seen
    for name, status in (("team", 200), ("none", 404)):
        answer = http.head(f"{projects}?project_name={name}", auth=("bob", PASSWORD), timeout=5)
        assert answer.status_code == status


def test_a_number_is_an_id_unless_said_otherwise(harbor: AnyHarbor, http: requests.Session) -> None:
    harbor.project("1", members={"ann": "admin"})
    url = f"{harbor.url}/api/v2.0/projects/1"
    assert _get(http, url, auth=ANN).json()["name"] == "library"
    by_name = {"X-Is-Resource-Name": "true"}
    assert _get(http, url, auth=ANN, headers=by_name).json()["name"] == "1"


def test_quotas_are_for_administrators(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    project = _get(http, f"{harbor.url}/api/v2.0/projects/team", auth=ANN).json()["project_id"]
    url = f"{harbor.url}/api/v2.0/quotas?reference=project&reference_id={project}"
    assert _error(_get(http, url, auth=ANN)) == (403, "FORBIDDEN", "ann")
    (quota,) = _get(http, url, auth=ADMINISTRATOR).json()
    assert (quota["hard"], quota["used"]) == ({"storage": -1}, {"storage": harbor.used("team")})
    summary = _get(http, f"{harbor.url}/api/v2.0/projects/team/summary", auth=ANN).json()
    assert summary["quota"]["used"]["storage"] == harbor.used("team")


def test_the_system_tells_more_to_those_it_knows(harbor: AnyHarbor, http: requests.Session) -> None:
    base = f"{harbor.url}/api"
    assert _get(http, f"{base}/version").json() == {"version": "v2.0"}
    assert _get(http, f"{base}/v2.0/ping").text == "Pong"
    assert "harbor_version" not in _get(http, f"{base}/v2.0/systeminfo").json()
    info = _get(http, f"{base}/v2.0/systeminfo", auth=ANN).json()
    assert info["read_only"] is False
    assert info["registry_url"] == info["external_url"].partition("://")[2]
    assert _get(http, f"{base}/v2.0/systeminfo/getcert").status_code == 404


def test_health_and_certificate(stand_in: Harbor, http: requests.Session) -> None:
    base = f"{stand_in.url}/api/v2.0"
    stand_in.api.healthy = False
    assert _get(http, f"{base}/health").json()["status"] == "unhealthy"
    stand_in.api.ca = b"-----BEGIN CERTIFICATE-----"
    assert _get(http, f"{base}/systeminfo/getcert").content == stand_in.api.ca


def test_repository_names_are_encoded_twice(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    images.names["registry.example/team/deep/app:1"] = images.names.pop(NAME)
    upload(harbor.url, images, auth=ANN)
    projects = f"{harbor.url}/api/v2.0/projects/team/repositories"
    twice = _get(http, f"{projects}/deep%252Fapp/artifacts", auth=ANN)
    assert [tag["name"] for row in twice.json() for tag in row["tags"]] == ["1"]
    assert _get(http, f"{projects}/deep%2Fapp/artifacts", auth=ANN).status_code == 404


def test_artifacts_are_copied_with_their_signatures(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    images.cosign_signature(images.names[NAME], "registry.example/team/app")
    upload(harbor.url, images, auth=ANN)
    harbor.project("prod", members={"ann": "maintainer"})
    digest = images.names[NAME]["digest"]
    target = f"{harbor.url}/api/v2.0/projects/prod/repositories/app/artifacts"
    copied = http.post(f"{target}?from=team/app@{digest}", auth=ANN, timeout=5)
    assert copied.status_code == 201
    tag = http.post(f"{target}/{digest}/tags", json={"name": "2"}, auth=ANN, timeout=5)
    assert tag.status_code == 201
    assert harbor.tags("prod/app")["2"] == digest
    tags = _get(http, f"{harbor.url}/v2/prod/app/tags/list", auth=ANN).json()["tags"]
    assert tags == ["1", "2", f"{digest.replace(':', '-')}.sig"]
    removed = http.delete(f"{target}/{digest}/tags/2", auth=ANN, timeout=5)
    assert removed.status_code == 200
    assert "2" not in harbor.tags("prod/app")


def test_lists_come_in_pages_of_ten(harbor: AnyHarbor, http: requests.Session) -> None:
    for number in range(11):
        harbor.project(f"p{number}", public=True)
    url = f"{harbor.url}/api/v2.0/projects"
    first = _get(http, url, auth=ANN)
    assert (len(first.json()), first.headers["X-Total-Count"]) == (10, "13")
    assert first.headers["Link"] == '</api/v2.0/projects?page=2&page_size=10>; rel="next"'
    assert len(_get(http, f"{url}?page=2", auth=ANN).json()) == 3
    assert _get(http, f"{url}?page_size=101", auth=ANN).status_code == 422


def test_immutable_rules_are_for_maintainers_and_what_comes_of_them_for_members(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    harbor.project(
        "rules",
        members={"ann": "developer", "bob": "maintainer"},
        immutable=[ImmutableRule("**", "1")],
    )
    images.names["registry.example/rules/app:1"] = images.names.pop(NAME)
    upload(harbor.url, images, auth=ANN)
    project = f"{harbor.url}/api/v2.0/projects/rules"
    assert _get(http, f"{project}/immutabletagrules", auth=ANN).status_code == 403
    (rule,) = _get(http, f"{project}/immutabletagrules", auth=("bob", PASSWORD)).json()
    assert rule["tag_selectors"][0]["pattern"] == "1"
    artifact = f"{project}/repositories/app/artifacts/1"
    for query, told in (("", False), ("?with_immutable_status=true", True)):
        (tag,) = _get(http, artifact + query, auth=ANN).json()["tags"]
        assert tag["immutable"] is told


def test_robots_see_what_their_permissions_list(
    harbor: AnyHarbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    more = ["pull", "push", "project:read", "quota:read", "immutable-tag:list"]
    more += ["repository:list", "artifact:read"]
    harbor.robot("robot$team+ci", "Secret12", {"team": ("pull", "push")})
    harbor.robot("robot$team+more", "Secret12", {"team": more})
    api = f"{harbor.url}/api/v2.0"
    artifact = "/repositories/app/artifacts/1?with_immutable_status=true"
    paths = ("", "/summary", "/immutabletagrules", "/repositories", artifact)
    for name, status in (("ci", 403), ("more", 200)):
        auth = (f"robot$team+{name}", "Secret12")
        for path in paths:
            answer = _get(http, f"{api}/projects/team{path}", auth=auth)
            assert answer.status_code == status, (name, path)
        # All of them find it in the list.
        (row,) = _get(http, f"{api}/projects?q=name%3Dteam", auth=auth).json()
        assert row["metadata"]["public"] == "false"
        assert _get(http, f"{api}/users/current", auth=auth).status_code == 412


def test_members_see_quota_and_robots_and_the_public_neither(
    harbor: AnyHarbor, http: requests.Session
) -> None:
    harbor.robot("robot$team+ci", "Secret12", {"team": ("pull", "push")})
    api = f"{harbor.url}/api/v2.0"
    number = _get(http, f"{api}/projects/team", auth=ANN).json()["project_id"]
    robots = f"{api}/robots?q=Level%3Dproject%2CProjectID%3D{number}"
    assert [row["name"] for row in _get(http, robots, auth=ANN).json()] == ["robot$team+ci"]
    harbor.make_public("team")
    bob = ("bob", PASSWORD)
    assert _get(http, robots, auth=bob).status_code == 403
    assert "quota" in _get(http, f"{api}/projects/team/summary", auth=ANN).json()
    assert "quota" not in _get(http, f"{api}/projects/team/summary", auth=bob).json()


# TLS.


def test_http_is_sent_to_https(authority: Authority, http: requests.Session) -> None:
    with Harbor(certificate=authority.issue(), redirect_http=True) as harbor:
        answer = _get(http, f"{harbor.http_url}/v2/?a=b")
        assert (answer.status_code, answer.headers["Location"]) == (308, f"{harbor.url}/v2/?a=b")
        ca = str(authority.ca)
        answer = _get(http, f"{harbor.url}/v2/", auth=ADMINISTRATOR, verify=ca)
        assert answer.status_code == 200
        harbor.project("team")
        images = sized_image(1, 10, name=NAME)
        upload(harbor.url, images, auth=ADMINISTRATOR, ca=ca)
        begun = http.post(
            f"{harbor.url}/v2/team/app/blobs/uploads/",
            auth=ADMINISTRATOR,
            verify=ca,
            timeout=5,
        )
        assert begun.headers["Location"].startswith(harbor.url)
        assert json.loads(images.blobs[images.names[NAME]["digest"]])["schemaVersion"] == 2
