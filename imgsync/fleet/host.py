"""Host: one node, as an inventory has it. Pure.

``HOST``, ``USER@HOST``, ``USER@HOST:PORT``, ``[V6]:PORT`` or ``ssh://USER@HOST:PORT``: what ssh
and its configuration make of these names stays their affair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HOST: Final = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@\s:/-][^@\s:/]*)@)?"
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*)|(?P<bare>[0-9A-Fa-f:]+))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class Become:
    """How somebody who is not root there becomes root.

    Attributes:
        password: asked for once, or kept by the inventory's vault; only ever sent to the standard
            input of sudo.
    """

    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Host:
    """A node.

    Attributes:
        label: how results call it: as the inventory does.
        name: what ssh is given.
        user: on the node; empty is what ssh's configuration says.
        port: 0 is what ssh's configuration says.
        ssh_words: more options for ssh, those of an Ansible inventory.
        become: None where the user may speak to containerd.
    """

    label: str
    name: str
    user: str = ""
    port: int = 0
    ssh_words: tuple[str, ...] = ()
    become: Become | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The options and the name that lead ``ssh`` there."""
        user = ("-l", self.user) if self.user else ()
        port = ("-p", str(self.port)) if self.port else ()
        return (*self.ssh_words, *user, *port, self.name)


def parse_host(text: str, where: str) -> Host:
    """Read one host of a list.

    Raises:
        InvalidInput: it is none; the message begins with ``where``.
    """
    match = _HOST.fullmatch(text)
    port = int(match["port"] or 0) if match else 0
    if match is None or port > 65535:
        msg = f"{where}: {text!r} is no host"
        raise InvalidInput(msg, hint="HOST, USER@HOST or USER@HOST:PORT expected")
    name = match["v6"] or match["name"] or match["bare"]
    return Host(text, name, match["user"] or "", port)


def parse_hosts(text: str, where: str) -> tuple[Host, ...]:
    """Read a list: one host a line, ``#`` begins a comment; each counts once.

    Raises:
        InvalidInput: a line is no host, or there is none; names the line.
    """
    hosts: dict[str, Host] = {}
    for number, line in enumerate(text.splitlines(), 1):
        word = line.partition("#")[0].strip()
        if word:
            hosts.setdefault(word, parse_host(word, f"{where}:{number}"))
    if not hosts:
        msg = f"{where} has no host"
        raise InvalidInput(msg, hint="one a line, HOST or USER@HOST:PORT")
    return tuple(hosts.values())


def limit_hosts(hosts: Sequence[Host], globs: Iterable[str]) -> tuple[Host, ...]:
    """Those that a glob names, all without one; ``!GLOB`` leaves out.

    Raises:
        NotFound: a glob names none.
    """
    chosen = list(hosts)
    wanted = [glob for glob in globs if not glob.startswith("!")]
    for glob in wanted:
        if not any(_matches(host, glob) for host in hosts):
            names = ", ".join(host.label for host in hosts[:5])
            more = f" and {len(hosts) - 5} more" if len(hosts) > 5 else ""
            msg = f"--limit {glob}: no host of the inventory is called so"
            raise NotFound(msg, hint=f"there are {names}{more}")
    if wanted:
        chosen = [host for host in hosts if any(_matches(host, glob) for glob in wanted)]
    unwanted = [glob[1:] for glob in globs if glob.startswith("!")]
    chosen = [host for host in chosen if not any(_matches(host, glob) for glob in unwanted)]
    if not chosen:
        msg = "--limit leaves no host"
        raise NotFound(msg)
    return tuple(chosen)


def _matches(host: Host, glob: str) -> bool:
    return fnmatchcase(host.label, glob) or fnmatchcase(host.name, glob)
