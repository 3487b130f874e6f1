"""Patterns and rules, as Harbor's own matcher decides them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.harbor.immutable import Rule, Selector, covering, matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        # as in the tests of bmatcuk/doublestar 1.x
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*", "axbxcxdxe", True),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "ab", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        ("[\\]a]", "]", True),
        ("[x\\-]", "-", True),
        ("[x\\-]", "z", False),
        ("**", "abc", True),
        ("**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**", "a/b/c", True),
        ("**/c", "c", True),
        ("**/c", "b/c", True),
        ("**/c", "a/b/c", True),
        ("**/c", "a/b", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/*.txt", "a/c/d.txt", True),
        # two stars are only special as a whole part
        ("v**", "v1.0", True),
        ("a**", "a/b", False),
        ("ab{c,d}", "abc", True),
        ("ab{c,d,*}", "abcde", True),
        ("ab{c,d}[", "abcd", None),
        ("{release,v}-*", "v-1", True),
        ("{v1.0,v1.1}", "v1.2", False),
        ("v[0-9]*", "v1.0", True),
        ("v[0-9]*", "vx", False),
        ("v1.?", "v1x0", False),
        ("", "anything/at/all", True),
        ("[", "a", None),
        ("[]", "a", None),
        ("[-]", "a", None),
        ("[^b-a]", "x", True),
        ("[b-a]", "a", False),
        ("{a", "a", None),
        ("a\\", "a", None),
    ],
)
def test_patterns(pattern: str, text: str, expected: bool | None) -> None:
    assert matches(pattern, text) is expected


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_pattern_breaks_it(pattern: str, text: str) -> None:
    assert matches(pattern, text) in {True, False, None}


@given(st.from_regex(r"[a-z0-9._-]{1,20}", fullmatch=True))
def test_a_plain_text_matches_itself(text: str) -> None:
    assert matches(text, text) is True


def _value(repository: str, tag: str, *, how: str = "matches", disabled: bool = False) -> object:
    return {
        "disabled": disabled,
        "tag_selectors": [{"kind": "doublestar", "decoration": how, "pattern": tag}],
        "scope_selectors": {
            "repository": [
                {"kind": "doublestar", "decoration": "repoMatches", "pattern": repository}
            ]
        },
    }


def _rule(*args: str, **more: object) -> Rule:
    value = _value(*args, **more)  # type: ignore[arg-type]
    assert isinstance(value, dict)
    return Rule.from_json(value)


def test_a_rule_covers_repository_and_tag() -> None:
    rule = _rule("app/**", "v*")
    assert rule.covers("app/web", "v1")
    assert not rule.covers("app/web", "latest")
    assert not rule.covers("other", "v1")
    assert str(rule) == "app/**:v*"


def test_rules_that_are_off_or_exclude_or_are_broken() -> None:
    assert not _rule("**", "**", disabled=True).covers("a", "v1")
    but = _rule("**", "latest", how="excludes")
    assert but.covers("a", "v1")
    assert not but.covers("a", "latest")
    assert str(but) == "**:all but latest"
    assert not _rule("**", "[").covers("a", "v1")
    assert not Selector("[", excludes=True).covers("v1"), "Harbor selects nothing then"
    assert not Rule.from_json({}).covers("a", "v1")


def test_the_first_rule_that_covers_is_named() -> None:
    rules = [_rule("x", "**"), _rule("**", "v*"), _rule("**", "**")]
    assert covering(rules, "a", "v1") is rules[1]
    assert covering(rules[:1], "a", "v1") is None
