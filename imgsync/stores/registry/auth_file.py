"""Auth files of docker, podman, skopeo and Kubernetes: parsed, and searched. Pure.

Three shapes: docker's and podman's ``{"auths": {...}, "credHelpers": {...}, "credsStore": ...}``,
which is also what a pull secret holds under ``.dockerconfigjson``; the bare map of ``~/.dockercfg``
and ``.dockercfg``; and the pull secret itself (``kubectl get secret -o json``), which wraps one
of them in base64.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from imgsync.errors import InvalidInput
from imgsync.stores.registry.credential import Credential, from_pair
from imgsync.stores.registry.options import host_name

_WRAPPED = {".dockerconfigjson": True, ".dockercfg": False}


@dataclass(frozen=True, slots=True)
class AuthFile:
    """What an auth file says.

    Attributes:
        auths: credentials by key: a host, or a host and the beginning of a repository.
        helpers: names of credential helpers by host.
        store: the helper for all other hosts.
    """

    auths: Mapping[str, Credential] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    def find(self, host: str, repository: str) -> Credential | None:
        """The credential of the key that names the most of this repository."""
        for wanted in _prefixes(host, repository):
            for key, credential in self.auths.items():
                if _key_matches(key, wanted) and not credential.is_empty:
                    return credential
        return None

    def helper(self, host: str) -> str:
        """The helper that knows this host: its own, or the one for all; or an empty text."""
        for key, name in self.helpers.items():
            if normalised_key(key) == host:
                return name
        return self.store


def parse_auth_file(raw: bytes, origin: str) -> AuthFile:
    """Read an auth file; entries that make no sense are passed over, as docker does.

    Raises:
        InvalidInput: not JSON of a known shape. The message holds nothing of the content.
    """
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        msg = f"{origin} is not an auth file: it is not a JSON object"
        raise InvalidInput(msg)
    value, is_config = _unwrapped(value, origin)
    if not is_config:
        return AuthFile(_auths(value, origin))
    return AuthFile(
        _auths(value.get("auths"), origin),
        {
            key: name
            for key, name in _mapping(value.get("credHelpers")).items()
            if isinstance(name, str)
        },
        value["credsStore"] if isinstance(value.get("credsStore"), str) else "",
    )


def normalised_key(key: str) -> str:
    """A key as ``host[:port][/path]``: without scheme, without the ``/v1/`` that docker writes."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, slash, path = bare.partition("/")
    if path in {"v1", "v2"}:
        slash, path = "", ""
    return f"{host_name(host)}{slash}{path}"


def _unwrapped(value: dict[str, Any], origin: str) -> tuple[dict[str, Any], bool]:
    """The content of a pull secret, else the value; and whether it has docker's outer keys."""
    data = _mapping(value.get("data")) or value
    for key, is_config in _WRAPPED.items():
        if isinstance(data.get(key), str):
            try:
                inner = json.loads(b64decode(data[key], validate=True))
            except ValueError:
                inner = None
            if not isinstance(inner, dict):
                msg = f"{origin}: {key} is not base64 of a JSON object"
                raise InvalidInput(msg)
            return inner, is_config
    outer = {"auths", "credHelpers", "credsStore", "HttpHeaders", "currentContext"}
    return value, not value or bool(outer & value.keys())


def _auths(value: object, origin: str) -> dict[str, Credential]:
    return {
        key: credential
        for key, entry in _mapping(value).items()
        if isinstance(entry, dict) and (credential := _credential(entry, origin)) is not None
    }


def _credential(entry: Mapping[str, Any], origin: str) -> Credential | None:
    def text(name: str) -> str:
        found = entry.get(name)
        return found if isinstance(found, str) else ""

    if text("identitytoken"):
        return Credential(identity_token=text("identitytoken"), origin=origin)
    if text("registrytoken"):
        return Credential(registry_token=text("registrytoken"), origin=origin)
    if text("auth"):
        try:
            pair = b64decode(text("auth")).decode()
        except ValueError:
            return None
        # Passwords may hold colons, user names cannot (RFC 7617). Some writers pad with NULs.
        username, colon, password = pair.rstrip("\0").partition(":")
        return from_pair(username, password, origin) if colon and username else None
    return from_pair(text("username"), text("password"), origin)


def _prefixes(host: str, repository: str) -> Iterator[str]:
    parts = repository.split("/") if repository else []
    for length in range(len(parts), -1, -1):
        yield "/".join([host, *parts[:length]])


def _key_matches(key: str, wanted: str) -> bool:
    normalised = normalised_key(key)
    if normalised == wanted:
        return True
    if "*" not in normalised:
        return False
    # Kubernetes: `*` stands for (a part of) one label of the host; the path is literal.
    key_host, _, key_path = normalised.partition("/")
    host, _, path = wanted.partition("/")
    labels, wanted_labels = key_host.split("."), host.split(".")
    return (
        key_path == path
        and len(labels) == len(wanted_labels)
        and all(fnmatchcase(have, label) for label, have in zip(labels, wanted_labels, strict=True))
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
