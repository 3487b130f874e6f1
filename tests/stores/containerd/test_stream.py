"""The archive that goes into `ctr images import -`, looked at as a tar."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from imgsync.errors import DigestMismatch, SizeMismatch
from imgsync.events import Advanced, Event
from imgsync.stores.containerd.delta import Delta
from imgsync.stores.containerd.stream import write_delta
from imgsync.stores.memory import Memory
from tests.store_contract import blob


def _written(store: Memory, *data: bytes) -> list[tuple[str, bytes]]:
    out = io.BytesIO()
    root = blob(b"{}")
    names = {"b.example/a:1": root, "a.example/a:1": root}
    write_delta(out, Delta(names, list(map(blob, data))), store, _nobody)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def _nobody(_event: Event) -> None:
    pass


def test_the_names_come_last() -> None:
    store = Memory()
    parts = (b"one", b"", bytes(600_000))
    for data in parts:
        store.blobs[blob(data).digest] = data
    members = _written(store, *parts)
    assert [name for name, _ in members[-2:]] == ["oci-layout", "index.json"]
    assert [data for _, data in members[:-2]] == list(parts)
    index = json.loads(members[-1][1])
    assert [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]] == [
        "a.example/a:1",
        "b.example/a:1",
    ]


def test_members_have_other_names_in_every_run() -> None:
    store = Memory()
    store.blobs[blob(b"x").digest] = b"x"
    first, second = _written(store, b"x")[0][0], _written(store, b"x")[0][0]
    assert first != second
    for name in (first, second):
        nonce, _, encoded = name.partition("/")
        assert nonce.startswith("x-")
        assert len(nonce) > 10
        assert encoded == blob(b"x").digest.hex


@pytest.mark.parametrize(
    ("bad", "error"),
    [(b"other!", DigestMismatch), (b"shor", SizeMismatch), (b"longer than it", SizeMismatch)],
)
def test_after_a_bad_blob_there_is_no_index(bad: bytes, error: type[Exception]) -> None:
    store = Memory()
    good, wrong = blob(b"good"), blob(b"wrong!")
    store.blobs = {good.digest: b"good", wrong.digest: bad}
    out = io.BytesIO()
    with pytest.raises(error):
        write_delta(out, Delta({"a.example/a:1": good}, [good, wrong]), store, _nobody)
    assert b"index.json" not in out.getvalue()
    assert b"oci-layout" not in out.getvalue()


def test_bytes_are_told_as_they_go() -> None:
    store = Memory()
    data = bytes(700_000)
    store.blobs[blob(data).digest] = data
    events: list[Event] = []
    write_delta(io.BytesIO(), Delta({}, [blob(data)]), store, events.append)
    assert sum(event.n_bytes for event in events if isinstance(event, Advanced)) == len(data)
