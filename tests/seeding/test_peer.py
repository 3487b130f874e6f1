"""What a peer's shell makes of our orders: the archive that we would write ourselves."""

from __future__ import annotations

import io
import shlex
import subprocess
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgsync.seeding.peer import LOOP, order_lines
from imgsync.stores.containerd.delta import Delta
from imgsync.stores.containerd.stream import write_delta
from imgsync.stores.memory import Memory
from tests.store_contract import blob

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("shell", ["dash", "bash"])
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(st.binary(max_size=1500), max_size=4, unique=True),
    names=st.lists(st.text(min_size=1, max_size=30), max_size=3, unique=True),
)
def test_a_shell_writes_the_same_archive(
    shell: str, tmp_path: Path, parts: list[bytes], names: list[str]
) -> None:
    store = Memory()
    blobs = [blob(data) for data in parts]
    for item, data in zip(blobs, parts, strict=True):
        store.blobs[item.digest] = data
        (tmp_path / str(item.digest)).write_bytes(data)
    delta = Delta(dict.fromkeys(names, blob(b"{}")), blobs)
    with patch("secrets.token_hex", return_value="0123456789abcdef"):
        expected = io.BytesIO()
        write_delta(expected, delta, store, lambda _event: None)
        orders = b"".join(order_lines(delta))
    # As `ctr content get`: it takes a digest, and would read our orders if it could.
    get = shlex.join(["sh", "-c", f"cat; exec cat {shlex.quote(str(tmp_path))}/$1", "sh"])
    said = tmp_path / "said"
    script = f"exec 3>{shlex.quote(str(said))}\n{LOOP.format(get=get)}"
    ran = subprocess.run([shell, "-c", script], input=orders, capture_output=True, check=True)
    assert ran.stdout == expected.getvalue()
    assert said.read_text().split() == [str(item.digest) for item in blobs]
    assert not ran.stderr
