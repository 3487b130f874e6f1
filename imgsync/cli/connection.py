"""From the options about connections to `ConnectionOptions`, with the credentials among them.

A password comes from standard input, a file or the environment, never from the command line,
which every user of a machine can read. Credentials without a host are for the one private
registry of a command: they must not reach a public one by mistake.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imgsync.cli.inputs import take_stdin
from imgsync.errors import InvalidInput
from imgsync.stores.registry.credential import from_pair
from imgsync.stores.registry.credentials import environment_credential
from imgsync.stores.registry.options import ConnectionOptions, ForHosts, Mirror, host_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imgsync.stores.registry.credential import Credential

PUBLIC: Final = frozenset(
    {
        "docker.io",
        "gcr.io",
        "ghcr.io",
        "k8s.gcr.io",
        "mcr.microsoft.com",
        "public.ecr.aws",
        "quay.io",
        "registry.k8s.io",
    }
)
"""Registries that anybody reads; credentials for them are given with their names."""

_PER_HOST: Final = "--username HOST=USER says for which registry they are"


def connection_options(
    values: Mapping[str, Any], hosts: Collection[str], environ: Mapping[str, str]
) -> ConnectionOptions:
    """All that was typed; ``hosts`` are the registries that the command will speak to.

    Raises:
        InvalidInput: an option is given twice for one host, a file cannot be read, a folder is not
            there, a user has no password, or it is not clear which registry a user is for.
    """
    return ConnectionOptions(
        plain_http=values["plain_http"],
        plain_http_hosts=frozenset(map(host_name, values["plain_http_host"])),
        insecure=values["insecure"],
        insecure_hosts=frozenset(map(host_name, values["insecure_host"])),
        ca_files=ForHosts.parse(values["ca_file"], "--ca-file"),
        certs=ForHosts.parse(values["cert"], "--cert"),
        keys=ForHosts.parse(values["key"], "--key"),
        credentials=_credentials(values, hosts, environ),
        hosts_dir=_folder(values["hosts_dir"], "--hosts-dir"),
        authfile=_path(values["authfile"]),
        mirrors=tuple(Mirror.parse(text) for text in values["mirror"]),
        trusted_hosts=frozenset(map(host_name, values["trusted_host"])),
        retries=values["retries"],
        jobs=values["jobs"],
    )


def private_host(hosts: Collection[str], whose: str) -> str:
    """The one registry of the command that credentials without a host are for.

    Raises:
        InvalidInput: there is none, or more than one; they are named.
    """
    known = sorted({host_name(host) for host in hosts})
    private = [host for host in known if host not in PUBLIC] if len(known) > 1 else known
    if len(private) != 1:
        which = ", ".join(private or known) or "none"
        msg = f"{whose}: it is not clear which registry it is for ({which})"
        raise InvalidInput(msg, hint=_PER_HOST)
    return private[0]


def _credentials(
    values: Mapping[str, Any], hosts: Collection[str], environ: Mapping[str, str]
) -> dict[str, Credential]:
    users = ForHosts.parse(values["username"], "--username")
    files = ForHosts.parse(values["password_file"], "--password-file")
    if not users.default and not users.hosts:
        if values["password_stdin"] or values["password_file"]:
            msg = "a password is given and no user"
            raise InvalidInput(msg, hint="add --username")
        found = environment_credential(environ)
        if found is None or not hosts:
            return {}
        return {private_host(hosts, f"user {found.username} from IMGSYNC_USERNAME"): found}
    wanted = dict(users.hosts)
    if users.default:
        host = private_host(hosts, f"--username {users.default}")
        wanted.setdefault(host, users.default)
    without_file = [host for host in wanted if not files.get(host)]
    if len(without_file) > 1:
        msg = f"one password for several users: {', '.join(sorted(without_file))}"
        raise InvalidInput(msg, hint="--password-file HOST=FILE gives each its own")
    return {
        host: from_pair(user, _password(user, files.get(host), values, environ), "--username")
        for host, user in wanted.items()
    }


def _password(user: str, file: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            msg = f"--password-file {file} cannot be read: {error}"
            raise InvalidInput(msg) from error
    elif values["password_stdin"]:
        take_stdin("the password")
        text = sys.stdin.read()
    elif "IMGSYNC_PASSWORD" in environ:
        text = environ["IMGSYNC_PASSWORD"]
    else:
        msg = f"no password is given for the user {user}"
        raise InvalidInput(msg, hint="--password-stdin, --password-file or IMGSYNC_PASSWORD")
    password = text.rstrip("\r\n")
    if not password:
        msg = f"the password of the user {user} is empty"
        raise InvalidInput(msg, hint="a shell that eats a $ in it? Single quotes keep it")
    return password


def _folder(text: str | None, option: str) -> Path | None:
    path = _path(text)
    if path is not None and not path.is_dir():
        msg = f"{option} {path}: there is no such folder"
        raise InvalidInput(msg)
    return path


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
