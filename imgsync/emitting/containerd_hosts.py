"""containerd's ``certs.d``: a ``hosts.toml`` for each old host (containerd, docs/hosts.md). Pure.

containerd asks a mirror for the same path as the host itself. With ``override_path`` the URL is
all that stands before it, so a prefix can be put there; nothing can be taken away. Docker Hub's
``library/`` is therefore in the way of a plain ``--to``: pods that say ``redis`` ask for
``library/redis``, and the prefix would have to be that of ``PROJECT/redis``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imgsync.emitting.moves import Move, Moves, some
from imgsync.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def containerd_hosts(
    moves: Moves, scheme: Callable[[str], str], *, ca: str = "", skip_verify: bool = False
) -> dict[str, str]:
    """The files by their names, ``HOST/hosts.toml``; ``ca`` is a path on the nodes.

    Raises:
        Conflict: the mapping does more than put something before a path.
    """
    impossible = [move for move in moves.moves if move.prefix is None]
    if impossible:
        msg = f"containerd can put a prefix before a path, and nothing else:{some(impossible)}"
        hint = "--keep-registry keeps paths whole, library/ too; or rename with kustomize"
        raise Conflict(msg, hint=hint)
    return {
        f"{folder_name(host)}/hosts.toml": _hosts_toml(host, found, scheme, ca, skip_verify)
        for host, found in moves.by_host()
    }


def folder_name(host: str) -> str:
    """The folder of a host; with a port, the spelling that every version looks for."""
    name, colon, port = host.rpartition(":")
    return f"{name}_{port}_" if colon and port.isdigit() else host


def _hosts_toml(
    host: str,
    moves: Sequence[Move],
    scheme: Callable[[str], str],
    ca: str,
    skip_verify: bool,
) -> str:
    urls: dict[str, None] = {}
    for move in moves:
        path = f"/{move.prefix}" if move.prefix else ""
        urls[f"{scheme(move.new_host)}://{move.new_host}/v2{path}"] = None
    settings = [
        'capabilities = ["pull", "resolve"]',
        "override_path = true",
        *([f"ca = {json.dumps(ca)}"] if ca else []),
        *(["skip_verify = true"] if skip_verify else []),
    ]
    first, *others = urls
    lines = [
        f"# What pods call {host}/… is fetched from here, and never from {host} itself.",
        f"server = {json.dumps(first)}",
        *settings,
        "[host]",
    ]
    for url in others:
        lines += [f"[host.{json.dumps(url)}]", *(f"  {line}" for line in settings)]
    return "\n".join([*lines, ""])
