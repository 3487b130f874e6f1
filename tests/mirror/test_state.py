"""State, receipts and lock: what survives a kill, damage and a second process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.errors import LockHeld, StoreError
from imgsync.mirror.files import beside, state_path, write_file
from imgsync.mirror.lock import hold_lock
from imgsync.mirror.receipts import PUSHED, REMOVED, Receipt, ReceiptBook, append_receipts
from imgsync.mirror.state import Checked, SeenBudget, State, load_state, save_state
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference

ONE, TWO = Digest.parse(f"sha256:{'1' * 64}"), Digest.parse(f"sha256:{'2' * 64}")


def _state() -> State:
    state = State(last_success_s=1000.5)
    state.remember_seen("a b", ONE)
    state.remember_rewritten(ONE, "linux/amd64", TWO)
    state.remember_checked("a", Checked(500.0, frozenset({str(ONE)}), frozenset({"x"})))
    state.budgets["docker.io"] = SeenBudget(100, 76, 21600, 900.0)
    return state


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.json"
    assert load_state(path) == (State(), "")
    save_state(path, _state())
    state, note = load_state(path)
    assert note == ""
    assert state.rewritten_digest(ONE, "linux/amd64") == TWO
    assert state.rewritten_digest(ONE, "linux/arm64") is None
    assert state.budgets == _state().budgets
    assert state.last_success_s == 1000.5
    assert state.checked("a") == Checked(500.0, frozenset({str(ONE)}), frozenset({"x"}))
    assert state.checked("b") is None
    assert state.has_changed("a b", TWO)
    assert not state.has_changed("a b", ONE)
    assert not state.has_changed("new", ONE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["state.json"]


def test_what_a_run_did_not_touch_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save_state(path, _state())
    state, _ = load_state(path)
    state.rewritten_digest(ONE, "linux/amd64")
    save_state(path, state)
    state, _ = load_state(path)
    assert list(state.rewritten) == [f"{ONE} linux/amd64"]
    assert not state.seen
    assert not state.referrers


@settings(deadline=None)  # it syncs to disk
@given(position=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_makes_a_state_ignored(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.json"
    save_state(path, _state())
    data = bytearray(path.read_bytes())
    data[position % len(data)] ^= 1 << bit
    path.write_bytes(data)
    state, note = load_state(path)
    # Blanks around the document may change without any meaning.
    assert (note and state == State()) or state.to_json()["lastSuccess"] == 1000.5


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b'{"sha256": 1, "state": 2}', b"\xff\xfe", b"{" * 10_000],
)
def test_whatever_stands_in_a_state_file_it_is_at_most_ignored(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    state, note = load_state(path)
    assert state == State()
    assert note.startswith("the state is ignored: ")
    save_state(path, _state())
    assert load_state(path)[1] == ""


def test_a_state_of_another_version_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    save_state(path, _state())
    path.write_bytes(path.read_bytes().replace(b"mirror-state/1", b"mirror-state/2"))
    assert "damaged" in load_state(path)[1]
    path.unlink()
    path.mkdir()
    assert load_state(path)[1].startswith("the state is ignored")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    (tmp_path / f".file.{os.getpid()}.partial").mkdir()
    with pytest.raises(StoreError):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_every_config_has_a_state_of_its_own() -> None:
    environment = {"HOME": "/home/ann", "XDG_STATE_HOME": "/var/state"}
    path = state_path("/etc/imgsync/site one.yaml", environment)
    assert str(path).startswith("/var/state/imgsync/mirror-site-one-")
    assert path != state_path("/etc/imgsync/b/site one.yaml", environment)
    assert state_path("x", {"HOME": "/home/ann"}).is_relative_to("/home/ann/.local/state/imgsync")
    assert state_path("x", {"XDG_STATE_HOME": "relative"}).is_relative_to("/var/lib/imgsync")
    assert beside(path, "lock").name == f"{path.stem}.lock"


# --- receipts ---------------------------------------------------------------------------------


def _receipt(tag: str, digest: Digest = ONE, what: str = PUSHED, when: float = 1e9) -> Receipt:
    return Receipt(when, what, Reference("h.e", "p/a", tag), digest, f"q.e/a:{tag}@{digest}", "")


def test_receipts_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "receipts.jsonl"
    assert ReceiptBook.read(path) == ReceiptBook()
    append_receipts(path, [])
    assert not path.exists()
    first = [_receipt("1"), _receipt("2")]
    append_receipts(path, first)
    append_receipts(path, [_receipt("1", TWO)])
    book = ReceiptBook.read(path)
    assert book.receipts == (*first, _receipt("1", TWO))
    assert book.n_unreadable == 0
    assert book.latest[Reference("h.e", "p/a", "1")].digest == TWO
    line = json.loads(path.read_text().splitlines()[0])
    assert line == {
        "destination": "h.e/p/a:1",
        "digest": str(ONE),
        "source": f"q.e/a:1@{ONE}",
        "sum": line["sum"],
        "what": "pushed",
        "when": "2001-09-09T01:46:40+00:00",
    }


def test_half_a_line_of_a_killed_run_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "receipts.jsonl"
    append_receipts(path, [_receipt("1"), _receipt("2")])
    path.write_bytes(path.read_bytes()[:-20])
    append_receipts(path, [_receipt("3")])
    book = ReceiptBook.read(path)
    assert [receipt.destination.tag for receipt in book.receipts] == ["1", "3"]
    assert book.n_unreadable == 1


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_damaged_file_loses_claims_and_invents_none(junk: bytes, position: int) -> None:
    raw = b"".join(json.dumps(_receipt(tag).to_json()).encode() + b"\n" for tag in "abc")
    whole = ReceiptBook.parse(raw)
    damaged = ReceiptBook.parse(raw[:position] + junk + raw[position:])
    assert set(damaged.receipts) <= set(whole.receipts)


@pytest.mark.parametrize(
    "change",
    [
        {"source": "elsewhere"},
        {"what": "seen"},
        {"destination": f"h.e/p/a@{ONE}"},
        {"digest": "x"},
        {"when": "yesterday"},
        {"when": 5},
        {"destination": None},
    ],
)
def test_a_line_that_is_no_receipt_claims_nothing(change: dict[str, object]) -> None:
    line = json.dumps({**_receipt("1").to_json(), **change}).encode()
    assert ReceiptBook.parse(line) == ReceiptBook((), 1)


def test_a_removal_ends_a_claim() -> None:
    lines = [_receipt("1"), _receipt("1", what=REMOVED)]
    raw = b"\n".join(json.dumps(receipt.to_json()).encode() for receipt in lines)
    assert ReceiptBook.parse(raw).latest[lines[0].destination].what == REMOVED


# --- lock -------------------------------------------------------------------------------------


def test_a_second_run_is_told_who_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "m.lock"
    with hold_lock(path, "imgsync mirror m.yaml"):
        with pytest.raises(LockHeld) as caught, hold_lock(path, "other"):
            pytest.fail("two have it")
        assert f"process {os.getpid()} on " in caught.value.message
        assert "`imgsync mirror m.yaml`, since 2" in caught.value.message
        assert caught.value.exit_code == 8
    with hold_lock(path, "again"):
        pass


def test_a_lock_goes_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "m.lock"
    code = (
        "import sys, time; from pathlib import Path; from imgsync.mirror.lock import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), 'child'):\n  print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match=f"process {child.pid} on"), hold_lock(path, "x"):
            pass
        child.kill()
        child.wait()
    with hold_lock(path, "x"):
        pass


def test_a_lock_whose_holder_said_nothing_is_still_held(tmp_path: Path) -> None:
    path = tmp_path / "m.lock"
    with ExitStack() as stack:
        stack.enter_context(hold_lock(path, "x"))
        path.write_text("no json")
        with pytest.raises(LockHeld, match=r"another run has the lock .*m\.lock"):
            stack.enter_context(hold_lock(path, "y"))


def test_a_folder_is_no_lock(tmp_path: Path) -> None:
    with pytest.raises(StoreError), hold_lock(tmp_path, "x"):
        time.sleep(0)
