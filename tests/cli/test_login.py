"""``imgsync login`` and ``logout`` against a real registry, with and without a terminal."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from imgsync.cli.inputs import read_host
from imgsync.errors import InvalidInput
from tests.cli.run import imgsync
from tests.servers.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "p:w$1"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Registry]:
    with Registry(users={"ann": PASSWORD}) as server:
        yield server


@pytest.mark.real
def test_what_is_proved_is_kept_for_its_owner_alone_and_forgotten_again(
    guarded: Registry, tmp_path: Path
) -> None:
    authfile = tmp_path / "auth.json"
    args = (guarded.host, "--authfile", authfile)
    ran = imgsync("login", *args, "--username", "ann", "--password-stdin", stdin=b"p:w$1\n")
    assert ran.out == f"{guarded.host}: logged in as ann, kept in {authfile}\n"
    assert PASSWORD not in ran.out + ran.err
    assert stat.S_IMODE(authfile.stat().st_mode) == 0o600
    assert list(json.loads(authfile.read_text())["auths"]) == [guarded.host]
    assert imgsync("logout", *args).out == f"{guarded.host}: taken out of {authfile}\n"
    assert json.loads(authfile.read_text()).get("auths", {}) == {}
    assert imgsync("logout", *args).out == f"{guarded.host}: nobody was logged in\n"


@pytest.mark.real
def test_a_wrong_password_is_not_kept(guarded: Registry, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    login = ("login", guarded.host, "--authfile", authfile, "--username", "ann")
    ran = imgsync(*login, "--password-stdin", stdin=b"wrong\n", code=5)
    assert "user ann from --username" in ran.err
    assert "wrong" not in ran.err
    assert not authfile.exists()


@pytest.mark.real
def test_a_registry_that_asks_for_nothing_proves_nothing(
    registry: Registry, tmp_path: Path
) -> None:
    login = ("login", registry.host, "--authfile", tmp_path / "auth.json", "--username", "ann")
    ran = imgsync(*login, "--password-stdin", stdin=b"x\n")
    assert "did not ask for credentials" in ran.err


def test_a_script_is_told_what_it_lacks() -> None:
    host = "harbor.example.com"
    assert "no credentials are given for harbor" in imgsync("login", host, code=2).err
    assert "no password is given" in imgsync("login", host, "--username", "ann", code=2).err
    other = imgsync(
        "login", host, "--username", "o.example=ann", "--password-stdin", stdin=b"x", code=2
    )
    assert "no credentials are given for harbor" in other.err


@pytest.mark.real
def test_a_person_is_asked_and_the_password_is_not_shown(guarded: Registry, tmp_path: Path) -> None:
    authfile = tmp_path / "auth.json"
    command = [sys.executable, "-m", "imgsync", "login", guarded.host, "--authfile", str(authfile)]
    main, terminal = pty.openpty()
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        shown = b""
        answers = iter([(b"User: ", b"ann\n"), (b"Password: ", PASSWORD.encode() + b"\n")])
        prompt, answer = next(answers)
        while True:
            try:
                shown += os.read(main, 1024)
            except OSError:
                break
            if prompt and shown.endswith(prompt):
                os.write(main, answer)
                prompt, answer = next(answers, (b"", b""))
    os.close(main)
    assert process.returncode == 0, shown
    assert PASSWORD.encode() not in shown
    assert b"logged in as ann" in shown
    assert authfile.exists()


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("harbor.example.com", "harbor.example.com"),
        ("https://harbor.example.com/", "harbor.example.com"),
        ("Harbor.example.com:8443", "harbor.example.com:8443"),
        ("localhost:5000", "localhost:5000"),
        ("docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
def test_a_registry_is_known_by_what_people_call_it(text: str, host: str) -> None:
    assert read_host(text) == host


@pytest.mark.parametrize("text", ["", "harbor", "harbor.example.com/project", "a b.c", "x:y:z"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not the host of a registry"):
        read_host(text)
