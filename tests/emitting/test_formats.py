"""What the formats say of a mapping, and what they cannot say."""

from __future__ import annotations

import tomllib

import pytest
import yaml

from imgsync.emitting.containerd_hosts import containerd_hosts
from imgsync.emitting.kustomize import kustomize
from imgsync.emitting.moves import Moves
from imgsync.emitting.rancher import registries_yaml
from imgsync.emitting.registries_conf import registries_conf
from imgsync.errors import Conflict, NotFound
from imgsync.model.map_rule import Rule
from imgsync.model.mapping import Mapping
from imgsync.model.reference import Reference

NAMES = ("redis:7", "grafana/grafana:11", "quay.io/team/app:1", "quay.io/team/app:2")
TO = "harbor.example.com/site"


def _moves(*names: str, to: str = TO, keep: bool = False, rules: tuple[str, ...] = ()) -> Moves:
    mapping = Mapping.parse(to, [Rule.parse(rule) for rule in rules], keep_registry=keep)
    references = [Reference.parse(name) for name in names]
    return Moves.of_pairs((name, mapping.apply(name)) for name in references)


def _https(_host: str) -> str:
    return "https"


def test_containerd_puts_a_prefix_before_paths() -> None:
    files = containerd_hosts(_moves(*NAMES, keep=True), _https, ca="/etc/ca.pem")
    assert files.keys() == {"docker.io/hosts.toml", "quay.io/hosts.toml"}
    hosts = tomllib.loads(files["quay.io/hosts.toml"])
    assert hosts["server"] == "https://harbor.example.com/v2/site/quay.io"
    assert hosts["override_path"] is True
    assert hosts["ca"] == "/etc/ca.pem"


def test_containerd_asks_several_prefixes_in_turn() -> None:
    rules = ("quay.io/team/*=one.example/a/team/{1}", "quay.io/**=two.example/b/{1}")
    moves = _moves("quay.io/team/app:1", "quay.io/other/x:1", to="", rules=rules)
    hosts = tomllib.loads(containerd_hosts(moves, _https)["quay.io/hosts.toml"])
    urls = {hosts["server"], *hosts["host"]}
    assert urls == {"https://one.example/v2/a", "https://two.example/v2/b"}
    assert all(entry["override_path"] for entry in hosts["host"].values())


def test_containerd_cannot_take_anything_away() -> None:
    with pytest.raises(Conflict, match=r"docker.io/library/redis -> harbor.example.com/site/redis"):
        containerd_hosts(_moves(*NAMES), _https)


def test_a_host_with_a_port_has_a_folder_that_every_version_looks_for() -> None:
    files = containerd_hosts(_moves("registry.example:5000/a/b:1"), _https)
    assert list(files) == ["registry.example_5000_/hosts.toml"]


def test_k3s_rewrites_each_repository_where_there_is_no_common_prefix() -> None:
    value = yaml.safe_load(registries_yaml(_moves(*NAMES), _https, skip_verify=True))
    assert value["mirrors"]["docker.io"] == {
        "endpoint": ["https://harbor.example.com"],
        "rewrite": {
            "^grafana/grafana$": "site/grafana/grafana",
            "^library/redis$": "site/redis",
        },
    }
    assert value["mirrors"]["quay.io"]["rewrite"] == {"^(.*)$": "site/$1"}
    assert value["configs"] == {"harbor.example.com": {"tls": {"insecure_skip_verify": True}}}


def test_kustomize_knows_every_spelling() -> None:
    value = yaml.safe_load(kustomize(_moves(*NAMES)))
    assert value["kind"] == "Component"
    new = {image["name"]: image["newName"] for image in value["images"]}
    for name in ("redis", "library/redis", "docker.io/redis", "docker.io/library/redis"):
        assert new[name] == f"{TO}/redis"
    assert new["grafana/grafana"] == f"{TO}/grafana/grafana"
    assert new["quay.io/team/app"] == f"{TO}/team/app"


def test_registries_conf_takes_the_longest_prefix() -> None:
    value = tomllib.loads(registries_conf(_moves(*NAMES), lambda _host: "http"))
    places = {entry["prefix"]: entry["location"] for entry in value["registry"]}
    assert places == {
        "docker.io/grafana/grafana": f"{TO}/grafana/grafana",
        "docker.io/library/redis": f"{TO}/redis",
        "quay.io": TO,
    }
    assert all(entry["insecure"] for entry in value["registry"])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (("quay.io/team/app:1=h.example/x/app:one",), "change a tag"),
        (("quay.io/team/app:1=h.example/x/app",), "of one repository and go to two"),
    ],
)
def test_tags_cannot_be_told_apart(rules: tuple[str, ...], message: str) -> None:
    with pytest.raises(Conflict, match=message):
        _moves("quay.io/team/app:1", "quay.io/team/app:2", rules=rules)


def test_nothing_to_say() -> None:
    with pytest.raises(NotFound, match="no image gets another name"):
        _moves("quay.io/team/app:1", to="")
