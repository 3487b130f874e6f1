"""Changing an auth file: one host's entry, and nothing else of what docker or podman keep there."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgsync.errors import InvalidInput
from imgsync.stores.disk import turn_os_errors, write_whole
from imgsync.stores.registry.auth_file import normalised_key

if TYPE_CHECKING:
    from imgsync.stores.registry.credential import Credential


def with_entry(raw: bytes, server: str, credential: Credential | None, where: str) -> bytes:
    """The file's content with this credential; None leaves the note that a helper has it. Pure.

    Raises:
        InvalidInput: the content is not a JSON object.
    """
    value = _parsed(raw, where)
    _forget(value, normalised_key(server))
    auths = value.setdefault("auths", {})
    if credential is None:
        auths[server] = {}
    elif credential.identity_token:
        auths[server] = {"identitytoken": credential.identity_token}
    else:
        pair = f"{credential.username}:{credential.password}".encode()
        auths[server] = {"auth": b64encode(pair).decode()}
    return _written(value)


def without_entry(raw: bytes, server: str, where: str) -> bytes | None:
    """The file's content without the host, under whatever key; None if it is not in there. Pure.

    Raises:
        InvalidInput: the content is not a JSON object.
    """
    value = _parsed(raw, where)
    return _written(value) if _forget(value, normalised_key(server)) else None


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in the place of another, readable by nobody else; whole or not at all.

    Raises:
        NoSpace, AccessDenied, StoreError: it cannot be written.
    """
    target = path.resolve()  # a link stays a link
    with turn_os_errors(path):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(target, content, mode=0o600)


def _parsed(raw: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(raw) if raw.strip() else {}
    except ValueError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("auths", {}), dict):
        msg = f"{where} is not an auth file; it is left as it is"
        raise InvalidInput(msg)
    return value


def _forget(value: dict[str, Any], host: str) -> bool:
    auths = value.get("auths", {})
    keys = [key for key in auths if normalised_key(key) == host]
    for key in keys:
        del auths[key]
    return bool(keys)


def _written(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent="\t").encode() + b"\n"
