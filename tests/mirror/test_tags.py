"""Tag selection: each way to choose, how they go together, and that order does not matter."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidInput
from imgsync.mirror.semver import Version
from imgsync.mirror.tags import WHOLE, TagPattern, TagRule
from imgsync.mirror.version_range import Range

REDIS = [
    *("latest", "7", "7.2", "7.2.4", "7.2.3", "7.2.4-alpine", "7.2-alpine", "7-alpine"),
    *("7.2.4-rc1", "8.0-rc1", "8.0.0-rc1-alpine", "6", "6.2", "6.2.14", "6.2.14-alpine"),
    *("v6.2.14", "alpine", "20240101"),
]


def _rule(**parts: Any) -> TagRule:
    parts.setdefault("is_filter", True)
    for key in ("semver", "excluded_semver"):
        parts[key] = tuple(Range.parse(text) for text in parts.get(key, ()))
    globs = tuple(TagPattern.of_glob(text) for text in parts.pop("glob", ()))
    regexes = tuple(
        TagPattern.of_regex(text, before=WHOLE[0], behind=WHOLE[1])
        for text in parts.pop("regex", ())
    )
    parts["excluded"] = tuple(TagPattern.of_glob(text) for text in parts.get("excluded", ()))
    return TagRule(patterns=tuple(group for group in (globs, regexes) if group), **parts)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"exact": ("7", "nosuch"), "is_filter": False}, "7 nosuch"),
        ({"glob": ["7.*"]}, "7.2 7.2.4 7.2.4-alpine 7.2.4-rc1 7.2.3 7.2-alpine"),
        ({"glob": ["6", "l*"]}, "6 latest"),
        ({"regex": [r"\d+\.\d+"]}, "7.2 6.2"),
        ({"regex": [r"\d|a.*"]}, "7 6 alpine"),
        ({"regex": [r"(?i)ALPINE"]}, "alpine"),
        ({"glob": ["7*"], "regex": [r".*\d"]}, "7 7.2 7.2.3 7.2.4 7.2.4-rc1"),
        ({"semver": [">=7"]}, "7 7.2 7.2.3 7.2.4"),
        ({"semver": [">=7"], "glob": ["*.*.*"]}, "7.2.3 7.2.4"),
        ({"semver": [">=8-0"]}, "8.0-rc1 8.0.0-rc1-alpine"),
        ({"semver": ["=7.2.4", "=6.2.14"]}, "7.2.4 6.2.14 v6.2.14"),
        ({"semver": [">=8"], "prereleases": True}, ""),
        ({"semver": [">=7.2.4"], "prereleases": True}, "7.2.4 8.0-rc1 8.0.0-rc1-alpine"),
        ({"semver": [">=7"], "suffix": "-alpine"}, "7-alpine 7.2-alpine 7.2.4-alpine"),
        ({"latest": 1}, "7.2.4"),
        ({"latest": 3}, "7.2.4 7.2.3 6.2.14 v6.2.14"),
        ({"latest": 1, "suffix": "-alpine"}, "7.2.4-alpine"),
        ({"latest": 2, "semver": ["<7"]}, "6.2.14 v6.2.14"),
        ({"latest": 1, "prereleases": True}, "8.0.0-rc1-alpine"),
        ({"latest": 1, "excluded_semver": ["7.2.4"]}, "7.2.3"),
        ({"latest": 1, "exact": ("latest", "6")}, "latest 6 7.2.4"),
        ({"glob": ["7*"], "excluded": ["*-*"]}, "7 7.2 7.2.3 7.2.4"),
        ({"semver": ["*"], "latest": 0}, ""),
    ],
)
def test_what_is_selected(parts: dict[str, Any], expected: str) -> None:
    assert sorted(_rule(**parts).choose(REDIS)) == sorted(expected.split())


def test_versions_come_from_the_highest_on() -> None:
    chosen = _rule(excluded=["*-*"]).choose(REDIS)
    versions = ("7.2.4", "7.2.3", "7.2", "7", "6.2.14", "v6.2.14", "6.2", "6")
    assert chosen == (*versions, "20240101", "alpine", "latest")


def test_a_partial_version_counts_where_nothing_longer_is_there() -> None:
    assert _rule(latest=2).choose(["16", "15", "16.1", "15.4", "14"]) == ("16.1", "15.4")
    assert _rule(latest=2).choose(["24.04", "22.04", "20.04", "24"]) == ("24.04", "22.04")


def test_tags_about_other_images_are_never_selected() -> None:
    about = [f"sha256-{'a' * 64}{end}" for end in ("", ".sig", ".att", ".sbom")]
    assert _rule().choose([*about, "sha256-abc", "1"]) == ("1", "sha256-abc")


def test_what_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is not a regular expression"):
        TagPattern.of_regex("(")


def test_a_rule_that_selects_nothing_says_what_there_was() -> None:
    text = _rule(semver=[">=9"]).why_none(REDIS)
    assert text.startswith("of 18 tags none is selected; 15 are versions, 7 of them")
    assert "suffix" in text
    assert "suffix" not in _rule(semver=[">=9"], suffix="-alpine").why_none(REDIS)
    assert _rule(glob=["x"]).why_none([]) == "of 0 tags none is selected"


tags = st.lists(
    st.one_of(
        st.sampled_from(REDIS),
        st.builds(lambda *n: ".".join(map(str, n)), *(st.integers(0, 9) for _ in range(3))),
        st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,8}\Z"),
    )
)
rules = st.builds(
    _rule,
    glob=st.lists(st.sampled_from(["*", "7*", "*-alpine", "?"]), max_size=2),
    semver=st.lists(st.sampled_from([">=1", "<7", "^6", "*"]), max_size=2),
    latest=st.one_of(st.none(), st.integers(0, 4)),
    suffix=st.sampled_from(["", "-alpine"]),
    prereleases=st.booleans(),
    excluded=st.lists(st.sampled_from(["*-rc*", "latest"]), max_size=2),
    exact=st.sampled_from([(), ("7",), ("nosuch", "7")]),
)


@given(rules, tags, st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(
    rule: TagRule, listed: list[str], dice: random.Random
) -> None:
    chosen = rule.choose(listed)
    dice.shuffle(listed)
    assert rule.choose(listed + listed) == chosen
    assert len(set(chosen)) == len(chosen)
    assert set(chosen) <= {*listed, *rule.exact}
    assert set(rule.exact) <= set(chosen)


@given(rules, tags)
def test_choosing_again_chooses_the_same(rule: TagRule, listed: list[str]) -> None:
    chosen = rule.choose(listed)
    assert rule.choose(chosen) == chosen


@given(st.lists(st.integers(0, 30), min_size=1, unique=True), st.integers(1, 5))
def test_latest_is_the_highest(patches: list[int], latest: int) -> None:
    listed = [f"1.0.{patch}" for patch in patches]
    chosen = _rule(latest=latest).choose(listed)
    assert list(chosen) == sorted(listed, key=_key, reverse=True)[:latest]


def _key(tag: str) -> Version:
    version = Version.parse(tag)
    assert version is not None
    return version
