"""``registries.yaml`` of k3s and rke2: mirrors with rewrites of paths by regular expressions.

Any mapping of repositories can be said. The expressions are tried in no certain order, so that no
two of them match the same path: one for all, where every path gets the same prefix, else one for
each repository. Written as JSON within YAML, which is YAML.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from imgsync.emitting.moves import Move, Moves, common_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def registries_yaml(
    moves: Moves, scheme: Callable[[str], str], *, ca: str = "", skip_verify: bool = False
) -> str:
    """The file ``/etc/rancher/k3s/registries.yaml``, or that of rke2; ``ca`` is a path there."""
    lines = ["mirrors:"]
    for host, found in moves.by_host():
        # One endpoint for each new host; the next is asked for what the one before does not have.
        new_hosts = sorted({move.new_host for move in found})
        lines += [f"  {json.dumps(host)}:", "    endpoint:"]
        lines += [f"      - {json.dumps(f'{scheme(new)}://{new}')}" for new in new_hosts]
        if any(move.path != move.new_path for move in found):
            lines.append("    rewrite:")
            rewrites = _rewrites(found)
            lines += [f"      {json.dumps(old)}: {json.dumps(new)}" for old, new in rewrites]
    if ca or skip_verify:
        lines.append("configs:")
        for new in sorted({move.new_host for move in moves.moves}):
            lines += [f"  {json.dumps(new)}:", "    tls:"]
            lines += [f"      ca_file: {json.dumps(ca)}"] if ca else []
            lines += ["      insecure_skip_verify: true"] if skip_verify else []
    return "\n".join([*lines, ""])


def _rewrites(moves: Sequence[Move]) -> list[tuple[str, str]]:
    common = common_prefix(moves)
    if common is not None:
        return [("^(.*)$", f"{common[1]}/$1")]
    # In a replacement, $ begins the name of a group; no path has one.
    return [(f"^{re.escape(move.path)}$".replace(r"\-", "-"), move.new_path) for move in moves]
