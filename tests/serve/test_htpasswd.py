"""Password files, with published test vectors and with files of Apache's own tool."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import InvalidInput
from imgsync.serve.access import basic_header
from imgsync.serve.htpasswd import Htpasswd, load_crypt, parse_htpasswd
from imgsync.serve.routes import RequestRefused
from tests.servers.htpasswd import write_htpasswd
from tests.servers.programs import program

if TYPE_CHECKING:
    from pathlib import Path

# The test vectors of crypt_blowfish (openwall): known passwords and their hashes.
VECTORS = [
    ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    ("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
    ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
]


@pytest.mark.parametrize(("password", "encoded"), VECTORS)
def test_bcrypt(password: str, encoded: str) -> None:
    access = Htpasswd(f"ann:{encoded}\n", "file")
    access(basic_header("ann", password))
    for user, other in (("ann", password + "x"), ("bob", password)):
        with pytest.raises(RequestRefused) as refused:
            access(basic_header(user, other))
        assert refused.value.status == 401


def test_a_file_of_htpasswd(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    write_htpasswd(path, {"ann": "pw", "bob": "p:w ä"})
    access = Htpasswd(path.read_text(), str(path))
    access(basic_header("ann", "pw"))
    access(basic_header("bob", "p:w ä"))
    for header in (None, "", "Basic", "Basic !", "Bearer x", basic_header("bob", "pw")):
        with pytest.raises(RequestRefused):
            access(header)


def test_a_right_password_is_checked_once() -> None:
    slow = subprocess.run(
        [program("htpasswd"), "-niBC", "11", "ann"], input=b"pw", capture_output=True, check=True
    ).stdout.decode()
    access = Htpasswd(slow, "file")
    access(basic_header("ann", "pw"))
    start = time.perf_counter()
    for _ in range(100):
        access(basic_header("ann", "pw"))
    # Hashing a hundred times would take ten seconds or more.
    assert time.perf_counter() - start < 3


def test_blank_lines_and_comments() -> None:
    text = f"# users\n\nann:{VECTORS[0][1]}\n"
    assert parse_htpasswd(text, "file") == {"ann": VECTORS[0][1].encode()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no users"),
        ("# nobody\n", "no users"),
        ("ann\n", "line 1: user:hash expected"),
        (":$2y$05$x\n", "line 1: user:hash expected"),
        ("#\nann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n", "line 2: the password of ann is not"),
        ("ann:$apr1$x$y\n", "is not hashed with bcrypt"),
        ("ann:plain\n", "is not hashed with bcrypt"),
    ],
)
def test_what_is_no_password_file(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Htpasswd(text, "file")


def test_a_hash_that_is_none_lets_nobody_in() -> None:
    access = Htpasswd("ann:$2y$05$broken\n", "file")
    with pytest.raises(RequestRefused):
        access(basic_header("ann", ""))
    assert load_crypt()(b"x", b"$2y$05$broken") != b"$2y$05$broken"
