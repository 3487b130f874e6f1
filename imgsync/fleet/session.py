"""The session that holds a connection: what it runs on the node, and what it says of it. Pure.

A shell that waits for its standard input to end. Whatever ends us, ``kill -9`` too, ends that
input; the shell then removes its small folder, and the connection goes.
"""

from __future__ import annotations

import shlex
from typing import Final

from imgsync.stores.containerd.socket import PLACES

_READY: Final = "imgsync-ready"

_SCRIPT: Final = """\
umask 077
for at in /dev/shm "${{XDG_RUNTIME_DIR:-/nonexistent}}" /run /tmp; do
    own=$(mktemp -d "$at/imgsync-XXXXXXXX" 2>/dev/null) && : > "$own/empty" && break
    own=
done
[ -n "$own" ] || {{ echo "there is no place for a small temporary file" >&2; exit 1; }}
trap 'rm -rf "$own"' EXIT
trap 'exit 1' HUP INT TERM PIPE
echo "folder $own"
echo "system $(uname -s) $(uname -m)"
echo "user $(id -u)"
sed 's/^/hostkey /' /etc/ssh/ssh_host_*_key.pub 2>/dev/null
grep -hE '^(runtime|image)-endpoint:' /etc/crictl.yaml 2>/dev/null | sed 's/^/crictl /'
for at in {sockets}; do
    [ -S "$at" ] && echo "socket $at"
done
for at in {commands}; do
    command -v "$at" >/dev/null 2>&1 && echo "command $at"
done
echo {ready}
cat >/dev/null
"""
"""POSIX shell; all that it writes is an empty file."""


def session() -> str:
    """The script; it looks for every socket and command that we know."""
    programs = ["ctr", *(command.split()[0] for place in PLACES for command in place.commands)]
    return _SCRIPT.format(
        sockets=shlex.join(place.address for place in PLACES),
        commands=shlex.join(dict.fromkeys(programs)),
        ready=_READY,
    )


def is_ready(said: bytes) -> bool:
    """Whether all was said that there is to say."""
    return f"{_READY}\n".encode() in said


def facts_of(said: bytes) -> dict[str, list[str]]:
    """What was said: each first word of a line with what followed it."""
    facts: dict[str, list[str]] = {}
    for line in said.decode(errors="replace").splitlines():
        word, _, rest = line.partition(" ")
        facts.setdefault(word, []).append(rest)
    return facts
