"""Decisions before a push, without a Harbor."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from imgsync.harbor.detect import is_candidate
from imgsync.harbor.facts import Project, Quota, RobotFacts, SystemInfo, retention_rules
from imgsync.harbor.grants import read_grants
from imgsync.harbor.preflight import HarborOptions, ProjectState, full_error, room_for
from imgsync.model.digest import Digest
from imgsync.stores.registry.credential import Credential

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))


def token(claims: object) -> str:
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


def test_room_counts_each_digest_once_in_order() -> None:
    needs = [{A: 50, B: 10}, {A: 50, C: 100}, {B: 10}, {C: 5}]
    room = room_for(needs, 70, ())
    assert room.refused == {1: 100}
    assert room.n_bytes == 65, "a small one fits behind a large one that does not"
    assert room_for(needs, None, ()).refused == {}
    assert room_for(needs, 0, (A, B, C)).refused == {}, "nothing is added to a full project"


def test_words_about_room() -> None:
    error = full_error("h/p", 3 * 2**20, Quota(10 * 2**20, 9 * 2**20), 0)
    assert (
        error.message == "h/p has no room for it: it adds 3.0 MiB, and 1.0 MiB of 10.0 MiB are free"
    )


def test_quotas() -> None:
    assert Quota.from_json({"hard": {"storage": -1}, "used": {"storage": 7}}) == Quota(-1, 7)
    assert Quota(-1, 7).free is None
    assert Quota(5, 7).free == 0
    assert Quota.from_json({"hard": {}, "used": None}) is None


def test_grants() -> None:
    access = [
        {"type": "repository", "name": "team/a", "actions": ["pull"]},
        {"type": "repository", "name": "team/b", "actions": ["push"]},
        {"type": "repository", "name": "other/b", "actions": None},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
        "nonsense",
    ]
    grants = read_grants(token({"sub": "ann", "access": access}))
    assert grants is not None
    assert grants.subject == "ann"
    assert grants.of("team") == {"pull", "push"}
    assert grants.of("other") == grants.of("none") == frozenset()


@pytest.mark.parametrize(
    "text", ["", "opaque", "a.b.c", "a.!!.c", token([]), token({}), token({"access": 1})]
)
def test_tokens_that_say_nothing(text: str) -> None:
    assert read_grants(text) is None


def state(**fields: object) -> ProjectState:
    made = ProjectState("h", "team", SystemInfo(), Credential("ann", "pw"), exists=True)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def test_what_is_not_known_is_no_conflict() -> None:
    assert state(exists=None).verdict(HarborOptions()) is None
    assert state(exists=True, grants=None).verdict(HarborOptions()) is None


def test_oidc_mode_is_told_of_the_cli_secret() -> None:
    nobody = read_grants(token({"sub": "", "access": []}))
    error = state(grants=nobody, info=SystemInfo(auth_mode="oidc_auth")).verdict(HarborOptions())
    assert error is not None
    assert "CLI secret" in error.hint


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("docker.io", False),
        ("quay.io", False),
        ("europe-docker.pkg.dev", False),
        ("1234.dkr.ecr.eu-west-1.amazonaws.com", False),
        ("harbor.example.com:8443", True),
        ("quay.io.example.com", True),
        ("notquay.io", True),
        ("10.0.0.1:5000", True),
    ],
)
def test_who_is_never_asked(name: str, expected: bool) -> None:
    assert is_candidate(name) is expected


def test_facts_are_read_with_care() -> None:
    assert Project.from_json({}) == Project("")
    project = Project.from_json(
        {
            "name": "p",
            "project_id": 3,
            "registry_id": 1,
            "metadata": {"public": "true", "retention_id": "4"},
        }
    )
    assert project == Project("p", 3, is_public=True, is_proxy=True, retention_id=4)
    rules = retention_rules(
        {
            "rules": [
                {
                    "template": "latestPushedK",
                    "params": {"latestPushedK": 5},
                    "tag_selectors": [{"decoration": "matches", "pattern": "v*"}],
                    "scope_selectors": {
                        "repository": [{"decoration": "repoMatches", "pattern": "**"}]
                    },
                },
                {"template": "unheard", "disabled": True},
                7,
            ]
        }
    )
    assert str(rules[0]) == "keeps the 5 pushed last of **:v*"
    assert str(rules[1]).endswith("(off)")
    robot = RobotFacts.from_json(
        {
            "name": "robot$ci",
            "permissions": [
                {"namespace": "p", "access": [{"resource": "repository", "action": "push"}]}
            ],
        }
    )
    assert robot.scope == (("p", ("repository:push",)),)
