"""The lock of a namespace: who may open it, and what is refused."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgsync.errors import ContainerdError, LockHeld
from imgsync.stores.containerd import lock
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.lock import lock_name, locked
from imgsync.stores.containerd.namespace import Containerd

NOBODY = 65534


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has only folders of his own; the first of them, whose parent is not there."""
    monkeypatch.setattr(lock, "SHARED", tmp_path / "nobody-makes-this" / "imgsync")
    first = tmp_path / "user" / "{uid}" / "imgsync"
    monkeypatch.setattr(lock, "OWN", (str(first), str(tmp_path / "imgsync-{uid}")))
    return Path(str(first).format(uid=os.geteuid()))


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of root's."""
    monkeypatch.setattr(lock, "SHARED", tmp_path / "imgsync")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path / "imgsync"


def test_a_lock_is_for_one_namespace_of_one_socket(shared: Path) -> None:
    with locked("/run/a.sock", "k8s.io"), locked("/run/b.sock", "k8s.io"):
        with locked("/run/a.sock", "moby"):
            assert len(list(shared.iterdir())) == 3
        with (
            pytest.raises(LockHeld, match=rf"namespace k8s.io: process {os.getpid()}, since 2"),
            locked("/run/a.sock", "k8s.io"),
        ):
            pass
    with locked("/run/a.sock", "k8s.io"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
@pytest.mark.parametrize(("mode", "wanted"), [(0o660, 0o660), (0o600, 0o600), (0o777, 0o666)])
def test_who_may_open_the_socket_may_open_the_lock(
    shared: Path, tmp_path: Path, mode: int, wanted: int
) -> None:
    socket = tmp_path / "c.sock"
    socket.touch()
    os.chown(socket, 0, NOBODY)
    socket.chmod(mode)
    with locked(str(socket), "k8s.io"):
        pass
    found = (shared / lock_name(str(socket), "k8s.io")).stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, NOBODY, wanted)
    assert shared.stat().st_mode & 0o022 == 0


def test_a_user_without_it_has_a_folder_of_his_own(own: Path, tmp_path: Path) -> None:
    with locked("/run/a.sock", "k8s.io"):
        (folder,) = tmp_path.glob("imgsync-*")
        assert folder.stat().st_mode & 0o777 == 0o700
    own.parent.mkdir(parents=True)
    with locked("/run/a.sock", "k8s.io"):
        assert [path.name for path in own.iterdir()] == ["k8s.io.run.a.sock.lock"]


@pytest.mark.parametrize("how", ["a link", "writable for others", "a file"])
def test_a_folder_that_others_can_write_is_no_place(own: Path, tmp_path: Path, how: str) -> None:
    del own
    folder = tmp_path / f"imgsync-{os.geteuid()}"
    if how == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    elif how == "a file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(ContainerdError, match="imgsync-"), locked("/run/a.sock", "k8s.io"):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_folder_of_somebody_else_is_no_place(own: Path, tmp_path: Path) -> None:
    del own
    folder = tmp_path / f"imgsync-{os.geteuid()}"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with (
        pytest.raises(ContainerdError, match="not a folder of this user alone"),
        locked("/run/a.sock", "k8s.io"),
    ):
        pass


def test_a_link_in_place_of_the_lock_is_not_followed(own: Path, tmp_path: Path) -> None:
    own.mkdir(parents=True)
    (tmp_path / "precious").write_text("keep")
    (own / lock_name("/run/a.sock", "k8s.io")).symlink_to(tmp_path / "precious")
    with pytest.raises(ContainerdError, match="cannot be opened"), locked("/run/a.sock", "k8s.io"):
        pass
    assert (tmp_path / "precious").read_text() == "keep"


def test_several_steps_under_one_lock(shared: Path) -> None:
    del shared
    one, two = (Containerd(Ctr("/run/a.sock"), "k8s.io") for _ in range(2))
    with one.locked(), one.locked():
        with pytest.raises(LockHeld), two.locked():
            pass
        with ThreadPoolExecutor(1) as pool, pytest.raises(LockHeld):
            pool.submit(one.locked().__enter__).result()
    with two.locked():
        pass
