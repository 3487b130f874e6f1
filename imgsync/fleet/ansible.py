"""An Ansible inventory, as ``ansible-inventory --list`` shows it: every form, plugin and vault.

Only what leads to a node is taken over: address, user, port, key and options of ssh, and become.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import InvalidInput, NotFound
from imgsync.fleet.host import Become, Host, parse_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM: Final = "ansible-inventory"
_SSH: Final = ("ssh", "smart", "ansible.builtin.ssh", "paramiko", "paramiko_ssh")
_PATIENCE_S: Final = 120
"""Plugins of clouds ask their cloud."""


def read_ansible(path: str) -> tuple[Host, ...]:
    """The hosts of an inventory.

    Raises:
        NotFound: there is no such program here.
        InvalidInput: it cannot read the inventory, or a host is not reached by ssh.
    """
    if shutil.which(PROGRAM) is None:
        msg = f"{path} is an Ansible inventory, and there is no {PROGRAM} here to read it"
        raise NotFound(msg, hint="install ansible-core, or give a list of hosts, one a line")
    env = os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0"}
    command = [PROGRAM, "--list", "-i", path]
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=_PATIENCE_S, env=env
        )
    except subprocess.TimeoutExpired:
        msg = f"{PROGRAM} -i {path}: no answer within {_PATIENCE_S} s"
        raise InvalidInput(msg) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        msg = f"{PROGRAM} -i {path}: {said[-1] if said else f'status {done.returncode}'}"
        raise InvalidInput(msg)
    return parse_ansible(done.stdout, path)


def parse_ansible(raw: bytes, where: str) -> tuple[Host, ...]:
    """The hosts of what ``ansible-inventory --list`` printed, with groups merged into them. Pure.

    Raises:
        InvalidInput: it is none, has no host, or has one that is not reached by ssh.
    """
    try:
        groups = json.loads(raw)
    except ValueError:
        groups = None
    if not isinstance(groups, dict):
        msg = f"{where}: {PROGRAM} did not print an inventory"
        raise InvalidInput(msg)
    of_hosts = groups.get("_meta", {}).get("hostvars", {})
    names = list(dict.fromkeys([*_members(groups), *of_hosts]))
    hosts = [_host(name, of_hosts.get(name, {}), where) for name in names]
    if not hosts:
        msg = f"{where} has no host"
        raise InvalidInput(msg, hint=f"look at what {PROGRAM} shows of it")
    return tuple(hosts)


def _members(groups: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(groups):
        if name != "_meta" and isinstance(groups[name], dict):
            yield from groups[name].get("hosts", ())


def _host(label: str, variables: Mapping[str, Any], where: str) -> Host:
    def value(*names: str) -> str:
        for name in names:
            text = variables.get(name)
            if text is None:
                continue
            if "{{" in str(text):
                msg = f"{where}: {label}: {name} is a template, which only a playbook fills in"
                raise InvalidInput(msg, hint="use the role imgsync_import (docs/fleets.md)")
            return str(text)
        return ""

    connection = value("ansible_connection") or "ssh"
    if connection not in _SSH:
        msg = f"{where}: {label} is reached by {connection}, and not by ssh"
        raise InvalidInput(msg, hint="leave it out with --limit, '!HOST'")
    name = value("ansible_host", "ansible_ssh_host") or label
    checked = parse_host(f"[{name}]" if name.count(":") > 1 else name, f"{where}: {label}")
    words: list[str] = []
    key = value("ansible_ssh_private_key_file", "ansible_private_key_file")
    if key:
        words += ["-i", os.path.expanduser(key)]  # noqa: PTH111 - as Ansible does
    for option in ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"):
        words += shlex.split(value(option))
    return Host(
        label,
        checked.name,
        value("ansible_user", "ansible_ssh_user"),
        int(value("ansible_port", "ansible_ssh_port") or checked.port),
        tuple(words),
        _become(label, value, where),
    )


def _become(label: str, value: Any, where: str) -> Become | None:
    if value("ansible_become").lower() not in ("true", "yes", "1", "on"):
        return None
    method = value("ansible_become_method") or "sudo"
    user = value("ansible_become_user") or "root"
    if (method.rpartition(".")[2], user) != ("sudo", "root"):
        msg = f"{where}: {label} becomes {user} by {method}; imgsync knows sudo to root"
        raise InvalidInput(msg, hint="use the role imgsync_import (docs/fleets.md)")
    return Become(value("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"))
