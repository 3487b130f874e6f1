"""Finding containerd on hosts that have it in different places, or not at all."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import AccessDenied, ContainerdError, InvalidInput
from imgsync.stores.containerd.socket import (
    PLACES,
    Place,
    check_socket,
    find_command,
    find_place,
    open_containerd,
    parse_crictl,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """A socket that somebody listens on."""
    path = tmp_path / "c.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        yield path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (
            "runtime-endpoint: unix:///run/k3s/containerd/containerd.sock\n",
            "/run/k3s/containerd/containerd.sock",
        ),
        ('runtime-endpoint: "unix:///a.sock"\nimage-endpoint: ""\n', "/a.sock"),
        ("timeout: 2\nimage-endpoint: '/b.sock' # here\n", "/b.sock"),
        ("runtime-endpoint: ''\n", ""),
        ("runtime-endpoint: tcp://127.0.0.1:1\n", ""),
        ("", ""),
    ],
)
def test_the_file_of_crictl(text: str, address: str) -> None:
    assert parse_crictl(text) == address


def test_what_was_said_comes_first(tmp_path: Path) -> None:
    crictl = tmp_path / "crictl.yaml"
    crictl.write_text("runtime-endpoint: unix:///from/crictl.sock\n")
    there = tmp_path / "usual.sock"
    there.touch()
    places = [Place("one", str(tmp_path / "none.sock")), Place("two", str(there))]
    nothing = tmp_path / "none.yaml"
    assert find_place("unix:///said.sock", places, crictl).address == "/said.sock"
    assert find_place("", places, crictl).address == "/from/crictl.sock"
    assert find_place("", places, nothing) == places[1]
    assert find_place(str(there), places, nothing) == places[1]


def test_nothing_is_there(tmp_path: Path) -> None:
    places = [Place("containerd", str(tmp_path / "a")), Place("k3s", str(tmp_path / "b"))]
    with pytest.raises(ContainerdError) as error:
        find_place("", places, tmp_path / "none")
    assert f"{tmp_path}/a (containerd), {tmp_path}/b (k3s)" in error.value.message
    assert "--address" in error.value.hint


def test_the_usual_places_are_told_apart() -> None:
    assert len({place.address for place in PLACES}) == len(PLACES)


def test_a_socket_that_answers(listening: Path) -> None:
    check_socket(str(listening))
    check_socket(f"unix://{listening}")


def test_sockets_that_do_not(tmp_path: Path) -> None:
    with pytest.raises(ContainerdError, match="there is no socket"):
        check_socket(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(ContainerdError, match="there is no socket"):
        check_socket(str(tmp_path / "file/below"))
    with pytest.raises(ContainerdError, match="is not a socket"):
        check_socket(str(tmp_path / "file"))
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(dead))
    with pytest.raises(ContainerdError, match="nobody answers") as error:
        check_socket(str(dead))
    assert error.value.hint == "is containerd running?"


def test_a_socket_of_somebody_else(listening: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(AccessDenied, match="permission denied") as error:
        check_socket(str(listening))
    assert "root" in error.value.hint


def test_the_ctr_that_comes_with_a_containerd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    place = Place("k3s", "/x", ("k3s ctr",))
    assert find_command(place) == "ctr"  # and its absence is told by that name
    _program(tmp_path / "k3s")
    assert find_command(place) == "k3s ctr"
    _program(tmp_path / "ctr")
    assert find_command(place) == "ctr"


def test_opening(listening: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    none = tmp_path / "none"
    with pytest.raises(ContainerdError, match="ctr: no such program"):
        open_containerd("k8s.io", address=str(listening), crictl_file=none)
    _program(tmp_path / "ctr")
    found = open_containerd(
        "k8s.io", environment={"CONTAINERD_ADDRESS": str(listening)}, crictl_file=none
    )
    assert found.ctr.address == str(listening)
    assert found.namespace == "k8s.io"
    assert found.side == "containerd namespace k8s.io"


def test_over_ssh_no_socket_is_looked_for() -> None:
    found = open_containerd("k8s.io", command="ssh node ctr", address="/there.sock")
    assert found.ctr.address == "/there.sock"
    assert open_containerd("x", command="ssh n ctr").ctr.address == PLACES[0].address


@pytest.mark.parametrize("namespace", ["", "a b", "-a", "a..b", "k8s.io/", "x" * 77])
def test_what_is_no_namespace(namespace: str) -> None:
    with pytest.raises(InvalidInput, match="is not a containerd namespace"):
        open_containerd(namespace)


def _program(path: Path) -> None:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
