"""What a mirror may take away: only what is its own, unwanted, old, and needed by nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imgsync.mirror.prune import (
    GONE,
    IN_LOCK,
    MOVED,
    NEEDED,
    SELECTED,
    UNKNOWN,
    YOUNG,
    Standing,
    candidates,
    decide,
)
from imgsync.mirror.prune_about import about, doomed
from imgsync.mirror.receipts import ABOUT, PUSHED, REMOVED, Receipt, ReceiptBook
from imgsync.model.digest import Digest
from imgsync.model.reference import Reference

DAY_S = 86400.0
NOW_S = 100 * DAY_S
A, B, C = (Digest.parse(f"sha256:{letter * 64}") for letter in "abc")
REPOSITORY = "h.e/p/a"


def _name(tag: str) -> Reference:
    return Reference("h.e", "p/a", tag)


def _book(*entries: tuple[str, Digest], when: float = 0, what: str = PUSHED) -> ReceiptBook:
    return ReceiptBook(tuple(Receipt(when, what, _name(tag), digest) for tag, digest in entries))


def _why(
    book: ReceiptBook,
    standing: dict[str, Standing],
    selected: tuple[str, ...] = (),
    looked_at: tuple[str, ...] = (REPOSITORY,),
    locked: tuple[Digest, ...] = (),
) -> dict[str, str]:
    verdicts = candidates(book, {_name(tag) for tag in selected}, NOW_S, 30 * DAY_S)
    final = decide(
        verdicts, {_name(tag): item for tag, item in standing.items()}, looked_at, locked
    )
    return {verdict.receipt.destination.tag: verdict.why for verdict in final}


def test_what_we_pushed_and_nobody_wants_goes() -> None:
    book = _book(("1", A), ("2", B))
    standing = {"1": Standing(A), "2": Standing(B), "foreign": Standing(C)}
    assert _why(book, standing, selected=("2",)) == {"1": "", "2": SELECTED}


def test_what_was_pushed_lately_stays() -> None:
    book = _book(("1", A), when=NOW_S - 29 * DAY_S)
    assert _why(book, {"1": Standing(A)}) == {"1": YOUNG}
    assert _why(_book(("1", A), when=NOW_S + DAY_S), {"1": Standing(A)}) == {"1": YOUNG}
    assert _why(_book(("1", A), when=NOW_S - 30 * DAY_S), {"1": Standing(A)}) == {"1": ""}


def test_what_somebody_else_put_there_stays() -> None:
    assert _why(_book(("1", A)), {"1": Standing(B)}) == {"1": MOVED}
    assert _why(_book(("1", A)), {}) == {"1": GONE}
    assert _why(_book(("1", A), what=REMOVED), {"1": Standing(A)}) == {}


def test_what_could_not_be_looked_at_stays() -> None:
    assert _why(_book(("1", A)), {"1": Standing(A)}, looked_at=()) == {"1": UNKNOWN}


def test_a_digest_that_another_tag_needs_stays() -> None:
    book = _book(("1", A))
    assert _why(book, {"1": Standing(A), "x": Standing(A)}) == {"1": NEEDED}
    index = Standing(B, frozenset({A}))
    assert _why(book, {"1": Standing(A), "x": index}) == {"1": NEEDED}
    assert _why(_book(("1", A), ("x", B)), {"1": Standing(A), "x": index}) == {"1": "", "x": ""}
    moved = {"1": Standing(A), "x": Standing(C, frozenset({A}))}
    assert _why(_book(("1", A), ("x", B)), moved) == {"1": NEEDED, "x": MOVED}


def test_two_of_ours_that_share_a_digest_go_together_or_not_at_all() -> None:
    book = _book(("1", A), ("2", A))
    standing = {"1": Standing(A), "2": Standing(A)}
    assert _why(book, standing) == {"1": "", "2": ""}
    assert _why(book, standing, selected=("2",)) == {"1": NEEDED, "2": SELECTED}


def test_a_digest_that_a_lock_needs_stays() -> None:
    assert _why(_book(("1", A)), {"1": Standing(A)}, locked=(A,)) == {"1": IN_LOCK}


def test_the_last_receipt_counts() -> None:
    old, new = _book(("1", A)), _book(("1", A), when=NOW_S)
    book = ReceiptBook((*old.receipts, *new.receipts))
    assert _why(book, {"1": Standing(A)}) == {"1": YOUNG}


digests = st.sampled_from([A, B, C])
tags = st.sampled_from(["1", "2", "3", "4"])


@given(
    st.lists(st.tuples(tags, digests, st.sampled_from([0.0, NOW_S])), max_size=8),
    st.dictionaries(tags, st.builds(Standing, digests, st.frozensets(digests)), max_size=4),
    st.sets(tags),
    st.sets(digests),
)
def test_nothing_that_is_needed_ever_goes(
    pushes: list[tuple[str, Digest, float]],
    standing: dict[str, Standing],
    selected: set[str],
    locked: set[Digest],
) -> None:
    receipts = (Receipt(when, PUSHED, _name(tag), digest) for tag, digest, when in pushes)
    book = ReceiptBook(tuple(receipts))
    why = _why(book, standing, selected=tuple(selected), locked=tuple(locked))
    going = {tag for tag, reason in why.items() if not reason}
    staying = {tag: item for tag, item in standing.items() if tag not in going}
    last = book.latest
    for tag in going:
        receipt = last[_name(tag)]
        assert tag not in selected
        assert NOW_S - receipt.when >= 30 * DAY_S
        assert standing[tag].digest == receipt.digest
        assert receipt.digest not in locked
        needed = {digest for item in staying.values() for digest in (item.digest, *item.needs)}
        assert receipt.digest not in needed


# --- what is about what goes ------------------------------------------------------------------

D, E = (Digest.parse(f"sha256:{letter * 64}") for letter in "de")


def _signed(*entries: tuple[Reference, Digest, Digest]) -> ReceiptBook:
    """The image A under the tag 1, and what is about it: name, digest, subject."""
    receipts = [Receipt(0, ABOUT, name, digest, subject=about) for name, digest, about in entries]
    return ReceiptBook((Receipt(0, PUSHED, _name("1"), A), *receipts))


def _about(
    book: ReceiptBook, standing: dict[str, Standing], locked: tuple[Digest, ...] = ()
) -> dict[str, str]:
    stands = {_name(tag): item for tag, item in standing.items()}
    verdicts = decide(candidates(book, (), NOW_S, 0), stands, {REPOSITORY}, locked)
    found = about(book, doomed(verdicts, stands, {REPOSITORY}), stands, locked)
    return {verdict.receipt.destination.familiar: verdict.why for verdict in found}


def test_what_is_about_it_goes_too_and_what_is_about_that() -> None:
    by_digest = _name("").at(D)
    book = _signed((_name("a.sig"), C, A), (by_digest, D, A), (_name("d.sig"), E, D))
    standing = {"1": Standing(A), "a.sig": Standing(C), "d.sig": Standing(E)}
    assert _about(book, standing) == {"a.sig": "", str(D): "", "d.sig": ""}
    # Of a platform of an index too; and of none of it, where the image stays.
    index = {**standing, "1": Standing(A, frozenset({B}))}
    assert _about(_signed((_name("a.sig"), C, B)), index) == {"a.sig": ""}
    assert _about(book, {**standing, "2": Standing(A)}) == {}
    assert _about(_signed((_name("a.sig"), C, B)), {**index, "2": Standing(B)}) == {}


def test_what_is_about_it_stays_for_the_same_reasons() -> None:
    book = _signed((_name("a.sig"), C, A), (_name("c.sig"), D, C))
    assert _about(book, {"1": Standing(A), "a.sig": Standing(E)}) == {"a.sig": MOVED}
    both = {"1": Standing(A), "a.sig": Standing(C), "c.sig": Standing(D)}
    assert _about(book, both) == {"a.sig": "", "c.sig": ""}
    assert _about(book, both, locked=(C,)) == {"a.sig": IN_LOCK}
    assert _about(book, {**both, "x": Standing(C)}) == {"a.sig": NEEDED}
    assert _about(book, {**both, "x": Standing(E, frozenset({C}))}) == {"a.sig": NEEDED}
    # What is gone is no reason to keep what is about it; the list of what goes needs nothing.
    assert _about(book, {"1": Standing(A), "c.sig": Standing(D)}) == {"a.sig": GONE, "c.sig": ""}
    listed = {**both, f"sha256-{A.hex}": Standing(E, frozenset({C}))}
    assert _about(book, listed) == {"a.sig": "", "c.sig": ""}


def test_receipts_of_what_is_about_images_come_back_as_they_were() -> None:
    tagged = Receipt(5.0, ABOUT, _name("a.sig"), C, "x/y:a.sig", subject=A)
    by_digest = Receipt(5.0, ABOUT, _name("").at(D), D, subject=A)
    gone = Receipt(6.0, REMOVED, _name("").at(D), D)
    for receipt in (tagged, by_digest, gone):
        assert Receipt.from_json(receipt.to_json()) == receipt
    assert candidates(ReceiptBook((tagged, by_digest)), (), NOW_S, 0) == []
