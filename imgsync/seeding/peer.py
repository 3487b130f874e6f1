"""Peer: a node that is done, and gives what it has to another, from containerd to containerd.

Over ssh from the one node to the other, with the operator's agent, which is lent to just this
command. Nothing is installed for it and nothing is kept: a loop of a few lines of shell writes the
archive that we would write, with ``ctr content get`` where a blob stands in it, into
``ctr images import -`` over there. What is around the blobs comes from us.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from imgsync.errors import Unreachable
from imgsync.events import Advanced, Started
from imgsync.fleet.finding import become_of
from imgsync.fleet.ssh import ALIVE
from imgsync.stores.containerd.command import SSH_FAILED, Ended, failure
from imgsync.stores.containerd.delta import delta_parts
from imgsync.stores.containerd.stream import IMPORT, import_words

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Iterator, Sequence

    from imgsync.events import Report
    from imgsync.fleet.connection import Connection
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores.containerd.command import Ctr
    from imgsync.stores.containerd.delta import Delta

_ALIAS: Final = "imgsync-receiver"
"""What the receiver is called in the file of known hosts that the sender makes for it."""

LOOP: Final = """\
while read -r digest literal; do
    [ "$digest" = - ] || {{ {get} "$digest" </dev/null || exit 1; echo "$digest" >&3; }}
    printf %b "$literal"
done"""
"""Writes the archive by `order_lines`, and says each digest that has gone. POSIX shell."""

_SCRIPT: Final = f"""\
umask 077
for at in /dev/shm "${{{{TMPDIR:-/tmp}}}}"; do
    known=$(mktemp "$at/imgsync-known-XXXXXXXX" 2>/dev/null) && break
done
[ -n "$known" ] || exit 1
trap 'rm -f "$known"' EXIT
trap 'exit 1' HUP INT TERM PIPE
printf '%s\\n' {{keys}} >"$known"
exec 3>&1
{LOOP} | {{ssh}} -o UserKnownHostsFile="$known" {{receiver}} {{command}}
"""
"""What the sender runs."""

_NOT_PLAIN: Final = re.compile(rb"[^A-Za-z0-9./:,{}\"_+-]")


@dataclass(slots=True, eq=False)
class Peer:
    """A node that others may have content from.

    Attributes:
        connection: was open; it need not be any more.
        ctr: of the node.
        has: what was found in the namespace when the node was done.
    """

    connection: Connection
    ctr: Ctr
    namespace: str
    has: Collection[Digest]
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set, init=False)

    @property
    def label(self) -> str:
        """How results call it."""
        return self.connection.host.label

    def send(
        self, receiver: Connection, ctr: Ctr, namespace: str, delta: Delta, report: Report
    ) -> None:
        """Let the receiver import the archive; ``ctr`` is the receiver's.

        Raises:
            Unreachable: the sender cannot be reached, or the receiver from there.
            ContainerdError: ``ctr`` failed, on the one or the other.
        """
        get = self.ctr.words(self.namespace, "content", "get")
        into = ctr.words(namespace, *import_words(ctr, delta))
        script = _script(get, receiver, into)
        command = f"exec sh -c {shlex.quote(script)}"
        with tempfile.TemporaryFile() as orders, tempfile.TemporaryFile() as err:
            orders.writelines(order_lines(delta))
            orders.seek(0)
            with self.connection.start_with_agent(command, stdin=orders, stderr=err) as process:
                self._running.add(process)
                try:
                    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
                    _follow(process.stdout, delta.blobs, report)
                    status = process.wait()
                finally:
                    self._running.discard(process)
            err.seek(0)
            message = err.read().decode(errors="replace")
        if status == SSH_FAILED:
            raise Unreachable(message.strip().rpartition("\n")[2])
        if status != 0:
            raise failure(Ended(IMPORT, status, b"", message))

    def stop(self) -> None:
        """End what it sends; the receivers get no names by it."""
        for process in list(self._running):
            process.terminate()


def can_send(connection: Connection) -> bool:
    """Whether a node may be a peer: sudo's password has no way to it from another's command."""
    become = become_of(connection)
    return become is None or not become.password


def can_receive(connection: Connection) -> bool:
    """Whether another node can be told where this one is, and whom it will find there."""
    return can_send(connection) and "hostkey" in connection.facts and bool(connection.config)


def order_lines(delta: Delta) -> Iterator[bytes]:
    """The archive as the script reads it: a digest or ``-``, and the bytes that follow it.

    As ``printf %b`` takes them: so no program of the node reads a byte too many of its input.
    """
    line = b"-"
    for part in delta_parts(delta):
        if isinstance(part, bytes):
            yield b"%b %b\n" % (line, _NOT_PLAIN.sub(lambda found: b"\\0%03o" % found[0][0], part))
        else:
            line = str(part.digest).encode()


def _script(get: Sequence[str], receiver: Connection, into: Sequence[str]) -> str:
    config = receiver.config
    options = (
        *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"),
        *("-o", "GlobalKnownHostsFile=/dev/null", "-o", f"HostKeyAlias={_ALIAS}", *ALIVE),
    )
    to = ("-T", "-l", config["user"], "-p", config["port"], "--", config["hostname"])
    keys = [f"{_ALIAS} {' '.join(key.split()[:2])}" for key in receiver.facts["hostkey"]]
    return _SCRIPT.format(
        keys=shlex.join(keys),
        get=shlex.join(get),
        ssh=shlex.join(("ssh", *options)),
        receiver=shlex.join(to),
        command=shlex.quote(shlex.join(into)),
    )


def _follow(out: IO[bytes], blobs: Sequence[Descriptor], report: Report) -> None:
    """Tell each blob when it has gone."""
    by_digest = {str(blob.digest): blob for blob in blobs}
    for line in out:
        blob = by_digest.get(line.decode(errors="replace").strip())
        if blob is not None:
            report(Started(blob))
            report(Advanced(blob, blob.size))
