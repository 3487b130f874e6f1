"""Files that get their final name by a rename: behind links, and never over what is no file."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import InvalidInput, NotFound
from imgsync.stores.disk import final_path, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    link = tmp_path / "link"
    link.symlink_to("usb/site.tar")
    assert final_path(link) == tmp_path / "usb/site.tar"
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "usb/site.tar").read_bytes() == b"new"
    assert sorted(path.name for path in (tmp_path / "usb").iterdir()) == ["site.tar"]


def test_nothing_is_renamed_over_a_pipe_or_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(InvalidInput, match="a device or a pipe"):
            final_path(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"through it")
    reader.join()
    assert read == [b"through it"]
    assert pipe.is_fifo()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        write_whole(tmp_path / "no/folder", b"x")
    assert list(tmp_path.iterdir()) == []
