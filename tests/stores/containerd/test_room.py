"""Whether there is room: what is refused before anything comes, and what is left to containerd."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import NoSpace
from imgsync.events import Noted
from imgsync.model.digest import Digest
from imgsync.stores.containerd import room
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.namespace import Containerd
from imgsync.stores.containerd.parse import parse_content_root
from imgsync.stores.containerd.room import disk_of, parse_disk
from tests.images import sized_image
from tests.servers.containerd import Containerd as Server
from tests.servers.programs import require
from tests.stores.containerd.conftest import Loader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 1024 * 1024
DISK_BYTES = 48 * MB
SMALL = sized_image(1, 20 * MB, name="registry.example/room/small:1")
BIG = sized_image(3, 20 * MB, name="registry.example/room/big:1", seed=1)
DF = "Filesystem     Type   1024-blocks    Used Available Capacity Mounted on\n"


@pytest.fixture
def server() -> Iterator[Server]:
    """A containerd with a small disk."""
    require("mount", "umount")
    server = Server()
    disk = server.root / "root"
    disk.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    with server:
        yield server


def _loader(folder: Path, server: Server, namespace: str = "k8s.io") -> Loader:
    return Loader(folder, Containerd(Ctr(str(server.socket)), namespace))


@pytest.mark.real
def test_what_has_no_room_is_refused_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = _loader(tmp_path, server)
    with pytest.raises(NoSpace, match=r"6\d,\d+,\d+ bytes are to come, and [45]\d,.* are free on"):
        load(BIG)
    assert not server.blobs("k8s.io")
    assert not load(SMALL).failures
    # What is there can be named by another namespace without room for it.
    other = _loader(tmp_path, server, "other")
    assert not other(SMALL).failures
    with pytest.raises(NoSpace, match=f"are free on {server.root}/root; nothing was written"):
        load(BIG)
    assert server.blobs("k8s.io") == SMALL.digests()
    # Where it cannot be known, containerd itself says it.
    monkeypatch.setattr(room, "_SCRIPT", "exit 1")
    ((_, error),) = load(BIG).failures
    assert isinstance(error, NoSpace)
    assert "no space left on device" in error.message


@pytest.mark.real
def test_a_kubelet_would_begin_to_remove_images(server: Server, tmp_path: Path) -> None:
    middle = sized_image(2, 21 * MB, name="registry.example/room/middle:1", seed=2)
    load = _loader(tmp_path, server)
    assert not load(middle).failures
    (warning,) = (event for event in load.events if isinstance(event, Noted))
    assert "root will be 8" in warning.message
    assert "a kubelet removes images from 85 % on" in warning.message


@pytest.mark.real
def test_the_store_of_another_containerd_is_not_taken_for_it(
    server: Server, tmp_path: Path
) -> None:
    load = _loader(tmp_path, server)
    assert disk_of(load.containerd, None) is not None
    assert disk_of(load.containerd, Digest.of(b"not there")) is None
    load(SMALL)
    known = next(iter(load.containerd.content.digests()))
    assert disk_of(load.containerd, known) is not None
    assert disk_of(load.containerd, None) is None, "it has content of somebody"


def test_what_df_says() -> None:
    disk = parse_disk(
        f"12\t/x/ingest\n{DF}tmpfs          tmpfs      100000   25000     70000      27% /x y\n"
    )
    assert disk is not None
    assert (disk.kind, disk.mounted, disk.may_shrink) == ("tmpfs", "/x y", False)
    assert (disk.size, disk.free, disk.available) == (100000 * 1024, 75000 * 1024, 70000 * 1024)
    assert disk.ingested == 12 * 1024
    assert disk.percent_after(10000 * 1024) == 40
    assert disk.percent_after(10**12) == 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12\t/x\n",
        DF,
        f"12\t/x\n{DF}x  nfs  0  0  0  - /x",
        f"12\t/x\n{DF}x  nfs  0  0  0  0% /x",
    ],
)
def test_what_df_does_not_say(text: str) -> None:
    assert parse_disk(text) is None


def test_file_systems_that_compress_are_only_warned_of() -> None:
    for kind in ("btrfs", "zfs", "fuse.sshfs", "fuseblk"):
        disk = parse_disk(f"0\t/x\n{DF}x  {kind}  100  50  50  50% /x\n")
        assert disk is not None
        assert disk.may_shrink


@pytest.mark.parametrize("text", ["", "Type: io.containerd.content.v1\n", "x\nroot /y\n"])
def test_a_ctr_that_does_not_say_where(text: str) -> None:
    assert parse_content_root(text.encode()) == ""
