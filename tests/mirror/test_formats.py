"""The configs of other tools, each by a literal example, and what of them imgsync cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from imgsync.errors import InvalidInput
from imgsync.mirror.config import Defaults, HostSettings, MirrorConfig
from imgsync.mirror.names import with_tag
from imgsync.mirror.read import read_config

TAGS = ["latest", "3", "3.18", "3.19.1", "v2.0", "1.13.1-alpine-perl", "edge"]
DIGEST = f"sha256:{'a' * 64}"
TO = Defaults(to="h.example/p")


def _read(text: str, label: str = "m.yaml", **more: Any) -> MirrorConfig:
    more.setdefault("defaults", TO)
    more.setdefault("environment", {})
    return read_config(text.encode(), label, **more)


def _moves(config: MirrorConfig) -> list[tuple[str, str]]:
    """Each source with its tags, and where the first of them goes."""
    moves = []
    for source in config.sources:
        tags = source.tags.choose(TAGS)
        name = source.name or with_tag(source.repository, tags[0])
        target = source.target or source.mapping.apply(name)
        moves.append((f"{source.repository.name} {' '.join(tags)}", str(target)))
    return moves


def _refused(text: str, **more: Any) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        _read(text, **more)
    return caught.value.message.splitlines()


def _problems(text: str, **more: Any) -> list[tuple[str, str]]:
    """Each problem, with what stands at its place."""
    found = []
    for message in _refused(text, **more):
        place, _, problem = message.partition(": ")
        line, column = place.removeprefix("m.yaml:").split(":")
        found.append((text.splitlines()[int(line) - 1][int(column) - 1 :], problem))
    return found


def _check(text: str, expected: str) -> None:
    """The first problem is ``WHERE <- WHAT``, at least as far as both are written."""
    where, _, what = expected.partition(" <- ")
    place, problem = _problems(text)[0]
    assert place.startswith(where), problem
    assert problem.startswith(what)


# --- plain lists ------------------------------------------------------------------------------

PLAIN = f"""\
# what the site needs
redis:7
quay.io/a/b@{DIGEST}  # pinned
mirror.example/c:1 docker.io/library/c:1
d=example.org/e:2
"""


@pytest.mark.parametrize("label", ["images.txt", "images"])
def test_a_plain_list_with_a_prefix_is_a_config(label: str) -> None:
    config = _read(PLAIN.replace(DIGEST, f"{DIGEST}"), label)
    assert [str(source.place) for source in config.sources] == [
        f"{label}:{line}:1" for line in (2, 3, 4, 5)
    ]
    assert [source.tags.exact for source in config.sources] == [
        ("7",),
        (DIGEST,),
        ("1",),
        ("latest",),
    ]
    names = [source.name or source.repository for source in config.sources]
    mapped = [
        str(source.mapping.apply(name)) for source, name in zip(config.sources, names, strict=True)
    ]
    assert mapped == [
        "h.example/p/redis:7",
        f"h.example/p/a/b@{DIGEST}",
        "h.example/p/c:1",
        "h.example/p/e:2",
    ]


def test_a_list_needs_a_place_and_registries() -> None:
    with pytest.raises(InvalidInput, match=r"l:1:1: nothing says where docker.io/library/redis"):
        _read("redis:7", "l", defaults=Defaults())
    assert _read("redis:7 h.example/redis:7", "l", defaults=Defaults()).sources
    with pytest.raises(InvalidInput, match=r"l:1: oci-archive:a.tar is in no registry"):
        _read("oci-archive:a.tar", "l")
    with pytest.raises(InvalidInput, match=r"l:2: "):
        _read("redis:7\nA:1", "l")


# --- skopeo sync (skopeo-sync(1), "YAML file content") ----------------------------------------

SKOPEO = """\
registry.example.com:
    images:
        busybox: []
        redis:
            - "1.0"
            - "2.0"
            - "sha256:0000000000000000000000000000000011111111111111111111111111111111"
    images-by-semver:
        alpine: ">= 3.12.0"
    tls-verify: true
quay.io:
    tls-verify: false
    images:
        coreos/etcd:
            - latest
    images-by-tag-regex:
        nginx: ^1\\.13\\.[12]-alpine-perl$
        app: alpine-p
"""


def test_skopeo_sync() -> None:
    config = _read(SKOPEO)
    zeros = f"sha256:{'0' * 32}{'1' * 32}"
    every = "3.19.1 3.18 3 v2.0 1.13.1-alpine-perl edge latest"
    assert _moves(config) == [
        (f"registry.example.com/busybox {every}", "h.example/p/busybox:3.19.1"),
        (f"registry.example.com/redis 1.0 2.0 {zeros}", "h.example/p/redis:1.0"),
        ("registry.example.com/alpine 3.19.1 3.18", "h.example/p/alpine:3.19.1"),
        ("quay.io/coreos/etcd latest", "h.example/p/coreos/etcd:latest"),
        ("quay.io/nginx 1.13.1-alpine-perl", "h.example/p/nginx:1.13.1-alpine-perl"),
        ("quay.io/app 1.13.1-alpine-perl", "h.example/p/app:1.13.1-alpine-perl"),
    ]
    assert config.hosts == {"quay.io": HostSettings("quay.io", insecure=True)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("credentials: {username: a}", "credentials <- credentials: imgsync takes no password"),
        ("cert-dir: /x", "cert-dir <- cert-dir: imgsync takes certificates from --ca-file"),
        ("images: {a: [b c]}", "b c <- 'b c' is not a tag or digest"),
        ("images: {B: []}", "B <- 'r.example/B': 'B' must be lower case"),
        ("imagez: 1, images: {}", "imagez <- imagez is no key of skopeo's that imgsync knows"),
        ("images-by-semver: {a: foo}", "foo <- 'foo' is not a range of versions"),
        ("images-by-tag-regex: {a: '('}", "'(' <- '(' is not a regular expression"),
        ("images: {a: b}", "b <- tags: a list is expected, 'b' stands here"),
        ("images: [a]", "[a] <- images: a mapping is expected, a list stands here"),
    ],
)
def test_what_skopeo_sync_says_and_imgsync_cannot_do(text: str, expected: str) -> None:
    _check(f"r.example: {{{text}}}", expected)


def test_a_file_of_skopeo_names_images() -> None:
    _check("r.example: {images: {}}", "r.example <- no image is named")
    problem = "m.yaml:1:12: r.example: a mapping is expected, '1' stands here"
    assert _refused("r.example: 1", format_name="skopeo") == [problem]


# --- regsync (docs/examples/regsync.yml) ------------------------------------------------------

REGSYNC = """\
version: 1
creds:
  - registry: registry:5000
    tls: disabled
  - registry: docker.io
    user: "{{env \\"HUB_USER\\"}}"
    pass: "{{file \\"/home/appuser/.docker/hub_token\\"}}"
    reqPerSec: 10
    reqConcurrent: 3
  - {registry: quay.io, user: bob, pass: '{{ env "P" }}', tls: insecure}
defaults:
  ratelimit:
    min: 100
    retry: 15m
  parallel: 2
  interval: 60m
sync:
  - source: busybox:latest
    target: registry:5000/library/busybox:latest
    type: image
  - source: alpine
    target: registry:5000/library/alpine
    type: repository
    tags:
      allow:
      - "latest"
      - "3"
      - "3.\\\\d+"
  - source: ghcr.io/regclient/regctl
    target: registry:5000/regclient/regctl
    type: repository
    referrers: true
    platforms: [linux/amd64, linux/arm64]
    tagSets:
      - semverRange: [">=3.18"]
        deny: ["3\\\\.18"]
      - allow: ["edge"]
  - source: debian
    target: '{{env "TARGET"}}/debian'
    type: repository
    digestTags: false
"""


def test_regsync() -> None:
    environment = {"HUB_USER": "ann", "TARGET": "registry:5000"}
    config = _read(REGSYNC, environment=environment, defaults=Defaults())
    every = "3.19.1 3.18 3 v2.0 1.13.1-alpine-perl edge latest"
    assert _moves(config) == [
        ("docker.io/library/busybox latest", "registry:5000/library/busybox:latest"),
        ("docker.io/library/alpine 3.18 3 latest", "registry:5000/library/alpine"),
        ("ghcr.io/regclient/regctl 3.19.1", "registry:5000/regclient/regctl"),
        ("ghcr.io/regclient/regctl edge", "registry:5000/regclient/regctl"),
        (f"docker.io/library/debian {every}", "registry:5000/debian"),
    ]
    assert [str(source.referrers) for source in config.sources] == ["all"] * 4 + ["none"]
    assert str(config.sources[2].platforms) == "linux/amd64,linux/arm64"
    assert config.hosts == {
        "registry:5000": HostSettings("registry:5000", plain_http=True),
        "docker.io": HostSettings(
            "docker.io",
            username="ann",
            password_file="/home/appuser/.docker/hub_token",
            requests_per_second=10,
            connections=3,
            pulls_floor=100,
        ),
        "quay.io": HostSettings("quay.io", username="bob", password_env="P", insecure=True),
    }
    assert config.notes[0] == "without a meaning for imgsync: interval, parallel"
    assert config.notes[1].startswith("platforms: regsync leaves the index as it is")


def test_an_expression_of_regsync_has_its_anchors_only_outside() -> None:
    text = "sync: [{source: a, target: h.e/a, type: repository, tags: {allow: ['v2|edge']}}]"
    assert _moves(_read(text))[0][0] == "docker.io/library/a v2.0 edge"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type: registry", "registry <- type registry: imgsync mirrors images and repositories"),
        ("type: image, backup: 'x-{{.Ref.Tag}}'", "backup <- backup: imgsync keeps no copy"),
        ("type: image, hooks: {post: {}}", "hooks <- hooks: imgsync runs no hooks"),
        ("type: image, platform: linux/amd64", "platform <- platform: imgsync cannot turn"),
        ("type: image, sourse: x", "sourse <- sourse is no key of regsync's sync"),
        ("type: repository, tags: {allow: ['(']}", "'(' <- '(' is not a regular expression"),
        ("type: repository, tags: {semverRange: [y]}", "y <- 'y' is not a range of versions"),
        ("type: image, platforms: [linux/]", "linux/ <- platform 'linux/'"),
        ("tags: {}", "{source <- source, target and type are expected"),
    ],
)
def test_what_regsync_says_and_imgsync_cannot_do(text: str, expected: str) -> None:
    _check(f"sync: [{{source: a, target: h.e/a, {text}}}]", expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry: h.e, user: a, pass: b}", "b <- a password never stands in a config"),
        ("registry: h.e, token: b}", "token <- token: imgsync takes no token from this file"),
        ("registry: foo}", "foo <- 'foo' is not a host"),
        ("registry: '{{env \"X\"}}'}", "'{{env <- X is not set"),
        ("registry: '{{.X}}'}", "'{{.X}}' <- '{{.X}}' is a template"),
        ("registry: h.e, reqPerSec: x}", "x <- a number is expected, 'x' stands here"),
        ("registry: h.e, pass: '{{env \"x\"}}', user: '{{file \"y\"}}'}", "'{{file <- y is a file"),
    ],
)
def test_which_credentials_of_regsync_imgsync_does_not_take(text: str, expected: str) -> None:
    _check(f"creds: [{{{text}]\nsync: []", expected)


# --- image-syncer (examples/images.yaml) ------------------------------------------------------

IMAGE_SYNCER = f"""\
quay.io/coreos/kube-rbac-proxy: quay.io/ruohe/kube-rbac-proxy
quay.io/coreos/kube-rbac-proxy:v1.0: quay.io/ruohe/kube-rbac-proxy
quay.io/coreos/kube-rbac-proxy:v1.0,v2.0: quay.io/ruohe/kube-rbac-proxy
quay.io/coreos/kube-rbac-proxy@{DIGEST}: quay.io/ruohe/kube-rbac-proxy
quay.io/coreos/kube-rbac-proxy:v1.1:
  - quay.io/ruohe/kube-rbac-proxy1
  - quay.io/ruohe/kube-rbac-proxy2:v3
quay.io/coreos/kube-rbac-proxy:/e+d/: quay.io/ruohe/kube-rbac-proxy
quay.io/coreos/kube-rbac-proxy:a,b: "${{TO}}/kube-rbac-proxy:c,d"
"""


def test_image_syncer() -> None:
    config = _read(IMAGE_SYNCER, environment={"TO": "quay.io/ruohe"}, defaults=Defaults())
    source, target = "quay.io/coreos/kube-rbac-proxy", "quay.io/ruohe/kube-rbac-proxy"
    every = "3.19.1 3.18 3 v2.0 1.13.1-alpine-perl edge latest"
    assert _moves(config) == [
        (f"{source} {every}", target),
        (f"{source} v1.0", target),
        (f"{source} v1.0 v2.0", target),
        (f"{source} {DIGEST}", target),
        (f"{source} v1.1", f"{target}1"),
        (f"{source} v1.1", f"{target}2:v3"),
        (f"{source} edge", target),
        (f"{source} a", f"{target}:c"),
        (f"{source} b", f"{target}:d"),
    ]


def test_image_syncer_in_json_and_in_its_old_form() -> None:
    assert _moves(_read('{"a/b:1": "h.e/c"}', "images.json")) == [("docker.io/a/b 1", "h.e/c")]
    assert _moves(_read("images: {'a/b:1': h.e/c}")) == [("docker.io/a/b 1", "h.e/c")]
    text = "auth: {h.e: {username: a, password: b}}\nimages: {'a/b:1': h.e/c}"
    _check(text, "auth <- auth: imgsync takes no password from this file")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b: h.e/c:1", "h.e/c:1 <- 1 tags for any number of at the source"),
        ("'a/b:1': 'h.e/c:1,2'", "'h.e/c:1,2' <- 2 tags for 1 at the source"),
        ("a/b: [h.e/C]", "h.e/C <- 'h.e/C': 'C' must be lower case"),
        ("A: h.e/c", "A <- 'A': 'A' must be lower case"),
        ("'a,b': h.e/c", "'a,b' <- 'a,b': a comma stands between tags"),
        ("'a/b:/(/': h.e/c", "'a/b:/(/' <- '(' is not a regular expression"),
        ("'a/b:1': '${X}/c'", "'${X}/c' <- the variable X is not set"),
        (
            f"'a/b@{DIGEST}': 'h.e/c@sha256:{'b' * 64}'",
            "'h.e/c@ <- sha256:bbbbbbbbbbbb is not",
        ),
    ],
)
def test_what_image_syncer_would_refuse_too(text: str, expected: str) -> None:
    _check(text, expected)


# --- hauler (testdata/hauler-manifest.yaml) ---------------------------------------------------

HAULER = f"""\
apiVersion: content.hauler.cattle.io/v1
kind: Images
metadata:
  name: hauler-content-images-example
  annotations:
    hauler.dev/registry: g.example
    hauler.dev/platform: linux/arm64
    other: x
spec:
  images:
    - name: ghcr.io/hauler-dev/library/busybox
    - name: ghcr.io/hauler-dev/library/busybox:stable
      platform: linux/amd64
    - name: gcr.io/distroless/base@{DIGEST}
      exclude-extras: true
    - name: team/app:1
      rewrite: custom-path/app:v1
    - name: ghcr.io/b/c:2
      rewrite: /d
---
"""


def test_hauler() -> None:
    config = _read(HAULER)
    assert _moves(config) == [
        (
            "ghcr.io/hauler-dev/library/busybox latest",
            "h.example/p/hauler-dev/library/busybox:latest",
        ),
        (
            "ghcr.io/hauler-dev/library/busybox stable",
            "h.example/p/hauler-dev/library/busybox:stable",
        ),
        (f"gcr.io/distroless/base {DIGEST}", f"h.example/p/distroless/base@{DIGEST}"),
        ("g.example/team/app 1", "h.example/p/custom-path/app:v1"),
        ("ghcr.io/b/c 2", "h.example/p/d:2"),
    ]
    platforms = [str(source.platforms) for source in config.sources]
    assert platforms == ["linux/arm64", "linux/amd64"] + ["linux/arm64"] * 3
    assert [source.referrers.is_none for source in config.sources].count(True) == 1
    assert str(config.sources[3].name) == "g.example/custom-path/app:v1"


HEAD = "apiVersion: content.hauler.cattle.io/v1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a, key: cosign.pub}", "key <- key: imgsync does not check signatures"),
        ("name: a, local: true}", "local <- local: imgsync mirrors from registries"),
        ("name: A}", "A <- 'A': 'A' must be lower case"),
        ("key: ''}", "{key <- an image has no name"),
        ("name: a, platform: x/}", "x/ <- platform 'x/'"),
        (f"name: 'a@{DIGEST}', rewrite: b}}", "b <- 'b' needs a tag"),
        ("name: a}, b", "b <- an image: a mapping is expected, 'b' stands here"),
    ],
)
def test_what_hauler_says_and_imgsync_cannot_do(text: str, expected: str) -> None:
    _check(f"{HEAD}kind: Images\nspec: {{images: [{{{text}]}}", expected)


def test_other_kinds_of_hauler_are_refused() -> None:
    _check(f"{HEAD}kind: Charts", "Charts <- kind Charts: a mirror is of images only")


# --- which format -----------------------------------------------------------------------------


def test_a_file_of_no_known_form_is_refused_with_the_forms_there_are() -> None:
    for text in ("a: 1", "- a", "a: {b: c}", "", "a: []"):
        with pytest.raises(InvalidInput) as caught:
            _read(text)
        assert "skopeo, regsync, image-syncer, hauler" in caught.value.hint
    with pytest.raises(InvalidInput, match="there is no such format"):
        _read("a", format_name="dregsy")
    with pytest.raises(InvalidInput, match=r"m\.yaml:1:5: not YAML"):
        _read("a: b: c")


def test_the_format_can_be_said() -> None:
    assert _read("redis:7", format_name="list").sources
    assert _read(SKOPEO, "no-ending", format_name="skopeo").sources
    assert _read(SKOPEO, "no-ending").sources
    assert _refused(SKOPEO, format_name="imgsync")[-1].startswith("m.yaml")
