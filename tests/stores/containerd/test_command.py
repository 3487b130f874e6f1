"""How ctr is called, with a script in its place that tells what it was given."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import ContainerdError, InvalidInput
from imgsync.stores.containerd.command import Ctr, Ended, failure, hint_of

if TYPE_CHECKING:
    from pathlib import Path


def _script(folder: Path, text: str) -> Path:
    path = folder / "ctr"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_every_word_stays_one_word(tmp_path: Path) -> None:
    script = _script(tmp_path, 'for word; do echo "<$word>"; done')
    ctr = Ctr("/run/c.sock", str(script))
    assert ctr.text("k8s.io", "images", "tag", "a b", "$(id)", "'x", "").splitlines() == [
        "<--address>",
        "</run/c.sock>",
        "<--namespace>",
        "<k8s.io>",
        "<images>",
        "<tag>",
        "<a b>",
        "<$(id)>",
        "<'x>",
        "<>",
    ]


def test_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTAINERD_NAMESPACE", "other")
    monkeypatch.setenv("CONTAINERD_ADDRESS", "/other")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    lines = Ctr("/c", str(_script(tmp_path, "env"))).text("x").splitlines()
    assert "LC_ALL=C" in lines
    assert "CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1" in lines
    assert "HTTPS_PROXY=http://proxy.example" in lines
    assert not [line for line in lines if line.startswith(("CONTAINERD_N", "CONTAINERD_A"))]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ctr", ("ctr",)),
        ("k3s ctr", ("k3s", "ctr")),
        ("'/opt/my tools/ctr' --debug", ("/opt/my tools/ctr", "--debug")),
    ],
)
def test_a_command_of_several_words(command: str, words: tuple[str, ...]) -> None:
    ctr = Ctr("/c", command)
    assert ctr.words("n", "version")[: len(words)] == words
    assert not ctr.is_elsewhere


@pytest.mark.parametrize("command", ["", "  ", "'open"])
def test_what_is_no_command(command: str) -> None:
    with pytest.raises(InvalidInput, match="--ctr"):
        Ctr("/c", command)


def test_over_ssh_the_words_are_quoted_for_the_shell_over_there() -> None:
    ctr = Ctr("/c", "ssh root@node ctr")
    assert ctr.is_elsewhere
    assert ctr.words("n", "images", "rm", "a b; id")[-2:] == ("rm", "'a b; id'")
    assert Ctr("/c", "sudo /usr/bin/docker exec node ctr").is_elsewhere


def test_no_such_program(tmp_path: Path) -> None:
    with pytest.raises(ContainerdError, match="no such program") as error:
        Ctr("/c", str(tmp_path / "nothing")).run("n", "version")
    assert "--ctr" in error.value.hint
    (tmp_path / "data").write_text("")
    with pytest.raises(ContainerdError, match="Permission denied"):
        Ctr("/c", str(tmp_path / "data")).run("n", "version")


def test_a_failure_says_what_ctr_said(tmp_path: Path) -> None:
    script = _script(tmp_path, "echo out; echo 'ctr: it is broken' >&2; exit 1")
    with pytest.raises(ContainerdError) as error:
        Ctr("/c", str(script)).run("n", "images", "ls", "--quiet")
    assert error.value.message == "ctr images ls: it is broken (status 1)"
    assert error.value.exit_code == 7


def test_flags_are_asked_for_once(tmp_path: Path) -> None:
    text = f"echo x >> {tmp_path}/asked; echo '   --local   as before'"
    ctr = Ctr("/c", str(_script(tmp_path, text)))
    assert ctr.local("images", "import") == ("--local",)
    assert ctr.has("--local", "images", "import")
    assert not ctr.has("--other", "images", "import")
    assert (tmp_path / "asked").read_text() == "x\n"
    ctr.has("--local", "images", "push")
    assert (tmp_path / "asked").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("failed to dial: connect: permission denied", "run as root"),
        ("cannot access socket /run/x: no such file", "is containerd running?"),
        ("dial unix /x: connect: connection refused", "is containerd running?"),
        ("unknown service containerd.services.streaming.v1.Streaming", "--ctr"),
        ("write /var/lib: no space left on device", "free space"),
        ("something new", ""),
    ],
)
def test_hints(message: str, hint: str) -> None:
    assert hint_of(message).startswith(hint) or hint in hint_of(message)


def test_a_panic_is_told_as_one() -> None:
    ended = Ended(("images", "push"), 2, b"", "panic: provided file is not a console\n\ngoroutine")
    assert "crashed" in failure(ended).message


def test_a_status_without_a_message() -> None:
    assert failure(Ended(("version",), 1, b"", "")).message == "ctr version: no message (status 1)"


def test_python_is_no_place_elsewhere() -> None:
    assert not Ctr("/c", f"{sys.executable} -m x").is_elsewhere
