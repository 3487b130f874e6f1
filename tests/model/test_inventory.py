"""Inventories: what is written is read again, and nothing doubtful is believed."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.errors import InvalidInput
from imgsync.model import inventory as module
from imgsync.model.bundle import AbsentReason
from imgsync.model.digest import Digest
from imgsync.model.inventory import FORMAT, Inventory, read_have
from tests.bundles import lock_of, memory_of
from tests.images import Images

ONE, TWO, THREE = (Digest.of(text) for text in (b"one", b"two", b"three"))
LONG = Digest.of(b"four", "sha512")
NAMES = st.text("abc", min_size=1, max_size=2)


def _inventory() -> Inventory:
    return Inventory.make(
        ["harbor.example"],
        [(ONE, "h/team/app"), (TWO, "h/team/app"), (TWO, "h/team/db"), (THREE, ""), (LONG, "h/x")],
        taken="2026-01-31T12:00:00Z",
    )


def _edited(**changes: Any) -> bytes:
    return json.dumps({**json.loads(_inventory().to_bytes()), **changes}).encode()


def test_what_is_written_is_read_again() -> None:
    inventory = _inventory()
    again = Inventory.parse(inventory.to_bytes(), "far.json")
    assert again == inventory
    assert again.to_bytes() == inventory.to_bytes()
    assert again.digests == {ONE, TWO, THREE, LONG}
    assert again.repositories_of(TWO) == ("h/team/app", "h/team/db")
    assert again.repositories_of(THREE) == again.repositories_of(Digest.of(b"other")) == ()


@given(st.lists(st.tuples(st.integers(0, 9).map(lambda n: Digest.of(b"%d" % n)), NAMES)))
def test_the_order_of_finding_does_not_matter(found: list[tuple[Digest, str]]) -> None:
    one, other = Inventory.make(["t"], found), Inventory.make(["t"], reversed(found))
    assert one.to_bytes() == other.to_bytes()
    assert Inventory.parse(one.to_bytes(), "far.json") == one


def test_each_digest_is_a_line_that_grep_finds() -> None:
    lines = _inventory().to_bytes().decode().splitlines()
    for digest in (ONE, TWO, THREE, LONG):
        assert sum(digest.hex in line for line in lines) == 1
        assert any(line.strip('",') == digest.hex for line in lines)


def test_an_object_costs_68_bytes_and_half_when_compressed() -> None:
    found = [(Digest.of(b"%d" % n), "h/team/app") for n in range(1000)]
    raw = Inventory.make([], found).to_bytes()
    assert len(raw) < 68 * 1000 + 300
    assert len(gzip.compress(raw)) < 40 * 1000


def test_without_repositories_only_digests_are_told() -> None:
    raw = _inventory().without_repositories().to_bytes()
    assert b"team" not in raw
    assert b"harbor" not in raw
    assert read_have(raw, "far.json") == _inventory().digests


def test_a_gzip_file_is_read_as_it_is() -> None:
    raw = gzip.compress(_inventory().to_bytes())
    assert Inventory.parse(raw, "far.json.gz") == _inventory()


def test_a_lock_says_what_its_bundle_holds() -> None:
    images = Images()
    shared = images.layer({"base": b"base"})
    app = images.index(
        [
            images.image([shared, images.layer({"a": b"amd64"})]),
            images.image([shared, images.layer({"a": b"arm64"})], platform="linux/arm64"),
        ]
    )
    images.name("registry.example/team/app:1", app)
    images.name("registry.example/team/tool:1", images.image([shared]))
    memory = memory_of(images)
    whole = Inventory.parse(lock_of(memory).to_bytes(), "old.tar.lock.json")
    assert whole.digests == {Digest.parse(text) for text in images.blobs}
    assert whole.repositories_of(Digest.parse(shared.descriptor["digest"])) == (
        "registry.example/team/app",
        "registry.example/team/tool",
    )
    lock = lock_of(memory, "linux/amd64")
    part = read_have(lock.to_bytes(), "part.tar.lock.json")
    assert lock.absent.keys() == {Digest.parse(text) for text in images.blobs} - part
    assert set(lock.absent.values()) == {AbsentReason.PLATFORM}


def test_what_ctr_prints_is_read() -> None:
    text = f"# ctr content ls -q\n{ONE}\n\n  {LONG}\n{ONE}\n"
    assert read_have(text.encode(), "far.txt") == {ONE, LONG}


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        pytest.param(b"", "names no content", id="empty"),
        pytest.param(b"# nothing\n", "names no content", id="only a comment"),
        pytest.param(f"{ONE}\nhello\n".encode(), "far:2: 'hello' is not a digest", id="a word"),
        pytest.param(b"\xff\xfe\x00", "far:1: ", id="binary"),
        pytest.param(b"{", "far is not JSON", id="cut off"),
        pytest.param(b'{"format": 1, "format": 2}', "key twice", id="a key twice"),
        pytest.param(b"{}", "has the format None", id="other JSON"),
        pytest.param(_edited(format="imgsync.inventory/2"), "inventory/1 expected", id="newer"),
        pytest.param(_edited(more=1), "unknown key 'more'", id="a key too many"),
        pytest.param(b'{"format": "%s"}' % FORMAT.encode(), "has no content", id="a key too few"),
        pytest.param(_edited(taken="yesterday"), "a time like", id="no time"),
        pytest.param(_edited(targets=[1]), "targets is not a text", id="targets"),
        pytest.param(_edited(content={}), "content is not a list", id="content"),
        pytest.param(_edited(content=[{"digests": {}}]), "has no repositories", id="group"),
        pytest.param(
            _edited(content=[{"digests": {}, "repositories": ["b", "a"]}]),
            "the repositories are not sorted",
            id="unsorted",
        ),
        pytest.param(
            _edited(content=[{"digests": {"sha256": [ONE.hex] * 2}, "repositories": []}]),
            f"{ONE.short} stands there twice",
            id="a digest twice",
        ),
        pytest.param(
            _edited(content=[{"digests": {"sha256": ["../x"]}, "repositories": []}]),
            "far: digest sha256",
            id="no digest",
        ),
        pytest.param(
            _edited(content=[{"digests": {"md5": ["00"]}, "repositories": []}]),
            "algorithm 'md5'",
            id="another algorithm",
        ),
        pytest.param(gzip.compress(b"{}")[:-3], "the gzip file is damaged", id="cut gzip"),
        pytest.param(b'{"format": "imgsync.lock/1"}', "far: the lock has no ", id="a damaged lock"),
    ],
)
def test_what_is_no_inventory_is_refused(raw: bytes, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_have(raw, "far")
    assert problem in caught.value.message
    assert caught.value.message.startswith("far")
    assert caught.value.exit_code == 2


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(InvalidInput, match="larger than any inventory"):
        read_have(gzip.compress(bytes(2000)), "far")
