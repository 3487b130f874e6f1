"""From the hosts of a config to connections: what a config says of a host, and the command not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput
from imgsync.stores.registry.credential import from_pair
from imgsync.stores.registry.credentials import Credentials
from imgsync.stores.registry.options import ForHosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.mirror.config import HostSettings
    from imgsync.stores.registry.credential import Credential
    from imgsync.stores.registry.options import ConnectionOptions


def with_hosts(
    options: ConnectionOptions, hosts: Mapping[str, HostSettings], environ: Mapping[str, str]
) -> ConnectionOptions:
    """The command line's options, with what the config says of hosts that it says nothing of.

    Raises:
        InvalidInput: a password cannot be had.
        NotFound: an authfile is not there.
    """
    credentials = {
        name: found
        for name, host in hosts.items()
        if name not in options.credentials and (found := _credential(host, environ)) is not None
    }

    def merged(known: ForHosts, values: Mapping[str, str]) -> ForHosts:
        said = {name: value for name, value in values.items() if value}
        return ForHosts(known.default, {**said, **known.hosts})

    return replace(
        options,
        credentials={**credentials, **options.credentials},
        plain_http_hosts=options.plain_http_hosts
        | {name for name, host in hosts.items() if host.plain_http},
        insecure_hosts=options.insecure_hosts
        | {name for name, host in hosts.items() if host.insecure},
        ca_files=merged(options.ca_files, {name: host.ca_file for name, host in hosts.items()}),
        certs=merged(options.certs, {name: host.cert for name, host in hosts.items()}),
        keys=merged(options.keys, {name: host.key for name, host in hosts.items()}),
    )


def _credential(host: HostSettings, environ: Mapping[str, str]) -> Credential | None:
    if host.authfile:
        return Credentials({}, Path(host.authfile), environ).find(host.host)
    if not host.username:
        return None
    where = "the config"
    if host.password_env:
        password = environ.get(host.password_env, "")
        where = f"the variable {host.password_env}"
    else:
        try:
            password = Path(host.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "is not text"
            msg = f"{host.host}: the password file {host.password_file}: {why}"
            raise InvalidInput(msg) from None
        where = host.password_file
    if not password:
        msg = f"{host.host}: there is no password in {where}"
        raise InvalidInput(msg, hint="cron has another environment than your shell")
    return from_pair(host.username, password, where)
