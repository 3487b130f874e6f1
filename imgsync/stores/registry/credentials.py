"""Where credentials come from: explicit ones, then auth files in a fixed order.

The order is that of containers/image (podman, skopeo), not of docker, because it also is the
order of who is likely to have been asked last; ``docs/commands.md`` tells it:

1. what the command line or ``IMGSYNC_*`` says for this host,
2. ``--authfile``, else ``REGISTRY_AUTH_FILE``: that file alone,
3. ``$XDG_RUNTIME_DIR/containers/auth.json``, else ``/run/containers/UID/auth.json``,
4. ``~/.config/containers/auth.json``,
5. ``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``,
6. ``~/.dockercfg``.

The first that knows the host wins. Within a file: the host's own helper, the longest key that is
a prefix of the repository, the helper for all.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput, NotFound
from imgsync.model.reference import DOCKER_IO
from imgsync.stores.registry.auth_file import AuthFile, parse_auth_file
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.home import home_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOCKER_SERVER = "https://index.docker.io/v1/"
"""How docker calls Docker Hub in its file and to helpers."""


class Credentials:
    """Finds the credential for a repository; asks every file and helper at most once a host."""

    def __init__(
        self,
        explicit: Mapping[str, Credential],
        authfile: Path | None,
        environ: Mapping[str, str],
    ) -> None:
        self._explicit = explicit
        self._environ = environ
        named = authfile or (
            Path(environ["REGISTRY_AUTH_FILE"]) if environ.get("REGISTRY_AUTH_FILE") else None
        )
        self._must_exist = named is not None
        self._paths = [named] if named is not None else list(auth_file_paths(environ))
        self._lock = threading.Lock()
        self._files: dict[Path, AuthFile | None] = {}
        self._from_helpers: dict[tuple[str, str], Credential | None] = {}

    def find(self, host: str, repository: str = "") -> Credential | None:
        """The credential for a repository of a host, or None: then we are anonymous.

        Raises:
            InvalidInput: a file is not what it must be.
            NotFound: ``--authfile`` names no file.
            AccessDenied: a helper failed.
        """
        if host in self._explicit:
            return self._explicit[host]
        with self._lock:
            for path in self._paths:
                file = self._read(path)
                found = self._find_in(file, host, repository) if file is not None else None
                if found is not None:
                    return found
        return None

    def _find_in(self, file: AuthFile, host: str, repository: str) -> Credential | None:
        name = file.helper(host)
        if name and name != file.store:
            return self._from_helper(name, host)
        found = file.find(host, repository)
        return found if found is not None or not name else self._from_helper(name, host)

    def _from_helper(self, name: str, host: str) -> Credential | None:
        from imgsync.stores.registry import credential_helper  # noqa: PLC0415 - with subprocess

        key = name, host
        if key not in self._from_helpers:
            self._from_helpers[key] = credential_helper.get(name, server_of(host), self._environ)
        return self._from_helpers[key]

    def _read(self, path: Path) -> AuthFile | None:
        if path not in self._files:
            self._files[path] = read_auth_file(path)
        file = self._files[path]
        if file is None and self._must_exist:
            msg = f"the auth file {path} is not there"
            raise NotFound(msg, hint="imgsync login --authfile makes one")
        return file


def read_auth_file(path: Path) -> AuthFile | None:
    """The file's content, or None if there is no such file.

    Raises:
        InvalidInput: it cannot be read, or is no auth file.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        msg = f"the auth file {path} cannot be read: {error.strerror}"
        raise InvalidInput(msg) from None
    return parse_auth_file(raw, str(path)) if raw.strip() else AuthFile()


def auth_file_paths(environ: Mapping[str, str]) -> Iterator[Path]:
    """The usual places, in the order of this module's docstring."""
    home = home_of(environ)
    if environ.get("XDG_RUNTIME_DIR"):
        yield Path(environ["XDG_RUNTIME_DIR"], "containers/auth.json")
    else:
        yield Path(f"/run/containers/{os.getuid()}/auth.json")
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "containers/auth.json")
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker", "config.json")
    yield home / ".dockercfg"


def server_of(host: str) -> str:
    """How helpers and docker's file call a host."""
    return DOCKER_SERVER if host == DOCKER_IO else host


def environment_credential(environ: Mapping[str, str]) -> Credential | None:
    """``IMGSYNC_USERNAME`` with ``IMGSYNC_PASSWORD`` or ``IMGSYNC_PASSWORD_FILE``, if given.

    The command line decides which host they are for.

    Raises:
        InvalidInput: a user name without a password, or a file that cannot be read.
    """
    username = environ.get("IMGSYNC_USERNAME", "")
    if not username:
        return None
    if "IMGSYNC_PASSWORD" in environ:
        return Credential(username, environ["IMGSYNC_PASSWORD"], origin="IMGSYNC_USERNAME")
    path = environ.get("IMGSYNC_PASSWORD_FILE", "")
    if not path:
        msg = "IMGSYNC_USERNAME is set, and no password"
        raise InvalidInput(msg, hint="set IMGSYNC_PASSWORD or IMGSYNC_PASSWORD_FILE")
    try:
        password = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError):
        msg = f"IMGSYNC_PASSWORD_FILE {path} cannot be read"
        raise InvalidInput(msg) from None
    return Credential(username, password, origin="IMGSYNC_USERNAME")
