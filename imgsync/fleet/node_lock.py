"""The lock on a node, taken over ssh: the same file that a run on the node itself takes.

A shell there holds it by ``flock(1)`` until its standard input ends, and that ends with us: also
with ``kill -9``, and with the connection.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from imgsync.errors import ContainerdError, Unreachable
from imgsync.events import Noted, Report
from imgsync.stores.containerd.command import SSH_FAILED
from imgsync.stores.containerd.lock import OWN, SHARED, held, locked, now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE_S: Final = 60.0
_STOP_S: Final = 5.0

_SCRIPT: Final = (
    """\
umask 077
at=$(readlink -f "$1" 2>/dev/null) || at=
name=$2$(printf %s "${at:-$1}" | tr / .).lock
uid=$(id -u)
command -v flock >/dev/null 2>&1 || { echo none; exit 0; }
file= whose=shared
if [ "$uid" = 0 ]; then
    [ -d {shared} ] || mkdir -m 755 {shared}
    [ -w {shared} ] && file={shared}/$name
elif [ -r "{shared}/$name" ] && [ -w "{shared}/$name" ]; then
    file={shared}/$name
fi
if [ -z "$file" ]; then
    whose=own
    own={own}
    [ -d "${own%/*}" ] || own={other}
    [ -d "$own" ] || mkdir -m 700 "$own"
    [ -d "$own" ] && [ ! -L "$own" ] && [ -O "$own" ] || { echo "unsafe $own"; exit 1; }
    file=$own/$name
fi
exec 9<>"$file" || exit 1
if flock -n 9; then
    printf '%s\\n' "$3" >"$file"
    if [ "$uid" = 0 ] && [ -n "$at" ]; then
        chown "$(stat -c %u:%g "$at")" "$file" && chmod "$(stat -c %a "$at")" "$file"
        chmod a-xst "$file"
    fi 2>/dev/null
    echo "locked $whose"
    cat >/dev/null 9>&-
    : >"$file"
else
    echo "held $(head -c 200 "$file")"
fi
""".replace("{shared}", str(SHARED))
    .replace("{own}", OWN[0].format(uid="$uid"))
    .replace("{other}", OWN[1].format(uid="$uid"))
)
"""POSIX shell; needs flock, of util-linux or busybox. Arguments: socket, namespace, who we are."""


@contextmanager
def node_locked(
    start: Callable[[tuple[str, ...], bool], subprocess.Popen[bytes]],
    address: str,
    place: str,
    namespace: str,
    report: Report,
    *,
    become: bool,
) -> Iterator[None]:
    """Hold the lock on a node.

    Args:
        start: runs words on the node, its second argument says whether as root; with pipes.
        address: of the socket there.
        place: how the node's containerd is called here, for a lock on this host, which is all
            that can be had where the node has no flock.
        namespace: of containerd.
        report: is told what is not guaranteed.
        become: whether to become root first.

    Raises:
        LockHeld: another run has it, from wherever.
        ContainerdError: it cannot be taken.
        Unreachable: the connection has ended.
    """
    process, said = _take(start, address, namespace, become=become)
    if become and not said:
        # Whoever may run nothing but ctr as root still meets others of the same user.
        _end(process)
        process, said = _take(start, address, namespace, become=False)
        if said.startswith(b"locked own"):
            text = "sudo lets us take no lock; a run of another user on the node is not seen"
            report(Noted(text, "warning"))
    try:
        word, _, rest = said.partition(b" ")
        if word == b"held":
            raise held(namespace, rest)
        if word == b"none":
            text = "the node has no flock; runs on it and from other hosts are not seen"
            report(Noted(text, "warning"))
            with locked(place, namespace):
                yield
            return
        if word != b"locked":
            raise _refused(process, rest)
        yield
    finally:
        _end(process)


def _take(
    start: Callable[[tuple[str, ...], bool], subprocess.Popen[bytes]],
    address: str,
    namespace: str,
    *,
    become: bool,
) -> tuple[subprocess.Popen[bytes], bytes]:
    """The shell that holds it, or not, and what it said of that."""
    who = f"process {os.getpid()} on {socket.gethostname()}, since {now()}"
    process = start(("sh", "-c", _SCRIPT, "sh", address, namespace, who), become)
    out = process.stdout
    assert out is not None  # noqa: S101 - it was started with a pipe
    said = b""
    while b"\n" not in said:
        ready, _, _ = select.select([out], [], [], _PATIENCE_S)
        part = os.read(out.fileno(), 1024) if ready else b""
        if not part:
            break
        said += part
    return process, said.strip()


def _refused(process: subprocess.Popen[bytes], where: bytes) -> ContainerdError | Unreachable:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
    if process.returncode == SSH_FAILED:
        return Unreachable("the connection to the node has ended")
    at = where.decode(errors="replace")
    text = f": {at} is not a folder of this user alone" if at else ""
    return ContainerdError(f"the lock on the node cannot be taken{text}")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
