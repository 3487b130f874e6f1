"""imgsync's own config: what each key does, every mistake with its place, and the schema."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidInput
from imgsync.mirror.config import Defaults, HostSettings, MirrorConfig, MirrorSource
from imgsync.mirror.read import read_config
from imgsync.mirror.schema import json_schema, schema_text
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference

SCHEMA = Path(__file__).parents[2] / "docs" / "mirror.schema.json"


def _read(text: str, **more: Any) -> MirrorConfig:
    more.setdefault("environment", {})
    return read_config(text.encode(), "m.yaml", **more)


def _one(text: str, **more: Any) -> MirrorSource:
    (source,) = _read(f"defaults: {{to: h.example/p}}\nsources:\n  - {text}", **more).sources
    return source


def _target(source: MirrorSource, tag: str = "1") -> str:
    name = source.repository.with_tag(tag)
    return str(source.target) if source.target is not None else str(source.mapping.apply(name))


def test_an_image_is_a_source() -> None:
    source = _one("redis:7.10")
    assert source.repository == Reference("docker.io", "library/redis")
    assert source.tags.exact == ("7.10",)
    assert not source.tags.is_filter
    assert _target(source, "7.10") == "h.example/p/redis:7.10"
    assert str(source.place) == "m.yaml:3:5"


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("{repository: redis, tags: 7.10}", ["7.10"]),
        ("{repository: redis, tags: [7.10, 'no']}", ["7.10", "no"]),
        ("{repository: redis, tags: {exact: 7}}", ["7"]),
        ("{image: redis}", ["latest"]),
        (f"redis@sha256:{'a' * 64}", [f"sha256:{'a' * 64}"]),
        (f"redis:7@sha256:{'a' * 64}", [f"7@sha256:{'a' * 64}"]),
        (f"{{repository: redis, tags: ['sha256:{'a' * 64}']}}", [f"sha256:{'a' * 64}"]),
    ],
)
def test_tags_may_be_named(text: str, exact: list[str]) -> None:
    assert list(_one(text).tags.exact) == exact


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("all", "1.10 1.9 2-rc latest"),
        ("{glob: '1.*'}", "1.10 1.9"),
        (r"{regex: '\d\.\d\d'}", "1.10"),
        ("{semver: '>=1.9', latest: 1}", "1.10"),
        ("{latest: 2, prereleases: true}", "2-rc 1.10"),
        ("{exclude: [latest, '*-rc']}", "1.10 1.9"),
        ("{exclude: {regex: '.*[a-z].*', semver: '=1.9'}}", "1.10"),
        ("{suffix: -rc}", "2-rc"),
        ("{exact: latest, semver: ['1.9', '1.10']}", "latest 1.10 1.9"),
    ],
)
def test_tags_may_be_chosen_by_rules(rules: str, expected: str) -> None:
    rule = _one(f"{{repository: a/b, tags: {rules}}}").tags
    assert sorted(rule.choose(["latest", "1.9", "1.10", "2-rc"])) == sorted(expected.split())


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("{image: 'quay.io/a/b:1'}", "h.example/p/a/b:1"),
        ("{image: 'quay.io/a/b:1', keep-registry: true}", "h.example/p/quay.io/a/b:1"),
        ("{image: 'quay.io/a/b:1', to: g.example/q}", "g.example/q/a/b:1"),
        ("{image: 'quay.io/a/b:1', map: 'quay.io/*/*=g.example/{1}-{2}'}", "g.example/a-b:1"),
        ("{image: 'quay.io/a/b:1', map: ['gcr.io/**=x/{1}', '**=y/{1}']}", "h.example/p/y/quay.io"),
        ("{image: 'quay.io/a/b:1', as: g.example/c}", "g.example/c"),
        ("{image: 'quay.io/a/b:1', as: 'g.example/c:2'}", "g.example/c:2"),
        ("{image: 'quay.io/a/b:1', as: c}", "h.example/p/c"),
        ("{image: 'quay.io/a/b:1', as: 'c/d:3'}", "h.example/p/c/d:3"),
        ("{repository: quay.io/a/b, tags: all, as: c/d}", "h.example/p/c/d"),
    ],
)
def test_sources_say_where_they_go(text: str, target: str) -> None:
    assert _target(_one(text)).startswith(target)


def test_sources_override_defaults_and_the_command_line_overrides_the_file() -> None:
    text = """
defaults: {to: h.example/p, platforms: linux/amd64, referrers: none, tags: {latest: 2}}
sources:
  - repository: a/b
  - {repository: a/c, platforms: [linux/arm64, '!windows'], referrers: [application/spdx+json]}
"""
    first, second = _read(text).sources
    assert (str(first.platforms), str(first.referrers)) == ("linux/amd64", "none")
    assert first.tags.latest == 2
    assert str(second.platforms) == "linux/arm64,!windows/*"
    assert str(second.referrers) == "application/spdx+json"
    choice = PlatformChoice.parse(["linux/s390x"])
    first, second = _read(text, defaults=Defaults(to="g.example/q", platforms=choice)).sources
    assert (_target(first), first.platforms) == ("g.example/q/a/b:1", choice)
    assert str(second.platforms) == "linux/arm64,!windows/*"


def test_hosts_have_limits_and_credentials_by_reference() -> None:
    text = """
hosts:
  index.docker.io:
    {username: ann, password-file: /p, requests-per-second: 0.5, pulls-floor: 20}
  h.example:8443: {username: bob, password-env: PW, bytes-per-second: 20MiB, connections: 2}
  g.example: {authfile: /a, insecure: true, ca-file: /c, cert: /d, key: /e, plain-http: false}
sources: [h.example:8443/a]
defaults: {to: g.example/x}
"""
    hosts = _read(text).hosts
    assert hosts == {
        "docker.io": HostSettings(
            "docker.io",
            username="ann",
            password_file="/p",
            requests_per_second=0.5,
            pulls_floor=20,
        ),
        "h.example:8443": HostSettings(
            "h.example:8443",
            username="bob",
            password_env="PW",
            bytes_per_second=20 * 2**20,
            connections=2,
        ),
        "g.example": HostSettings(
            "g.example", authfile="/a", insecure=True, ca_file="/c", cert="/d", key="/e"
        ),
    }


def test_variables_are_filled_in_only_where_asked() -> None:
    environment = {"TO": "h.example/p", "PW": "secret"}
    text = "sources: [{image: redis, to: !env '${TO}'}, {image: 'a/b', to: h.example}]"
    first, second = _read(text, environment=environment).sources
    assert (_target(first), _target(second)) == ("h.example/p/redis:1", "h.example/a/b:1")
    text = """
interpolate: true
hosts: {h.example: {username: '${USER}', password-env: '${PW}', authfile: '$${x}'}}
sources: [{image: redis, to: '${TO}'}]
"""
    config = _read(text, environment={**environment, "USER": "ann"})
    host = config.hosts["h.example"]
    assert (host.username, host.password_env, host.authfile) == ("ann", "${PW}", "${x}")
    assert _target(config.sources[0]) == "h.example/p/redis:1"


def test_a_bundle_or_a_folder_can_be_the_place() -> None:
    config = _read("output: oci:/srv/mirror\nsources: [redis:7]")
    assert config.output == "oci:/srv/mirror"


MISTAKES = {
    "sources: [{image: a, to: '${X}', map: 1}]": "1:39: map: '1' is not PATTERN=TEMPLATE",
    "sources: [{image: a, to: !env '${X}'}]": "1:26: the variable X is not set",
    "sources: [{image: a, to: !env '${x-y}'}]": "1:26: ${x-y} is no variable",
    "hosts: {h.e: {username: a, password-env: !env '${X}'}}\nsources: [a]": (
        "1:42: no variables are filled in here"
    ),
    "hosts: {h.e: {password: x}}\nsources: [a]": "1:15: a password never stands in a config",
    "hosts: {h.e: {username: x}}\nsources: [a]": "1:9: username and one of password-file",
    "hosts: {h.e: {key: x}}\nsources: [a]": "1:9: key is that of a cert",
    "hosts: {foo: {}}\nsources: [a]": "1:9: 'foo' is not a host",
    "hosts: {h.e: {connections: 0}}\nsources: [a]": "1:28: a number of connections is expected",
    "hosts: {h.e: {connections: x}}\nsources: [a]": "1:28: a number of connections is expected",
    "hosts: {h.e: {requests-per-second: nan}}\nsources: [a]": "1:36: a number of requests is",
    "hosts: {h.e: {plain-http: maybe}}\nsources: [a]": "1:27: true or false is expected",
    "hosts: {h.e: {bytes-per-second: fast}}\nsources: [a]": "1:33: 'fast' is not a number of bytes",
    "hosts: []\nsources: [a]": "1:8: hosts is expected, a list stands here",
    "sources: []": "1:10: the list is empty",
    "defaults: {}": "1:1: a mirror config has no sources",
    "version: 2\nsources: [a]": "1:10: 1 is expected, '2' stands here",
    "sources: [{}]": "1:11: either image or repository is expected",
    "sources: [[a]]": "1:11: a source, or the name of an image is expected, a list stands here",
    "sources: [{repository: a}]": "1:11: nothing says which tags of docker.io/library/a",
    "sources: [{repository: 'a:1', tags: all}]": "1:24: 'a:1' is an image, a repo",
    "sources: [{image: a, tags: [1]}]": "1:28: an image has no tags",
    "sources: [{image: A}]": "1:19: 'A': 'A' must be lower case",
    "sources: [{image: a, tagz: [1]}]": "1:22: a source has no key 'tagz'",
    "sources: [{repository: a, tags: []}]": "1:33: the list is empty",
    "sources: [{repository: a, tags: [a b]}]": "1:34: 'a b' is not a tag or digest",
    "sources: [{repository: a, tags: {}}]": "1:33: tags selects nothing",
    "sources: [{repository: a, tags: {glob: a, prereleases: true}}]": "1:33: prereleases is about",
    "sources: [{repository: a, tags: {regex: '('}}]": "1:41: '(' is not a regular expression",
    "sources: [{repository: a, tags: {semver: y}}]": "1:42: 'y' is not a range of versions",
    "sources: [{repository: a, tags: {latest: 0}}]": "1:42: a number of versions is expected",
    "sources: [{image: a, platforms: linux/}]": "1:33: platform 'linux/'",
    "sources: [{image: a, as: b}]": "1:11: 'b' has no host",
    "sources: [{repository: a, tags: all, as: 'h.e/b:1'}]": "1:11: as: h.e/b:1 is an image",
    "sources: [{image: a, to: foo}]": "1:26: to foo: 'foo' is not a host",
    "sources: [{image: a, to: }]": "1:25: a prefix HOST/PROJECT is expected, nothing stands here",
    "sources: [a]": "1:11: nothing says where docker.io/library/a goes",
    "sources: [a]\n---\nsources: [b]": "3:1: a second document stands in the file",
    "sources: a": "1:10: a list is expected, 'a' stands here",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_line_and_column(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _read(text)
    assert f"m.yaml:{MISTAKES[text]}" in caught.value.message


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        _read("versoin: 1\nsources:\n  - A\n  - {repository: b, tags: {semver: y}}\n")
    assert [line.partition(": ")[0] for line in caught.value.message.splitlines()] == [
        "m.yaml:1:1",
        "m.yaml:3:5",
        "m.yaml:4:36",
    ]
    assert caught.value.hint == "did you mean version?"
    with pytest.raises(InvalidInput) as caught:
        _read("sources:\n" + "  - A\n" * 30)
    assert caught.value.message.splitlines()[-1] == "and 10 more problems"


def test_the_published_schema_is_that_of_the_code() -> None:
    text = SCHEMA.read_text()
    assert text == schema_text(), "run: python -m imgsync.mirror.schema > docs/mirror.schema.json"
    schema = json.loads(text)
    assert schema == json_schema()
    assert schema["required"] == ["sources"]
    assert all(part["description"] for part in schema["properties"].values())


@given(st.text(alphabet="sources: [{image}]\n-tagsto&*!'", max_size=60))
def test_any_text_gives_a_config_or_our_error(text: str) -> None:
    with suppress(InvalidInput):
        _read(text)
    with suppress(InvalidInput):
        _read(text, format_name="imgsync")
