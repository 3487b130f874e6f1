"""Login and logout: prove credentials, keep them where docker and podman look too, forget them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import NotFound
from imgsync.stores.registry import credential_helper
from imgsync.stores.registry.auth_file_edit import replace_file, with_entry, without_entry
from imgsync.stores.registry.credentials import auth_file_paths, read_auth_file, server_of
from imgsync.stores.registry.refusals import Refusal
from imgsync.stores.registry.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.stores.registry.client import Host
    from imgsync.stores.registry.credential import Credential

_LEGACY = ".dockercfg"
"""Read, and never written: docker itself left it in 2015."""


class Proof(StrEnum):
    """What asking a registry with credentials has shown."""

    PROVED = "proved"
    NOT_ASKED_FOR = "not asked for"


def prove(host: Host) -> Proof:
    """Ask ``/v2/`` with the credentials that the host was given.

    Where the registry wants tokens, one without a scope is asked for: Harbor hands out an
    anonymous one, with status 200, to a wrong password that asks for something.

    Raises:
        AccessDenied: they are wrong.
        NotFound: there is no registry.
        NetworkError: no answer.
    """
    answer = host.ask(Request("GET", f"{host.api}/", what="the registry's front door"))
    who = answer.who
    if answer.status == 404:
        answer.close()
        msg = f"{host.name} answers, but is no registry ({host.api}/ is not there)"
        raise NotFound(msg, hint="is the port right?")
    if answer.status != 200:
        raise Refusal.of(answer, "the login", host.name).error()
    answer.close()
    return Proof.PROVED if who else Proof.NOT_ASKED_FOR


def keep(
    host: str, credential: Credential, authfile: Path | None, environ: Mapping[str, str]
) -> str:
    """Write the credential down, or give it to the helper that the file names; says where it is.

    The file is ``authfile``, else ``REGISTRY_AUTH_FILE``, else the first of the usual ones that
    knows the host already (it would win over others), else docker's, which all tools read.

    Raises:
        InvalidInput: the file is none, or cannot be written.
        AccessDenied: the helper refuses.
    """
    path = _file_for(host, authfile, environ)
    known = read_auth_file(path)
    server = server_of(host)
    helper = known.helper(host) if known is not None else ""
    raw = path.read_bytes() if known is not None else b""
    if helper:
        credential_helper.store(helper, server, credential, environ)
        replace_file(path, with_entry(raw, server, None, str(path)))
        return f"docker-credential-{helper}"
    replace_file(path, with_entry(raw, server, credential, str(path)))
    return str(path)


def forget(host: str, authfile: Path | None, environ: Mapping[str, str]) -> list[str]:
    """Take the host out of every file and helper that knows it; says which did.

    Raises:
        InvalidInput: a file is none, or cannot be written.
        AccessDenied: a helper refuses.
    """
    named = _named(authfile, environ)
    server = server_of(host)
    found = []
    for path in [named] if named is not None else auth_file_paths(environ):
        known = read_auth_file(path)
        if known is None or path.name == _LEGACY:
            continue
        helper = known.helper(host)
        if helper and credential_helper.get(helper, server, environ) is not None:
            credential_helper.erase(helper, server, environ)
            found.append(f"docker-credential-{helper}")
        content = without_entry(path.read_bytes(), server, str(path))
        if content is not None:
            replace_file(path, content)
            found.append(str(path))
    return found


def _file_for(host: str, authfile: Path | None, environ: Mapping[str, str]) -> Path:
    named = _named(authfile, environ)
    if named is not None:
        return named
    usual = [path for path in auth_file_paths(environ) if path.name != _LEGACY]
    for path in usual:
        known = read_auth_file(path)
        if known is not None and known.find(host, "") is not None:
            return path
    return usual[-1]


def _named(authfile: Path | None, environ: Mapping[str, str]) -> Path | None:
    text = environ.get("REGISTRY_AUTH_FILE")
    return authfile or (Path(text) if text else None)
