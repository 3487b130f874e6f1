"""Versions by the examples of semver.org, ranges by those of Masterminds' readme, and laws."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidInput
from imgsync.mirror.semver import Version
from imgsync.mirror.version_range import Range

# The list behind the regular expression that semver.org suggests.
VALID = """0.0.4 1.2.3 10.20.30 1.1.2-prerelease+meta 1.1.2+meta 1.1.2+meta-valid 1.0.0-alpha
1.0.0-beta 1.0.0-alpha.beta 1.0.0-alpha.beta.1 1.0.0-alpha.1 1.0.0-alpha0.valid
1.0.0-alpha.0valid 1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay 1.0.0-rc.1+build.1
2.0.0-rc.1+build.123 1.2.3-beta 10.2.3-DEV-SNAPSHOT 1.2.3-SNAPSHOT-123 1.0.0 2.0.0 1.1.7
2.0.0+build.1848 2.0.1-alpha.1227 1.0.0-alpha+beta 1.2.3----RC-SNAPSHOT.12.9.1--.12+788
1.2.3----R-S.12.9.1--.12+meta 1.2.3----RC-SNAPSHOT.12.9.1--.12 1.0.0+0.build.1-rc.10000aaa-kk-0.1
99999999999999999999999.999999999999999999.99999999999999999 1.0.0-0A.is.legal""".split()  # noqa: SIM905 - as it can be compared with the page

INVALID = """1 1.2 1.2.3-0123 1.2.3-0123.0123 1.1.2+.123 +invalid -invalid -invalid+invalid
-invalid.01 alpha alpha.beta alpha.beta.1 alpha.1 alpha+beta alpha_beta alpha. alpha.. beta
1.0.0-alpha_beta -alpha. 1.0.0-alpha.. 1.0.0-alpha..1 1.0.0-alpha...1 1.0.0-alpha....1
1.0.0-alpha.....1 1.0.0-alpha......1 1.0.0-alpha.......1 01.1.1 1.01.1 1.1.01 1.2 1.2.3.DEV
1.2-SNAPSHOT 1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788 1.2-RC-SNAPSHOT -1.0.3-gamma+b7718
+justmeta 9.8.7+meta+meta 9.8.7-whatever+meta+meta
99999999999999999999999.999999999999999999.99999999999999999----RC-SNAPSHOT.12.09.1--------------------------------..12""".split()  # noqa: SIM905 - as above

INVALID_ONCE = sorted(set(INVALID))


@pytest.mark.parametrize("text", VALID)
def test_what_semver_org_calls_valid_is_a_version(text: str) -> None:
    version = Version.parse(text)
    assert version is not None
    assert str(version) == text


@pytest.mark.parametrize("text", INVALID_ONCE)
def test_what_semver_org_calls_invalid_is_none(text: str) -> None:
    assert Version.parse(text) is None


def _version(text: str) -> Version:
    version = Version.of_tag(text)
    assert version is not None, text
    return version


def test_precedence_is_that_of_semver_org() -> None:
    order = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 "
    order += "1.0.0-rc.1 1.0.0 2.0.0 2.1.0 2.1.1"
    versions = [_version(text) for text in order.split()]
    assert all(low < high for low, high in pairwise(versions))
    backwards = versions[::-1]
    assert sorted(backwards) == versions


def test_build_metadata_does_not_count() -> None:
    assert _version("1.0.0+a") == _version("1.0.0+b") == _version("1.0.0_c")
    assert len({_version("1.0.0+a"), _version("1.0.0")}) == 1
    assert _version("1.0.0") != "1.0.0"


@pytest.mark.parametrize(
    ("tag", "text", "n_parts"),
    [
        ("v1.2.3", "1.2.3", 3),
        ("V1.2.3", "1.2.3", 3),
        ("1.25", "1.25.0", 2),
        ("7", "7.0.0", 1),
        ("22.04", "22.4.0", 2),
        ("7.2-alpine", "7.2.0-alpine", 2),
        ("1.0.0-rc.1_build.5", "1.0.0-rc.1+build.5", 3),
    ],
)
def test_tags_are_read_as_people_write_them(tag: str, text: str, n_parts: int) -> None:
    assert str(_version(tag)) == text
    assert _version(tag).n_parts == n_parts


@pytest.mark.parametrize(
    "tag", ["latest", "1.2.3.4", "20240101", "123456", "v", "", "1..2", "1.2.3-", "x1.0", "9" * 19]
)
def test_other_tags_are_no_versions(tag: str) -> None:
    assert Version.of_tag(tag) is None


# The readme of github.com/Masterminds/semver, which skopeo and regsync read ranges with.
SAME = [
    ("1.2 - 1.4.5", ">= 1.2 <= 1.4.5"),
    ("2.3.4 - 4.5", ">= 2.3.4 <= 4.5"),
    ("1.2.x", ">= 1.2.0, < 1.3.0"),
    (">= 1.2.x", ">= 1.2.0"),
    ("<= 2.x", "< 3"),
    ("*", ">= 0.0.0"),
    ("~1.2.3", ">= 1.2.3, < 1.3.0"),
    ("~1", ">= 1, < 2"),
    ("~2.3", ">= 2.3, < 2.4"),
    ("~1.2.x", ">= 1.2.0, < 1.3.0"),
    ("~1.x", ">= 1, < 2"),
    ("~>1.2.3", "~1.2.3"),
    ("^1.2.3", ">= 1.2.3, < 2.0.0"),
    ("^1.2.x", ">= 1.2.0, < 2.0.0"),
    ("^2.3", ">= 2.3, < 3"),
    ("^2.x", ">= 2.0.0, < 3"),
    ("^0.2.3", ">=0.2.3 <0.3.0"),
    ("^0.2", ">=0.2.0 <0.3.0"),
    ("^0.0.3", ">=0.0.3 <0.0.4"),
    ("^0.0", ">=0.0.0 <0.1.0"),
    ("^0", ">=0.0.0 <1.0.0"),
    ("=1.2", "1.2.x"),
    ("=>1.2", ">=1.2"),
    ("v1.2.3", "=1.2.3"),
    (">1.2", ">=1.3.0"),
    (">1.2.3", ">=1.2.4"),
    ("<1.2 || >=2", "<1.2.0||>=2.0.0"),
    ("!=1.2.x", "<1.2 || >=1.3"),
]

releases = st.builds(
    lambda *numbers: Version(numbers),
    *(st.integers(0, 5) for _ in range(3)),
)
versions = st.builds(
    lambda release, words: Version(release.numbers, tuple(words)),
    releases,
    st.lists(st.sampled_from(["0", "1", "10", "alpha", "rc1", "x-y"]), max_size=3),
)


@pytest.mark.parametrize(("text", "same"), SAME)
@given(version=releases)
def test_ranges_are_those_of_masterminds(text: str, same: str, version: Version) -> None:
    assert Range.parse(text).holds(version) == Range.parse(same).holds(version)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=1.25 <2", "1.25.0 1.25 1.99.9", "1.24.9 2 2.0.0 1.26.0-rc.1"),
        (">=1.25-0 <2", "1.26.0-rc.1 1.25.0-rc.1", "2.0.0-rc.1 2.0.0"),
        ("=1.2.3", "1.2.3", "1.2.2 1.2.4"),
        ("!=1.2.3", "1.2.2 1.2.4", "1.2.3"),
        (">*", "", "0.0.0 9.9.9"),
        ("<*", "", "0.0.0"),
        ("!=*", "", "1.0.0"),
        ("~*", "0.0.0 9.9.9", ""),
        ("=1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.1.0 1.2.3-rc.0"),
        ("<=1.2.3-rc.1", "1.2.3-rc.1 1.2.2", "1.2.3 1.2.3-rc.2"),
    ],
)
def test_ranges_hold_what_they_say(text: str, inside: str, outside: str) -> None:
    wanted = Range.parse(text)
    assert str(wanted) == text
    assert all(wanted.holds(_version(tag)) for tag in inside.split())
    assert not any(wanted.holds(_version(tag)) for tag in outside.split())


def test_prereleases_can_be_asked_for() -> None:
    wanted = Range.parse(">=1 <2")
    assert wanted.holds(_version("1.5.0-rc.1"), prereleases=True)
    assert not wanted.holds(_version("2.0.0-rc.1"), prereleases=True)
    assert not wanted.holds(_version("1.0.0-rc.1"), prereleases=True)


@pytest.mark.parametrize(
    "text", ["", "abc", ">=1 ||", ">=1foo", "> =1", ">=1.2.3.4", "1.2 - ", ">"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a range of versions"):
        Range.parse(text)


@given(versions, versions, versions)
def test_the_order_is_total(one: Version, two: Version, three: Version) -> None:
    assert sum([one < two, one == two, two < one]) == 1
    if one <= two <= three:
        assert one <= three
    if one == two:
        assert hash(one) == hash(two)


@given(versions)
def test_a_version_is_read_as_it_is_written(version: Version) -> None:
    assert Version.of_tag(str(version)) == version
    assert Version.of_tag(f"v{version}") == version


@given(versions, versions)
def test_comparisons_agree_with_the_order(low: Version, version: Version) -> None:
    for operator, expected in {
        ">=": version >= low,
        ">": version > low,
        "<=": version <= low,
        "<": version < low,
        "=": version == low,
        "!=": version != low,
    }.items():
        holds = Range.parse(f"{operator}{low}").holds(version, prereleases=True)
        assert holds == expected, f"{version} {operator}{low}"


@given(st.text(alphabet="0123456789.vxX*-+<>=!~^|, abc", max_size=30))
def test_any_text_gives_a_range_or_our_error(text: str) -> None:
    with suppress(InvalidInput):
        Range.parse(text).holds(Version((1, 2, 3)))
