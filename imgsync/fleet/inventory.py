"""What ``-i`` names: a list of hosts, an Ansible inventory, or hosts with commas between them."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidInput
from imgsync.fleet.ansible import read_ansible
from imgsync.fleet.host import Become, Host, limit_hosts, parse_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANSIBLE_ENDINGS: Final = (".ini", ".yml", ".yaml", ".json", ".cfg")
_SETTING: Final = re.compile(r"^\s*(?:\[[A-Za-z_][\w.:-]*\]\s*$|[^#\s]+\s+\w+=)", re.MULTILINE)
_MAX_BYTES: Final = 16 * 1024 * 1024


def read_inventory(
    text: str, *, limits: Sequence[str] = (), become: Become | None = None
) -> tuple[Host, ...]:
    """The hosts of an inventory, but for those that ``limits`` leave out.

    With ``become``, all of them are spoken to through sudo; what the inventory says of it wins.

    Raises:
        InvalidInput: it cannot be read.
        NotFound: a limit names no host, or there is no ansible-inventory.
    """
    hosts = limit_hosts(_read(text), limits)
    if become is not None:
        hosts = tuple(
            replace(host, become=_merged(host.become, become)) if host.user != "root" else host
            for host in hosts
        )
    return hosts


def _merged(own: Become | None, asked: Become) -> Become:
    return own if own is not None and own.password else asked


def _read(text: str) -> tuple[Host, ...]:
    if "," in text and not os.path.lexists(text):
        return parse_hosts("\n".join(text.split(",")), "-i")
    path = Path(text)
    try:
        if path.is_dir() or path.suffix in _ANSIBLE_ENDINGS or os.access(path, os.X_OK):
            return read_ansible(text)
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES)
    except OSError as error:
        msg = f"-i {text}: {error.strerror or error}"
        raise InvalidInput(
            msg, hint="a file of hosts, an Ansible inventory, or HOST,HOST; one host is HOST,"
        ) from None
    content = raw.decode("utf-8-sig", errors="replace")
    if _SETTING.search(content):
        return read_ansible(text)
    return parse_hosts(content, text)
