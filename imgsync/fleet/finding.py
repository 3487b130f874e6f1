"""Which containerd a node has, and which ``ctr`` speaks to it: by what its session said.

The same places and the same order as on our own host (`imgsync.stores.containerd.socket`): what
was said by an option wins, then crictl's file, then the usual sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import AccessDenied, ContainerdError
from imgsync.fleet.remote_ctr import RemoteCtr
from imgsync.model.machine import platform_of
from imgsync.stores.containerd.namespace import Containerd
from imgsync.stores.containerd.socket import PLACES, find_known, parse_crictl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.fleet.connection import Connection
    from imgsync.fleet.host import Become
    from imgsync.model.platform import Platform


def find(facts: Mapping[str, Sequence[str]], address: str, command: str) -> tuple[str, str]:
    """The socket and the command for it; pure.

    Raises:
        ContainerdError: the node has no ``ctr``, or no containerd that could be seen.
    """
    programs = facts.get("command", ())
    sockets = facts.get("socket", ())
    said = address or parse_crictl("\n".join(facts.get("crictl", ())))
    place = find_known(said or (sockets[0] if sockets else ""))
    if place is None:
        # A folder that only root may look into, or another place altogether.
        candidates = [
            known
            for known in PLACES
            if any(option.split()[0] in programs for option in known.commands)
        ]
        place = (candidates or [PLACES[0]])[0]
    options = (command,) if command else ("ctr", *place.commands)
    found = next((text for text in options if text.split()[0] in programs), command)
    if not found:
        msg = "there is no ctr on the node"
        raise ContainerdError(msg, hint="is containerd there? or say how it is called: --ctr")
    return said or place.address, found


def become_of(connection: Connection) -> Become | None:
    """How one becomes root on a node that we are connected to; None where one need not."""
    return connection.host.become if connection.facts["user"] != ["0"] else None


def open_node(
    connection: Connection, namespace: str, *, address: str = "", command: str = ""
) -> tuple[Containerd, Platform]:
    """The containerd of a node that we are connected to, and the node's platform.

    Raises:
        ContainerdError: there is none, or it does not answer.
        AccessDenied: sudo does not let us, or the socket is not for this user.
    """
    facts = connection.facts
    become = become_of(connection)
    socket, program = find(facts, address, command)
    ctr = RemoteCtr(connection, socket.removeprefix("unix://"), program, become)
    if become is not None:
        ended = ctr.can_become()
        if ended.status != 0:
            lines = ended.err.strip().splitlines()
            msg = f"sudo: {lines[-1].removeprefix('sudo: ') if lines else 'refused'}"
            hint = "" if become.password else "--ask-become-pass asks for its password, once"
            raise AccessDenied(msg, hint=hint)
    try:
        ctr.versions()
    except ContainerdError as error:
        if "permission denied" in error.message and become is None:
            msg = f"{socket}: permission denied"
            raise AccessDenied(msg, hint="--become goes through sudo") from None
        raise
    system, _, machine = facts["system"][0].partition(" ")
    return Containerd(ctr, namespace), platform_of(system, machine)
