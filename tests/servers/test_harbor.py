"""The stand-in says what Harbor's source says, word for word."""

import json
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from tests.images import OCI_INDEX, OCI_MANIFEST, Images, digest_of, sized_image
from tests.servers.certificates import Authority
from tests.servers.harbor import ADMIN, ADMIN_PASSWORD, Account, Harbor, ImmutableRule
from tests.servers.registry import Registry
from tests.upload import UploadRefused, upload

pytestmark = pytest.mark.real

ANN = ("ann", "pw")
ADMINISTRATOR = (ADMIN, ADMIN_PASSWORD)
NAME = "registry.example/team/app:1"


@pytest.fixture
def harbor() -> Iterator[Harbor]:
    with Harbor(users={"ann": Account("pw"), "bob": Account("pw")}) as harbor:
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
    http: requests.Session, harbor: Harbor, *scopes: str, auth: tuple[str, str] | None = None
) -> requests.Response:
    query = urlencode({"service": "harbor-registry", "scope": scopes}, doseq=True)
    return _get(http, f"{harbor.url}/service/token?{query}", auth=auth)


def _bearer(answer: requests.Response) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def _error(answer: requests.Response) -> tuple[int, str, str]:
    (error,) = answer.json()["errors"]
    assert set(error) == {"code", "message"}
    return answer.status_code, error["code"], error["message"]


# Challenges.


def test_without_credentials_the_challenge_is_bearer(
    harbor: Harbor, http: requests.Session
) -> None:
    harbor.external_scheme = "https"
    answer = _get(http, f"{harbor.url}/v2/team/app/manifests/1")
    assert answer.status_code == 401
    assert answer.headers["Www-Authenticate"] == (
        f'Bearer realm="https://{harbor.host}/service/token",service="harbor-registry",'
        'scope="repository:team/app:pull"'
    )
    answer = http.post(f"{harbor.url}/v2/team/app/blobs/uploads/", timeout=5)
    assert 'scope="repository:team/app:pull,push"' in answer.headers["Www-Authenticate"]


def test_with_any_credentials_that_do_not_do_the_challenge_is_basic(
    harbor: Harbor, http: requests.Session
) -> None:
    url = f"{harbor.url}/v2/team/app/manifests/1"
    for headers in ({"Authorization": "Bearer expired"}, {"Authorization": "Basic d3Jvbmc6"}):
        answer = _get(http, url, headers=headers)
        assert answer.headers["Www-Authenticate"] == 'Basic realm="harbor"'
        text = "unauthorized to access repository: team/app, action: pull"
        assert _error(answer) == (401, "UNAUTHORIZED", f"{text}: {text}")


def test_a_missing_project_has_an_empty_challenge(harbor: Harbor, http: requests.Session) -> None:
    answer = http.post(f"{harbor.url}/v2/none/app/blobs/uploads/", auth=ANN, timeout=5)
    assert answer.headers["Www-Authenticate"] == ""
    assert _error(answer)[2] == "project none not found: project none not found"


def test_a_repository_without_a_project_is_refused(harbor: Harbor, http: requests.Session) -> None:
    answer = _get(http, f"{harbor.url}/v2/app/manifests/1", auth=ANN)
    text = "bad request: invalid repository name: app"
    assert _error(answer) == (400, "BAD_REQUEST", text)


# Tokens.


def test_a_wrong_password_with_a_scope_gets_a_token_of_nobody(
    harbor: Harbor, http: requests.Session
) -> None:
    scope = "repository:team/app:pull"
    answer = _token(http, harbor, scope, auth=("ann", "guessed"))
    assert answer.status_code == 200
    assert harbor.issued[-1].name == ""
    refused = _get(http, f"{harbor.url}/v2/team/app/tags/list", headers=_bearer(answer))
    assert refused.status_code == 401
    assert _token(http, harbor, auth=("ann", "guessed")).status_code == 401
    assert _token(http, harbor, auth=ANN).status_code == 200
    assert harbor.failed_logins == ["ann", "ann"]


def test_a_token_grants_all_that_the_user_may_in_the_project(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    answer = _token(http, harbor, "repository:team/other:pull", auth=ANN)
    assert harbor.issued[-1].rights == {"team": {"pull", "push"}}
    tags = _get(http, f"{harbor.url}/v2/team/app/tags/list", headers=_bearer(answer))
    assert tags.json() == {"name": "team/app", "tags": ["1"]}


def test_a_token_ends_and_is_refused_by_a_younger_project(
    harbor: Harbor, http: requests.Session
) -> None:
    url = f"{harbor.url}/v2/new/app/blobs/uploads/"
    harbor.project("new", members={"ann": "developer"})
    old = _bearer(_token(http, harbor, "repository:new/app:push", auth=ANN))
    assert http.post(url, headers=old, timeout=5).status_code == 202
    harbor.state.remove_project("new")
    harbor.project("new", members={"ann": "developer"})
    assert http.post(url, headers=old, timeout=5).status_code == 401
    harbor.token_lifetime_s = 0.2
    short = _bearer(_token(http, harbor, "repository:new/app:push", auth=ANN))
    assert http.post(url, headers=short, timeout=5).status_code == 202
    time.sleep(0.25)
    assert http.post(url, headers=short, timeout=5).status_code == 401


def test_the_token_service_knows_get_and_its_own_name(
    harbor: Harbor, http: requests.Session
) -> None:
    assert http.post(f"{harbor.url}/service/token", timeout=5).status_code == 405
    answer = _get(http, f"{harbor.url}/service/token?service=other")
    assert (answer.status_code, answer.text) == (400, "Unable to handle service: other")


def test_everyone_may_read_a_public_project_with_a_token(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.state.projects["team"].public = True
    url = f"{harbor.url}/v2/team/app/tags/list"
    assert _get(http, url).status_code == 401
    token = _token(http, harbor, "repository:team/app:pull")
    assert _get(http, url, headers=_bearer(token)).status_code == 200


def test_the_base_asks_for_somebody(harbor: Harbor, http: requests.Session) -> None:
    answer = _get(http, f"{harbor.url}/v2/")
    assert "scope" not in answer.headers["Www-Authenticate"]
    assert _get(http, f"{harbor.url}/v2/", auth=ANN).status_code == 200
    assert _get(http, f"{harbor.url}/v2/", auth=("ann", "guessed")).status_code == 401
    assert _get(http, f"{harbor.url}/v1/").status_code == 404


# Robots.


def test_robots_may_what_their_permissions_list(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    robot = harbor.robot("robot$team+ci", "s:cret", {"team": ("pull", "push")})
    upload(harbor.url, images, auth=("robot$team+ci", "s:cret"))
    assert harbor.tags("team/app") == {"1": images.names[NAME]["digest"]}
    robot.disabled = True
    base = f"{harbor.url}/v2/"
    assert _get(http, base, auth=("robot$team+ci", "s:cret")).status_code == 401
    harbor.robot("robot$old", "secret", {"*": ("pull",)}, days=0)
    assert _get(http, base, auth=("robot$old", "secret")).status_code == 401


def test_only_system_robots_create_projects(harbor: Harbor, http: requests.Session) -> None:
    harbor.robot("robot$team+ci", "secret", {"team": ("push",)})
    harbor.robot("robot$sys", "secret", {"*": ("push",)})
    answers = [
        _create(http, harbor, "by-robot", (name, "secret"))
        for name in ("robot$team+ci", "robot$sys")
    ]
    text = "Only system level robot can create project"
    assert _error(answers[0]) == (403, "FORBIDDEN", text)
    assert answers[1].status_code == 201
    assert harbor.state.projects["by-robot"].owner == "admin"


# Content.


def test_images_go_in_and_come_out(
    harbor: Harbor, http: requests.Session, fixture_images: Images
) -> None:
    upload(harbor.url, fixture_images, ["registry.example/team/app:1.0"], auth=ANN)
    root = fixture_images.names["registry.example/team/app:1.0"]["digest"]
    url = f"{harbor.url}/v2/team/app/manifests/1.0"
    answer = _get(http, url, auth=ANN, headers={"Accept": OCI_INDEX})
    assert answer.content == fixture_images.blobs[root]
    assert answer.headers["Docker-Content-Digest"] == root
    stored = fixture_images.digests("registry.example/team/app:1.0")
    assert stored == harbor.registry.blobs()
    assert harbor.used("team") == sum(len(fixture_images.blobs[digest]) for digest in stored)
    assert len(harbor.artifacts("team/app")) == 7
    assert harbor.registry.tags("team/app") == {}


def test_what_is_unknown_is_not_found(harbor: Harbor, http: requests.Session) -> None:
    base = f"{harbor.url}/v2/team/app"
    missing = "sha256:" + "0" * 64
    texts = {
        f"{base}/manifests/1": "artifact team/app:1 not found",
        f"{base}/manifests/{missing}": f"artifact team/app@{missing} not found",
        f"{base}/tags/list": "repository team/app not found",
        f"{base}/manifests/-": "invalid reference format",
    }
    for url, text in texts.items():
        assert _error(_get(http, url, auth=ANN)) == (404, "NOT_FOUND", text)
    assert http.head(f"{base}/blobs/{missing}", auth=ANN, timeout=5).status_code == 404


def test_tags_come_in_pages(harbor: Harbor, http: requests.Session, images: Images) -> None:
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
    harbor: Harbor, http: requests.Session, fixture_images: Images
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
    unknown = _get(http, f"{harbor.url}/v2/team/app/referrers/sha256:{'1' * 64}", auth=ANN)
    assert (unknown.status_code, unknown.json()["manifests"]) == (200, [])


def test_core_believes_the_length_of_the_last_request(
    harbor: Harbor, http: requests.Session
) -> None:
    sizes = []
    for number, last in enumerate([b"", b"9"]):
        data = f"0123456{number}".encode()
        begun = http.post(f"{harbor.url}/v2/team/app/blobs/uploads/", auth=ANN, timeout=5)
        patched = http.patch(begun.headers["Location"], data=data, auth=ANN, timeout=5)
        digest = digest_of(data + last)
        address = f"{patched.headers['Location']}&digest={digest}"
        assert http.put(address, data=last, auth=ANN, timeout=5).status_code == 201
        sizes.append(harbor.recorded_size(digest))
    assert sizes == [8, 1]


def test_a_mount_needs_the_right_to_read_where_it_comes_from(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.project("other", members={"ann": "developer", "bob": "developer"})
    layer = images.children(images.names[NAME])[1]["digest"]
    mount = f"{harbor.url}/v2/other/app/blobs/uploads/?mount={layer}&from="
    statuses = []
    for source, auth in (("team/app", ("bob", "pw")), ("app", ANN), ("team/app", ANN)):
        statuses.append(http.post(mount + source, auth=auth, timeout=5).status_code)
    assert statuses == [401, 400, 201]
    assert harbor.used("other") == len(images.blobs[layer])


def test_deleting_is_by_digest_and_by_right(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    url = f"{harbor.url}/v2/team/app/manifests/"
    digest = images.names[NAME]["digest"]
    assert http.delete(url + digest, auth=ANN, timeout=5).status_code == 401
    answer = http.delete(f"{url}1", auth=ADMINISTRATOR, timeout=5)
    assert _error(answer)[:2] == (400, "UNSUPPORTED")
    assert http.delete(url + digest, auth=ADMINISTRATOR, timeout=5).status_code == 202
    assert harbor.tags("team/app") == {}


# Refusals.


def _refused(harbor: Harbor, images: Images, auth: tuple[str, str] = ANN) -> str:
    with pytest.raises(UploadRefused) as caught:
        upload(harbor.url, images, auth=auth)
    return str(caught.value)


def test_a_quota_is_kept(harbor: Harbor, http: requests.Session) -> None:
    harbor.state.projects["team"].storage_limit = 10 * 2**20
    images = sized_image(1, 11 * 2**20, name=NAME)
    text = _refused(harbor, images)
    assert '403 {"errors":[{"code":"DENIED"' in text
    assert "adding 11.0 MiB of storage resource, which when updated to current usage of" in text
    assert "will exceed the configured upper limit of 10.0 MiB." in text
    harbor.state.projects["team"].storage_limit = 0
    begun = http.post(f"{harbor.url}/v2/team/app/blobs/uploads/", auth=ANN, timeout=5)
    assert begun.status_code == 403


def test_an_immutable_tag_is_not_written_again(harbor: Harbor, images: Images) -> None:
    harbor.project("rules", members={"ann": "developer"}, immutable=[ImmutableRule("app*", "1")])
    images.names["registry.example/rules/app:1"] = images.names.pop(NAME)
    upload(harbor.url, images, auth=ANN)
    text = _refused(harbor, images)
    assert "412" in text
    assert "Failed to process request due to 'app:1' configured as immutable." in text


def test_read_only_refuses_writes_and_lets_reads_through(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.state.read_only = True
    assert "The system is in read only mode. Any modification is prohibited." in _refused(
        harbor, images
    )
    assert _get(http, f"{harbor.url}/v2/team/app/tags/list", auth=ANN).status_code == 200


def test_a_blob_in_garbage_collection_is_not_there(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    layer = images.children(images.names[NAME])[1]["digest"]
    url = f"{harbor.url}/v2/team/app/blobs/{layer}"
    assert http.head(url, auth=ANN, timeout=5).status_code == 200
    harbor.begin_gc(layer)
    assert http.head(url, auth=ANN, timeout=5).status_code == 404
    assert "the asking blob is in GC, mark it as non existing" in _refused(harbor, images)
    harbor.end_gc(layer)
    upload(harbor.url, images, auth=ANN)
    assert harbor.registry.has_blob(layer)


def test_policies_hold_back_what_is_not_signed(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    harbor.state.projects["team"].require_signature = True
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


def test_a_manifest_has_a_limit(harbor: Harbor, http: requests.Session) -> None:
    url = f"{harbor.url}/v2/team/app/manifests/large"
    data = b" " * (4 * 2**20 + 1)
    answer = http.put(url, data=data, auth=ANN, headers={"Content-Type": OCI_INDEX}, timeout=5)
    assert _error(answer)[:2] == (413, "REQUEST_ENTITY_TOO_LARGE")


def test_an_incomplete_manifest_is_refused_by_the_registry(harbor: Harbor) -> None:
    images = Images()
    child = images.image([images.layer({"a": b"a"})])
    whole = images.index([child])
    images.name(NAME, whole)
    del images.blobs[child["digest"]]
    with pytest.raises(KeyError):
        upload(harbor.url, images, auth=ANN)
    assert harbor.tags("team/app") == {}


def test_a_cookie_that_comes_back_is_refused(harbor: Harbor, http: requests.Session) -> None:
    cookie = _get(http, f"{harbor.url}/v2/", auth=ANN).headers["Set-Cookie"].partition(";")[0]
    url = f"{harbor.url}/v2/team/app/blobs/uploads/"
    answer = http.post(url, auth=ANN, headers={"Cookie": cookie}, timeout=5)
    assert _error(answer) == (403, "FORBIDDEN", "CSRF token invalid")


# Proxy-cache projects.


def test_a_proxy_cache_fetches_and_keeps(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    with Registry() as upstream:
        upload(upstream.url, images)
        harbor.project("cache", upstream=upstream.url, public=True)
        token = _bearer(_token(http, harbor, "repository:cache/team/app:pull"))
        headers = token | {"Accept": OCI_MANIFEST}
        url = f"{harbor.url}/v2/cache/team/app/manifests/1"
        root = images.names[NAME]["digest"]
        assert _get(http, url, headers=headers).content == images.blobs[root]
        upstream.stop()
        assert _get(http, url, headers=headers).content == images.blobs[root]
        assert _get(http, f"{url}-missing", headers=headers).status_code == 404


def test_nobody_pushes_into_a_proxy_cache(harbor: Harbor, images: Images) -> None:
    harbor.project("cache", upstream="http://127.0.0.1:1", members={"ann": "admin"})
    images.names["registry.example/cache/app:1"] = images.names.pop(NAME)
    text = _refused(harbor, images)
    assert "denied: can not push artifact to a proxy project: cache" in text


def test_single_names_of_docker_hub_are_redirected(harbor: Harbor, http: requests.Session) -> None:
    harbor.project("hub", upstream="http://127.0.0.1:1", upstream_is_docker_hub=True, public=True)
    answer = _get(http, f"{harbor.url}/v2/hub/redis/manifests/7", auth=ANN)
    assert answer.status_code == 301
    assert answer.headers["Location"] == "/v2/hub/library/redis/manifests/7"


# The API.


def _create(
    http: requests.Session, harbor: Harbor, name: str, auth: tuple[str, str], **more: Any
) -> requests.Response:
    wanted = {"project_name": name, "metadata": {"public": "false"}, **more}
    return http.post(f"{harbor.url}/api/v2.0/projects", json=wanted, auth=auth, timeout=5)


def test_projects_are_created_once(harbor: Harbor, http: requests.Session) -> None:
    assert _create(http, harbor, "new", ANN).headers["Location"] == "/api/v2.0/projects/2"
    assert _error(_create(http, harbor, "new", ANN))[:2] == (409, "CONFLICT")
    assert _error(_create(http, harbor, "Upper", ANN))[:2] == (400, "BAD_REQUEST")
    assert _create(http, harbor, "by", ("ann", "guessed")).status_code == 401
    assert _create(http, harbor, "by", ANN, metadata={"public": True}).status_code == 422
    harbor.state.creation_restriction = "adminonly"
    text = "Only system admin can create project"
    assert _error(_create(http, harbor, "by", ANN)) == (403, "FORBIDDEN", text)
    assert _create(http, harbor, "by", ADMINISTRATOR, storage_limit=5).status_code == 201
    assert harbor.state.projects["by"].storage_limit == 5


def test_only_members_see_a_project(harbor: Harbor, http: requests.Session) -> None:
    projects = f"{harbor.url}/api/v2.0/projects"
    statuses = [
        _get(http, f"{projects}/team", auth=auth).status_code
        for auth in (ANN, ("bob", "pw"), None, ADMINISTRATOR)
    ]
    assert statuses == [200, 403, 401, 200]
    assert [row["name"] for row in _get(http, projects, auth=ANN).json()] == ["team"]
    assert _get(http, projects, auth=("bob", "pw")).json() == []
    for name, status in (("team", 200), ("none", 404)):
        answer = http.head(f"{projects}?project_name={name}", auth=("bob", "pw"), timeout=5)
        assert answer.status_code == status


def test_a_number_is_an_id_unless_said_otherwise(harbor: Harbor, http: requests.Session) -> None:
    harbor.project("1", members={"ann": "admin"})
    url = f"{harbor.url}/api/v2.0/projects/1"
    assert _get(http, url, auth=ANN).json()["name"] == "team"
    by_name = {"X-Is-Resource-Name": "true"}
    assert _get(http, url, auth=ANN, headers=by_name).json()["name"] == "1"


def test_quotas_are_for_administrators(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    upload(harbor.url, images, auth=ANN)
    url = f"{harbor.url}/api/v2.0/quotas?reference=project&reference_id=1"
    assert _get(http, url, auth=ANN).status_code == 403
    (quota,) = _get(http, url, auth=ADMINISTRATOR).json()
    assert (quota["hard"], quota["used"]) == ({"storage": -1}, {"storage": harbor.used("team")})
    summary = _get(http, f"{harbor.url}/api/v2.0/projects/team/summary", auth=ANN).json()
    assert summary["quota"]["used"]["storage"] == harbor.used("team")


def test_the_system_tells_more_to_those_it_knows(harbor: Harbor, http: requests.Session) -> None:
    base = f"{harbor.url}/api"
    assert _get(http, f"{base}/version").json() == {"version": "v2.0"}
    assert _get(http, f"{base}/v2.0/ping").text == "Pong"
    assert "harbor_version" not in _get(http, f"{base}/v2.0/systeminfo").json()
    info = _get(http, f"{base}/v2.0/systeminfo", auth=ANN).json()
    assert (info["registry_url"], info["read_only"]) == (harbor.host, False)
    harbor.api.healthy = False
    assert _get(http, f"{base}/v2.0/health").json()["status"] == "unhealthy"
    assert _get(http, f"{base}/v2.0/systeminfo/getcert").status_code == 404
    harbor.api.ca = b"-----BEGIN CERTIFICATE-----"
    assert _get(http, f"{base}/v2.0/systeminfo/getcert").content == harbor.api.ca


def test_repository_names_are_encoded_twice(
    harbor: Harbor, http: requests.Session, images: Images
) -> None:
    images.names["registry.example/team/deep/app:1"] = images.names.pop(NAME)
    upload(harbor.url, images, auth=ANN)
    projects = f"{harbor.url}/api/v2.0/projects/team/repositories"
    twice = _get(http, f"{projects}/deep%252Fapp/artifacts", auth=ANN)
    assert [row["tags"] for row in twice.json()] == [[{"name": "1"}]]
    assert _get(http, f"{projects}/deep%2Fapp/artifacts", auth=ANN).status_code == 404


def test_artifacts_are_copied_with_their_signatures(
    harbor: Harbor, http: requests.Session, images: Images
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
    assert f"{digest.replace(':', '-')}.sig" in harbor.tags("prod/app")
    removed = http.delete(f"{target}/{digest}/tags/2", auth=ANN, timeout=5)
    assert removed.status_code == 200
    assert "2" not in harbor.tags("prod/app")


def test_lists_come_in_pages_of_ten(harbor: Harbor, http: requests.Session) -> None:
    for number in range(11):
        harbor.project(f"p{number}", public=True)
    url = f"{harbor.url}/api/v2.0/projects"
    first = _get(http, url, auth=ANN)
    assert (len(first.json()), first.headers["X-Total-Count"]) == (10, "12")
    assert first.headers["Link"] == '</api/v2.0/projects?page=2&page_size=10>; rel="next"'
    assert len(_get(http, f"{url}?page=2", auth=ANN).json()) == 2
    assert _get(http, f"{url}?page_size=101", auth=ANN).status_code == 422


def test_immutable_rules_can_be_read_beforehand(harbor: Harbor, http: requests.Session) -> None:
    harbor.state.projects["team"].immutable.append(ImmutableRule("**", "v*"))
    url = f"{harbor.url}/api/v2.0/projects/team/immutabletagrules"
    (rule,) = _get(http, url, auth=ANN).json()
    assert rule["tag_selectors"][0]["pattern"] == "v*"


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
