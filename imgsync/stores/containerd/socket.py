"""Finding containerd: its socket, and the ``ctr`` that speaks to it.

Distributions of kubernetes bring their own containerd, each with its socket in another place and
its ``ctr`` under another name. What is said wins: an option, the environment, crictl's own file.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imgsync.errors import AccessDenied, ContainerdError
from imgsync.stores.containerd.command import Ctr
from imgsync.stores.containerd.namespace import Containerd, check_namespace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CRICTL_FILE: Final = Path("/etc/crictl.yaml")
_ENDPOINT: Final = re.compile(
    r"""^(?:runtime-endpoint|image-endpoint):\s*["']?(?:unix://)?(/[^\s"'#]+)""", re.MULTILINE
)
_CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where some distribution has its containerd.

    Attributes:
        commands: how its ``ctr`` may be called, where there is none of the plain name.
    """

    who: str
    address: str
    commands: tuple[str, ...] = ()


PLACES: Final = (
    Place("containerd", "/run/containerd/containerd.sock"),
    Place(
        "k3s or rke2",
        "/run/k3s/containerd/containerd.sock",
        ("k3s ctr", "/var/lib/rancher/rke2/bin/ctr"),
    ),
    Place("k0s", "/run/k0s/containerd.sock", ("k0s ctr",)),
    Place("microk8s", "/var/snap/microk8s/common/run/containerd.sock", ("microk8s ctr",)),
)


def open_containerd(
    namespace: str,
    *,
    address: str = "",
    command: str = "",
    environment: Mapping[str, str] | None = None,
    places: Sequence[Place] = PLACES,
    crictl_file: Path = CRICTL_FILE,
) -> Containerd:
    """A namespace of the containerd of this host; empty texts are found out.

    Raises:
        InvalidInput: no namespace or command can look like that.
        ContainerdError, AccessDenied: there is no socket, nobody behind it, or no ``ctr``.
    """
    check_namespace(namespace)
    if command:
        ctr = Ctr(address, command)
        if ctr.is_elsewhere:
            return Containerd(Ctr(address or PLACES[0].address, command), namespace)
    said = address or (environment or {}).get("CONTAINERD_ADDRESS", "")
    place = find_place(said, places, crictl_file)
    check_socket(place.address)
    ctr = Ctr(place.address, command or find_command(place))
    if shutil.which(ctr.command[0]) is None:
        msg = f"{ctr.command[0]}: no such program"
        raise ContainerdError(msg, hint="install it, or say how it is called: --ctr 'k3s ctr'")
    return Containerd(ctr, namespace)


def find_place(said: str, places: Sequence[Place], crictl_file: Path) -> Place:
    """The socket that was said, else crictl's, else the first of the usual ones that is there.

    Raises:
        ContainerdError: none of them is there; the message names all that were tried.
    """
    address = said or parse_crictl(_text(crictl_file))
    if address:
        path = address.removeprefix("unix://")
        known = next((place for place in places if place.address == path), None)
        return known or Place("containerd", path)
    for place in places:
        if os.path.lexists(place.address):
            return place
    tried = ", ".join(f"{place.address} ({place.who})" for place in places)
    msg = f"no containerd was found on this host: there is no {tried}"
    raise ContainerdError(msg, hint="is it running? another socket: --address PATH")


def find_known(address: str) -> Place | None:
    """The usual place that has this socket; None for any other."""
    path = address.removeprefix("unix://")
    return next((place for place in PLACES if place.address == path), None)


def parse_crictl(text: str) -> str:
    """The socket that ``/etc/crictl.yaml`` names, or an empty text."""
    match = _ENDPOINT.search(text)
    return match[1] if match else ""


def check_socket(address: str) -> None:
    """Prove that somebody listens, because ``ctr`` waits 10 s before it says that nobody does.

    Raises:
        ContainerdError: there is no such socket, or nobody behind it.
        AccessDenied: it is not for this user.
    """
    path = address.removeprefix("unix://")
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - errors are told apart below
            msg = f"{path} is not a socket"
            raise ContainerdError(msg, hint="containerd's socket is expected: --address PATH")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CONNECT_S)
            probe.connect(path)
    except PermissionError:
        msg = f"{path}: permission denied"
        raise AccessDenied(msg, hint="run as root, or as a user who may open the socket") from None
    except (FileNotFoundError, NotADirectoryError):
        msg = f"there is no socket {path}"
        raise ContainerdError(
            msg, hint="is containerd running? another socket: --address PATH"
        ) from None
    except OSError as error:
        msg = f"{path}: nobody answers ({error.strerror or error})"
        raise ContainerdError(msg, hint="is containerd running?") from None


def find_command(place: Place) -> str:
    """``ctr``, or what it is called where this containerd comes from."""
    for command in ("ctr", *place.commands):
        if shutil.which(command.split()[0]) is not None:
            return command
    return "ctr"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
