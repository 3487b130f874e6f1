"""A kustomize component that renames images in the manifests of pods.

kustomize compares the text that stands in a manifest, so every way to write a name is listed. A
new tag is never set: the one that a pod asks for stays.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imgsync.model.reference import DOCKER_IO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.emitting.moves import Move, Moves

_LIBRARY = "library/"


def kustomize(moves: Moves) -> str:
    """The file ``kustomization.yaml`` of a component."""
    lines = [
        "# Use it in a kustomization.yaml:",
        "#   components: [FOLDER-OF-THIS-FILE]",
        "apiVersion: kustomize.config.k8s.io/v1alpha1",
        "kind: Component",
        "images:",
    ]
    for move in moves.moves:
        for name in _spellings(move):
            new = json.dumps(f"{move.new_host}/{move.new_path}")
            lines += [f"  - name: {json.dumps(name)}", f"    newName: {new}"]
    return "\n".join([*lines, ""])


def _spellings(move: Move) -> Iterator[str]:
    yield f"{move.host}/{move.path}"
    if move.host == DOCKER_IO:
        yield move.path
        if move.path.startswith(_LIBRARY):
            yield f"{move.host}/{move.path.removeprefix(_LIBRARY)}"
            yield move.path.removeprefix(_LIBRARY)
