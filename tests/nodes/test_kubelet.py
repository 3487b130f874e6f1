"""What the kubelet sees, asked of a containerd that has its side."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from imgsync.model.platform import Platform
from imgsync.nodes.checking import Kind, check_images, check_namespace
from imgsync.nodes.looking import look
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.cri import CriImage, list_images, parse_images
from imgsync.stores.containerd.namespace import Containerd
from tests.images import Images
from tests.servers.containerd import Containerd as Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AMD64 = Platform("linux", "amd64")


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.real
def test_what_cri_lists(tmp_path: Path) -> None:
    images = Images()
    for number in range(70):
        name = f"docker.io/library/app{number}:{'x' * 100}"
        images.name(name, images.image([images.layer({"n": str(number).encode()})]))
    path = images.write_archive(tmp_path / "a.tar")
    with Server(cri=True) as server:
        assert list_images(str(server.socket)) == ()
        server.import_archive(path, "k8s.io")
        server.name(name, "redis:alpine", "k8s.io")
        # More than 16 KiB, so that it comes in several frames.
        _wait(lambda: len(list_images(str(server.socket)) or ()) == len(images.names))
        _wait(lambda: any(len(item.tags) == 2 for item in list_images(str(server.socket)) or ()))
        tags = {tag for image in list_images(str(server.socket)) or () for tag in image.tags}
        assert tags == {*images.names, "docker.io/library/redis:alpine"}
        ours = Containerd(Ctr(str(server.socket)), "k8s.io")
        facts = look(ours, AMD64)
        checks = check_images(facts)
        assert len(checks) == len(images.names)
        kinds = {finding.kind for check in checks for finding in check.findings}
        assert kinds == {Kind.NO_TWIN, Kind.NOT_PINNED, Kind.NOT_NORMALISED}
        # A name that was not normalised stays with the kubelet when it is gone.
        server.ctr("images", "rm", "redis:alpine", namespace="k8s.io")
        (ghost,) = check_namespace(look(ours, AMD64))
        assert (ghost.kind, ghost.subject) == (Kind.GHOST, "docker.io/library/redis:alpine")


@pytest.mark.real
def test_without_cri(containerd: Server) -> None:
    assert list_images(str(containerd.socket)) is None


def test_without_anybody(tmp_path: Path) -> None:
    assert list_images(str(tmp_path / "nobody")) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8),  # GOAWAY
        b"\x00\x00\x04\x03\x00\x00\x00\x00\x01" + bytes(4),  # RST_STREAM
        b"\x00\x00\x05\x00\x01\x00\x00\x00\x01" + b"\x01" + bytes(4),  # a compressed message
        b"\x00\x00\x07\x00\x01\x00\x00\x00\x01" + bytes(4) + b"\x02\x0a\x05",  # no protobuf
    ],
)
def test_whatever_answers(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert list_images(str(tmp_path / "s")) is None
        thread.join()


def test_a_message() -> None:
    image = b"\x0a\x03abc\x12\x03a:1\x12\x03b:2\x1a\x03a@x\x20\x07\x40\x01\x3a\x00"
    assert list(parse_images(b"\x0a" + bytes([len(image)]) + image)) == [
        CriImage("abc", ("a:1", "b:2"), ("a@x",), is_pinned=True)
    ]
