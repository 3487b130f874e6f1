"""``registries.conf`` of podman, buildah, skopeo and CRI-O (containers-registries.conf(5), v2).

A name that begins with a prefix gets the location in its place; the longest prefix wins. Any
mapping of repositories can be said. Written to be put into ``registries.conf.d/``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imgsync.emitting.moves import common_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imgsync.emitting.moves import Moves


def registries_conf(
    moves: Moves, scheme: Callable[[str], str], *, skip_verify: bool = False
) -> str:
    """The file; CAs stand elsewhere, in ``/etc/containers/certs.d``."""
    lines: list[str] = []
    for old, new, new_host in _places(moves):
        lines += ["[[registry]]", f"prefix = {json.dumps(old)}", f"location = {json.dumps(new)}"]
        if skip_verify or scheme(new_host) == "http":
            lines.append("insecure = true")
        lines.append("")
    return "\n".join(lines)


def _places(moves: Moves) -> Iterator[tuple[str, str, str]]:
    for host, found in moves.by_host():
        common = common_prefix(found)
        if common is not None:
            new_host, prefix = common
            yield host, f"{new_host}/{prefix}" if prefix else new_host, new_host
            continue
        for move in found:
            yield f"{host}/{move.path}", f"{move.new_host}/{move.new_path}", move.new_host
