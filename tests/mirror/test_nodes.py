"""YAML as nodes: places, texts as they were written, and documents that mean harm."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidInput
from imgsync.mirror.nodes import ListNode, MapNode, Node, TextNode, parse_documents


def _one(text: str) -> Node:
    (document,) = parse_documents(text.encode(), "m.yaml")
    return document


def _plain(node: Node) -> object:
    match node:
        case TextNode():
            return node.text
        case ListNode():
            return [_plain(item) for item in node.items]
        case MapNode():
            return {name.text: _plain(value) for name, value in node.entries}


def test_texts_stay_as_they_were_written() -> None:
    document = _one("tags: [1.10, no, 0x10, 2024-01-01, ~, '~', 1e3, 012]")
    assert _plain(document) == {
        "tags": ["1.10", "no", "0x10", "2024-01-01", "~", "~", "1e3", "012"]
    }
    tags = document.get("tags") if isinstance(document, MapNode) else None
    assert isinstance(tags, ListNode)
    nulls = [item.is_null for item in tags.items if isinstance(item, TextNode)]
    assert nulls == [False] * 4 + [True] + [False] * 3


def test_every_node_knows_its_place() -> None:
    document = _one("a:\n  - b\n  - c: d\n")
    assert isinstance(document, MapNode)
    items = document.get("a")
    assert isinstance(items, ListNode)
    assert [str(item.place) for item in items.items] == ["m.yaml:2:5", "m.yaml:3:5"]
    assert str(document.key("a").place) == "m.yaml:1:1"


def test_json_is_yaml() -> None:
    assert _plain(_one('{"a": ["b", {"c": null}]}')) == {"a": ["b", {"c": "null"}]}


def test_aliases_and_merges_are_followed() -> None:
    text = "x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: {<<: [*x, {c: 4}]}\n"
    assert _plain(_one(text)) == {
        "x": {"a": "1", "b": "2"},
        "y": {"b": "3", "a": "1"},
        "z": {"a": "1", "b": "2", "c": "4"},
    }


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(InvalidInput, match="too large, once its aliases are followed"):
        _one("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"m\.yaml:3:1: a stands there twice, first in line 1"),
        ("a: !!python/object:os.system x", r"m\.yaml:1:4: !!python/object:os.system is a tag"),
        ("a: !windows", r"m\.yaml:1:4: !windows is a tag"),
        ("a: [*-rc]", r"m\.yaml:1:5: \*-rc stands for nothing"),
        ("a: &a [*a]", r"m\.yaml:1:8: \*a stands for nothing"),
        ("[a]: b", r"m\.yaml:1:1: a list cannot be a key"),
        ("<<: a", r"m\.yaml:1:5: << needs a mapping, not 'a'"),
        ("a: b: c", r"m\.yaml:1:5: not YAML: mapping values are not allowed here"),
        ("a: [", r"m\.yaml:1:5: not YAML"),
        ("[" * 100, r"m\.yaml:1:33: nested more than 32 levels deep"),
        ("a: \x07", r"m\.yaml is not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _one(text)


def test_bytes_that_are_no_text_and_large_files_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"m\.yaml:2: this is not UTF-8 text"):
        parse_documents(b"a: 1\nb: \xff", "m.yaml")
    with pytest.raises(InvalidInput, match="a config has at most"):
        parse_documents(b"#" * (4 * 1024 * 1024 + 1), "m.yaml")


def test_a_file_may_have_several_documents() -> None:
    assert [_plain(node) for node in parse_documents(b"a: 1\n---\nb: 2\n", "m.yaml")] == [
        {"a": "1"},
        {"b": "2"},
    ]
    assert parse_documents(b"# nothing\n", "m.yaml") == []


@given(st.text(alphabet="ab:-[]{}*&!#'\"\n <,?|>%@~\t", max_size=60))
def test_any_text_gives_nodes_or_our_error(text: str) -> None:
    with suppress(InvalidInput):
        parse_documents(text.encode(), "m.yaml")


@given(st.binary(max_size=60))
def test_any_bytes_give_nodes_or_our_error(raw: bytes) -> None:
    with suppress(InvalidInput):
        parse_documents(raw, "m.yaml")
