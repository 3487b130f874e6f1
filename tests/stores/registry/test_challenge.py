"""Challenges, scopes: everything that registries write into WWW-Authenticate."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.stores.registry.challenge import Challenge, parse_challenges
from imgsync.stores.registry.scope import (
    Scope,
    covers,
    merged,
    parse_scopes,
    projects,
    pull_scope,
    push_scope,
)

BEARER = 'Bearer realm="https://auth.example/token",service="registry.example"'


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        ([""], []),
        (["Negotiate"], [("negotiate", {})]),
        (["Basic"], [("basic", {})]),
        (['Basic realm="harbor"'], [("basic", {"realm": "harbor"})]),
        (["basic REALM=harbor"], [("basic", {"realm": "harbor"})]),
        (
            [f'{BEARER},scope="repository:a/b:pull,push"'],
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.example/token",
                        "service": "registry.example",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (
            ['Negotiate, Basic realm="a, b", Bearer realm = "c" , error="insufficient_scope"'],
            [
                ("negotiate", {}),
                ("basic", {"realm": "a, b"}),
                ("bearer", {"realm": "c", "error": "insufficient_scope"}),
            ],
        ),
        (
            ['Basic realm="a"', 'Bearer realm="b"'],
            [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})],
        ),
        (["NTLM TlRMTVNTUAAC=="], [("ntlm", {})]),
        (['Bearer realm="say \\"hi\\"\\\\"'], [("bearer", {"realm": 'say "hi"\\'})]),
        (['Bearer realm="first",realm="second"'], [("bearer", {"realm": "first"})]),
        (['Bearer realm="a",,, service="b",'], [("bearer", {"realm": "a", "service": "b"})]),
        (['Bearer realm="never ends'], [("bearer", {})]),
        ([',;=@ Basic realm="a"'], [("basic", {"realm": "a"})]),
    ],
)
def test_challenges(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    found = [(item.scheme, dict(item.parameters)) for item in parse_challenges(headers)]
    assert found == expected


@given(st.lists(st.text()))
def test_no_header_stops_the_parser(headers: list[str]) -> None:
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()


TOKEN = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=10)
VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(
    st.lists(
        st.tuples(TOKEN, st.dictionaries(TOKEN.map(str.lower), VALUE, min_size=1)), max_size=4
    ),
    st.booleans(),
)
def test_what_was_written_is_read(
    challenges: list[tuple[str, dict[str, str]]], in_one_line: bool
) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = [
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    ]
    headers = [", ".join(lines)] if in_one_line else lines
    assert parse_challenges(headers) == tuple(
        Challenge(scheme.lower(), parameters) for scheme, parameters in challenges
    )


class TestScopes:
    def test_names_may_hold_colons(self) -> None:
        (scope,) = parse_scopes("repository:localhost:5000/a/b:pull,push")
        assert scope == Scope("repository", "localhost:5000/a/b", frozenset({"pull", "push"}))
        assert str(scope) == "repository:localhost:5000/a/b:pull,push"

    def test_several_in_one_text(self) -> None:
        found = parse_scopes("repository:p/x:pull,push repository:p/y:pull nonsense registry:c:*")
        assert [str(scope) for scope in found] == [
            "repository:p/x:pull,push",
            "repository:p/y:pull",
            "registry:c:*",
        ]

    def test_merging_keeps_the_order(self) -> None:
        both = merged([pull_scope("b"), pull_scope("a"), push_scope("b")])
        assert [str(scope) for scope in both] == ["repository:b:pull,push", "repository:a:pull"]

    def test_more_covers_less(self) -> None:
        assert covers((push_scope("a"),), (pull_scope("a"),))
        assert not covers((pull_scope("a"),), (push_scope("a"),))
        assert not covers((push_scope("a"),), (push_scope("a"), pull_scope("b")))
        assert covers((), ())

    def test_projects_are_first_parts(self) -> None:
        assert projects((push_scope("p/a/b"), pull_scope("q/c"))) == {"p", "q"}

    @given(st.text())
    def test_any_text_is_read(self, text: str) -> None:
        for scope in parse_scopes(text):
            assert scope.kind == scope.kind.strip()
