"""Small files and texts that options name, read and taken apart."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from imgsync.errors import InvalidInput, InvalidReference
from imgsync.model.map_rule import is_host
from imgsync.model.reference import DOCKER_IO, Reference

STDIN: Final = "-"
_TAR_MAGIC: Final = b"ustar"
_TAR_MAGIC_AT: Final = 257
_STDIN_FOR: Final = "imgsync.stdin"


def read_input(path: str, *, what: str) -> bytes:
    """A small file that a user named, or standard input for ``-``.

    Raises:
        InvalidInput: it cannot be read, or standard input was read already.
    """
    try:
        if path == STDIN:
            take_stdin(what)
            return sys.stdin.buffer.read()
        data = Path(path).read_bytes()
    except OSError as error:
        msg = f"{what} {path}: {error.strerror or error}"
        raise InvalidInput(msg) from error
    if data[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
        msg = f"{what} {path}: this is an archive, a text is expected"
        raise InvalidInput(msg, hint=f"of a bundle, its lock says what it holds: {path}.lock.json")
    return data


def take_stdin(what: str) -> None:
    """Remember what standard input is read for: the next who reads it would find nothing.

    Raises:
        InvalidInput: it was read in this run.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return
    before = context.meta.get(_STDIN_FOR)
    if before is not None:
        msg = f"{what} is to come from standard input, and {before} has come from there already"
        raise InvalidInput(msg, hint="give one of them as a file")
    context.meta[_STDIN_FOR] = what


def read_host(text: str) -> str:
    """The registry that a person means: a host and port, perhaps copied from a browser.

    Raises:
        InvalidInput: it is none.
    """
    bare = text.removeprefix("https://").removeprefix("http://").removeprefix("docker://")
    name = bare.rstrip("/").lower()
    if name in {"index.docker.io/v1", "docker.com", "hub.docker.com"}:
        name = DOCKER_IO
    if is_host(name) and "/" not in name:
        with suppress(InvalidReference):
            return Reference.parse(f"{name}/library/x:x").registry
    msg = f"{text!r} is not the host of a registry"
    raise InvalidInput(msg, hint="HOST or HOST:PORT expected, harbor.example.com")
