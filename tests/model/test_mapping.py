"""Mapping: the default, rules, prefixes; and that mapping twice is mapping once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import Conflict, InvalidInput, InvalidReference
from imgsync.model.bundle import Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.map_rule import Rule, parse_rules
from imgsync.model.mapping import Mapping, Prefix, without_project
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.reference import Reference

DIGEST = f"sha256:{'a' * 64}"
TO = "harbor.example.com/tmp"


def _mapped(name: str, to: str = "", *rules: str, keep_registry: bool = False) -> str:
    mapping = Mapping.parse(to, [Rule.parse(rule) for rule in rules], keep_registry=keep_registry)
    return str(mapping.apply(Reference.parse(name)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("docker.io/library/redis:alpine", f"{TO}/redis:alpine"),
        ("redis", f"{TO}/redis:latest"),
        ("quay.io/prometheus/node-exporter:v1", f"{TO}/prometheus/node-exporter:v1"),
        ("localhost:5000/library/a:1", f"{TO}/a:1"),
        ("bitnami/redis:7", f"{TO}/bitnami/redis:7"),
        (f"quay.io/a/b@{DIGEST}", f"{TO}/a/b@{DIGEST}"),
        (f"{TO}/redis:alpine", f"{TO}/redis:alpine"),
        (f"{TO}/deep/er:1", f"{TO}/deep/er:1"),
        ("harbor.example.com/other/a:1", f"{TO}/other/a:1"),
        ("harbor.example.com/tmpx/a:1", f"{TO}/tmpx/a:1"),
    ],
)
def test_by_default_host_and_library_are_dropped(name: str, expected: str) -> None:
    assert _mapped(name, TO) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("redis:7", f"{TO}/docker.io/library/redis:7"),
        ("quay.io/a/b:1", f"{TO}/quay.io/a/b:1"),
        ("localhost:5000/a:1", f"{TO}/localhost-5000/a:1"),
        ("[::1]:5000/a:1", f"{TO}/1-5000/a:1"),
        ("Reg.Example.com/a:1", f"{TO}/reg.example.com/a:1"),
    ],
)
def test_the_host_can_be_kept_as_a_part_of_the_path(name: str, expected: str) -> None:
    assert _mapped(name, TO, keep_registry=True) == expected


def test_a_registry_without_projects_can_be_the_prefix() -> None:
    assert _mapped("redis:7", "127.0.0.1:5000") == "127.0.0.1:5000/redis:7"
    assert without_project([Reference.parse("h.example/a"), Reference.parse("h.example/a/b")]) == [
        Reference.parse("h.example/a")
    ]


@pytest.mark.parametrize(
    ("rule", "name", "expected"),
    [
        ("quay.io/*/*=h.example/m/{1}-{2}", "quay.io/a/b:1", "h.example/m/a-b:1"),
        ("quay.io/**=h.example/m/{1}", "quay.io/a/b/c:1", "h.example/m/a/b/c:1"),
        ("quay.io/*=h.example/m/{1}", "quay.io/a/b:1", "quay.io/a/b:1"),
        ("redis=h.example/cache", "redis:7", "h.example/cache:7"),
        ("redis*=h.example/cache{1}", "redis-ha:7", "h.example/cache-ha:7"),
        ("bitnami/{app}=h.example/b/{app}", "bitnami/redis:7", "h.example/b/redis:7"),
        ("gcr.io/{path:**}=h.example/g/{path}", "gcr.io/a/b/c:1", "h.example/g/a/b/c:1"),
        ("redis:{v}=h.example/redis:v{v}", "redis:7", "h.example/redis:v7"),
        ("**:latest=h.example/{repository}:stable", "redis", "h.example/library/redis:stable"),
        ("**:1=h.example/x/{1}", f"quay.io/a/b@{DIGEST}", f"quay.io/a/b@{DIGEST}"),
        ("*/**={registry}/mirror/{2}", "localhost:5000/a:1", "localhost:5000/mirror/a:1"),
        (
            "**=h.example/all/{registry}/{repository}",
            "localhost:5000/a:1",
            "h.example/all/localhost-5000/a:1",
        ),
        ("quay.io/**=h.example/q/{1}:{tag}", f"quay.io/a@{DIGEST}", f"h.example/q/a@{DIGEST}"),
        ("quay.io/**=h.example/q/{1}:pinned", f"quay.io/a@{DIGEST}", "h.example/q/a:pinned"),
        ("quay.io/{x}/*=h.example/{x}/{x}-{1}", "quay.io/a/b:1", "h.example/a/a-b:1"),
        ("quay.io/**=mine/{1}", "quay.io/a:1", "docker.io/mine/a:1"),
    ],
)
def test_a_rule_renames_what_it_matches(rule: str, name: str, expected: str) -> None:
    assert _mapped(name, "", rule) == expected


def test_the_first_rule_that_matches_wins_and_the_prefix_is_for_the_rest() -> None:
    rules = ("quay.io/a/*=first/{1}", "quay.io/**=ghcr.io/second/{1}")
    assert _mapped("quay.io/a/x:1", TO, *rules) == f"{TO}/first/x:1"
    assert _mapped("quay.io/b/x:1", TO, *rules) == "ghcr.io/second/b/x:1"
    assert _mapped("redis:7", TO, *rules) == f"{TO}/redis:7"


def test_a_rule_for_all_the_rest_leaves_what_another_rule_made() -> None:
    rules = ("quay.io/**=h.example/q/{1}", "*/**=h.example/rest/{2}")
    assert _mapped("quay.io/a:1", "", *rules) == "h.example/q/a:1"
    assert _mapped("h.example/q/a:1", "", *rules) == "h.example/q/a:1"
    assert _mapped("redis:7", "", *rules) == "h.example/rest/library/redis:7"


def test_a_template_under_the_prefix_may_set_the_tag() -> None:
    assert _mapped("quay.io/a/x:1", TO, "quay.io/a/*=a-{1}:v{tag}") == f"{TO}/a-x:v1"


@pytest.mark.parametrize(
    "text",
    [
        "quay.io/a",
        "=b",
        "a=",
        "a={2}",
        "a*={1}{2}",
        "a={x}",
        "{tag}=x",
        "{1}=x",
        "{x}/{x}=y",
        "a/**=b/**",
        "a/{x}=b/{x:**}",
        "a b=c",
        "a{=b",
        "a{b=c",
        "a=b}",
    ],
)
def test_a_rule_that_is_none_is_refused_by_its_words(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.parse(text, "rules.txt:3")
    assert "rules.txt:3" in caught.value.message
    assert caught.value.hint


def test_what_a_rule_makes_must_be_a_name() -> None:
    with pytest.raises(InvalidReference, match=r"quay\.io/a:1 would become h\.example/A"):
        _mapped("quay.io/a:1", "", "quay.io/*=h.example/A{1}")


def test_rules_come_from_a_file_too() -> None:
    rules = parse_rules(b"# first\nquay.io/** = h.example/q/{1}\n\n*/**=h.example/x/{2}\n", "m.txt")
    assert [rule.where.split()[0] for rule in rules] == ["m.txt:2", "m.txt:4"]
    mapping = Mapping(rules=rules)
    assert str(mapping.apply(Reference.parse("quay.io/a:1"))) == "h.example/q/a:1"
    with pytest.raises(InvalidInput, match=r"m\.txt:2: 'what' is not"):
        parse_rules(b"\nwhat\n", "m.txt")
    with pytest.raises(InvalidInput, match=r"m\.txt has no rule"):
        parse_rules(b"# none\n", "m.txt")
    with pytest.raises(InvalidInput, match=r"m\.txt is not UTF-8"):
        parse_rules(b"\xff", "m.txt")


@pytest.mark.parametrize(
    "text",
    ["harbor/tmp", "tmp", "h.example/A", "h.example/a:1", "http://h.example/a", "h.example/"],
)
def test_a_prefix_is_a_host_and_a_path(text: str) -> None:
    if text == "h.example/":
        assert Prefix.parse(text) == Prefix("h.example")
        return
    with pytest.raises(InvalidInput, match="--to"):
        Prefix.parse(text)


def test_a_url_is_no_prefix_and_what_was_meant_is_said() -> None:
    with pytest.raises(InvalidInput, match="this is a URL") as caught:
        Prefix.parse("https://h.example/a")
    assert caught.value.hint == "did you mean h.example/a?"


def test_a_prefix_is_written_as_it_was_typed() -> None:
    assert [str(Prefix.parse(text)) for text in ("h.example/a/b", "h.example")] == [
        "h.example/a/b",
        "h.example",
    ]


def test_a_name_may_become_too_long_under_a_prefix() -> None:
    with pytest.raises(InvalidReference, match=r"--to h\.example.*longer than 255"):
        _mapped(f"quay.io/{'a' * 240}", f"h.example/{'b' * 20}")


def test_a_kept_registry_needs_a_prefix() -> None:
    with pytest.raises(InvalidInput, match="--to"):
        Mapping.parse("", keep_registry=True)


def test_nothing_asked_for_changes_nothing() -> None:
    assert Mapping().is_identity
    assert _mapped("redis:7") == "docker.io/library/redis:7"


def test_rules_that_would_move_their_own_outcome_on_are_refused() -> None:
    with pytest.raises(Conflict, match=r"q\.example/a:1 to q\.example/b:1, and that on to"):
        _mapped("q.example/a:1", "", "q.example/b=q.example/c", "q.example/a=q.example/b")


# --- roots ------------------------------------------------------------------------------------


def _root(name: str, content: str = "") -> Root:
    digest = Digest.of((content or name).encode())
    return Root(Reference.parse(name), Descriptor(OCI_INDEX, digest, 7))


def test_two_images_that_land_on_one_name_are_an_error_that_names_both() -> None:
    roots = [_root("redis:7"), _root("quay.io/library/redis:7")]
    with pytest.raises(Conflict) as caught:
        Mapping.parse(TO).relocate(roots)
    for text in ("docker.io/library/redis:7", "quay.io/library/redis:7", f"{TO}/redis:7"):
        assert text in caught.value.message
    assert len(Mapping.parse(TO, keep_registry=True).relocate(roots)) == 2


def test_one_image_under_two_names_becomes_one() -> None:
    roots = [_root("redis:7", "x"), _root("quay.io/library/redis:7", "x")]
    assert [str(root.name) for root in Mapping.parse(TO).relocate(roots)] == [f"{TO}/redis:7"]


def test_content_about_an_image_follows_it_under_its_own_tag() -> None:
    image = _root("quay.io/a/b:1")
    tag = f"sha256-{image.descriptor.digest.hex}.sig"
    about = replace(_root("x:1"), name=None, subject=image.descriptor.digest)
    signature = replace(about, extra=f"quay.io/a/b:{tag}")
    label = replace(_root("y:1"), name=None, extra="1.0")
    free = replace(_root("z:1"), name=None, extra="An SBOM")
    moved = Mapping.parse("", [Rule.parse("quay.io/*/*=h.example/m/{1}-{2}:fixed")]).relocate(
        [image, signature, label, free]
    )
    assert [root.label for root in moved] == [
        "h.example/m/a-b:fixed",
        f"h.example/m/a-b:{tag}",
        "1.0",
        "An SBOM",
    ]
    assert moved[1].subject == image.descriptor.digest


# --- for all names ----------------------------------------------------------------------------

_PART = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,4})?", fullmatch=True)
_HOST = st.sampled_from(
    ["docker.io", "quay.io", "localhost:5000", "harbor.example.com", "10.0.0.1:80", "[::1]:1"]
)
_PATH = st.lists(_PART, min_size=1, max_size=4).map("/".join)


@st.composite
def _references(draw: st.DrawFn) -> Reference:
    tag = draw(st.sampled_from(["latest", "7", "V1.2-x"]))
    reference = Reference(draw(_HOST), draw(_PATH), tag)
    return draw(st.sampled_from([reference, reference.at(Digest.parse(DIGEST))]))


@given(_references(), _HOST, st.one_of(st.just(""), _PATH), st.booleans())
def test_moving_twice_is_moving_once(
    reference: Reference, host: str, path: str, keep_registry: bool
) -> None:
    mapping = Mapping(Prefix(host, path), keep_registry=keep_registry)
    moved = mapping.apply(reference)
    assert mapping.apply(moved) == moved
    assert Prefix(host, path).holds(moved)
    assert (moved.tag, moved.digest) == (reference.tag, reference.digest)


_RULES = [
    "quay.io/*/*=harbor.example.com/m/{1}-{2}",
    "docker.io/**={registry}/mirror/{repository}",
    "localhost:5000/**=ghcr.io/z/{1}",
    "*/{last}=quay.io/one/{last}:v{tag}",
    "**=quay.io/rest/{repository}",
    "*/*/**=short/{2}",
]


@given(
    _references(),
    st.lists(st.sampled_from(_RULES), max_size=3, unique=True),
    st.sampled_from(["", TO, "quay.io", "localhost:5000/x"]),
)
def test_rules_applied_twice_are_rules_applied_once_or_refused(
    reference: Reference, rules: list[str], to: str
) -> None:
    mapping = Mapping.parse(to, [Rule.parse(rule) for rule in rules])
    try:
        moved = mapping.apply(reference)
    except (Conflict, InvalidReference):
        return
    assert mapping.apply(moved) == moved
