"""Memory and Discard."""

from __future__ import annotations

import pytest

from imgsync.errors import DigestMismatch
from imgsync.stores import Destination, Listing
from imgsync.stores.discard import Discard
from imgsync.stores.memory import Memory
from tests.store_contract import BothAndHolding, DestinationContract, HoldingContract, blob, put

_both: BothAndHolding = Memory()
_listing: Listing = Memory()
_destination: Destination = Discard()


class TestMemory(DestinationContract, HoldingContract):
    @pytest.fixture
    def store(self) -> Memory:
        return Memory()


def test_memory_lists_what_it_keeps() -> None:
    memory = Memory()
    put(memory, blob(b"data"), b"data")
    assert memory.sizes() == {blob(b"data").digest: 4}


def test_discard_lacks_everything_always() -> None:
    discard = Discard()
    put(discard, blob(b"data"), b"data")
    assert discard.missing([blob(b"data")]) == {blob(b"data").digest}


def test_discard_proves_what_it_reads() -> None:
    with pytest.raises(DigestMismatch):
        put(Discard(), blob(b"data"), b"date")
