"""Credential helpers: ``docker-credential-NAME``, as docker and podman run them.

Protocol: docker/docker-credential-helpers. The host goes in by standard input, JSON comes out. No
shell, a bounded time, and a name that can be nothing but the end of a program's name.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Final

from imgsync.errors import AccessDenied, InvalidInput
from imgsync.stores.registry.credential import TOKEN_USER, Credential, from_pair

if TYPE_CHECKING:
    from collections.abc import Mapping

HELPER_TIMEOUT_S: Final = 30.0
"""Long enough for one that asks a cloud or a key ring, short enough for cron."""

_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_NOT_FOUND: Final = "credentials not found"


def get(name: str, server: str, environ: Mapping[str, str]) -> Credential | None:
    """What the helper knows about a server, or None.

    Raises:
        AccessDenied: it failed otherwise than by not knowing.
    """
    program = _program(name)
    code, output = _run(program, "get", server, environ)
    if code != 0:
        if _NOT_FOUND in output.lower():
            return None
        raise _failed(program, server, output)
    try:
        value = json.loads(output)
        username, secret = value["Username"], value["Secret"]
    except (ValueError, KeyError, TypeError):
        msg = f"{program} did not answer as a credential helper does for {server}"
        raise AccessDenied(msg) from None
    if not isinstance(username, str) or not isinstance(secret, str) or not username:
        return None
    return from_pair(username, secret, program)


def store(name: str, server: str, credential: Credential, environ: Mapping[str, str]) -> None:
    """Let the helper keep a credential.

    Raises:
        AccessDenied: it refuses.
    """
    program = _program(name)
    username = credential.username or TOKEN_USER
    secret = credential.password or credential.identity_token
    entry = json.dumps({"ServerURL": server, "Username": username, "Secret": secret})
    code, output = _run(program, "store", entry, environ)
    if code != 0:
        raise _failed(program, server, output)


def erase(name: str, server: str, environ: Mapping[str, str]) -> None:
    """Let the helper forget a server; harmless if it does not know it.

    Raises:
        AccessDenied: it failed otherwise.
    """
    program = _program(name)
    code, output = _run(program, "erase", server, environ)
    if code != 0 and _NOT_FOUND not in output.lower():
        raise _failed(program, server, output)


def _program(name: str) -> str:
    if not _NAME.fullmatch(name):
        msg = f"the credential helper {name!r} has a name that no program has"
        raise InvalidInput(msg)
    return f"docker-credential-{name}"


def _run(program: str, verb: str, text: str, environ: Mapping[str, str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            [program, verb],
            input=text,
            capture_output=True,
            text=True,
            timeout=HELPER_TIMEOUT_S,
            env=dict(environ),
            check=False,
        )
    except FileNotFoundError:
        msg = f"the credential helper {program} is not installed"
        raise AccessDenied(msg, hint="install it, or give --authfile or --username") from None
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the credential helper {program} cannot be run: {type(error).__name__}"
        raise AccessDenied(msg) from None
    except subprocess.TimeoutExpired:
        msg = f"the credential helper {program} did not answer within {HELPER_TIMEOUT_S:.0f} s"
        raise AccessDenied(msg) from None
    return done.returncode, done.stdout or done.stderr


def _failed(program: str, server: str, output: str) -> AccessDenied:
    lines = [line for line in output.splitlines() if line.strip()]
    shown = "".join(char for char in (lines[0] if lines else "") if char.isprintable())[:200]
    return AccessDenied(f"{program} failed for {server}: {shown}")
