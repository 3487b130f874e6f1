"""Content that is neither there nor declared absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.verifying.findings import Finding, Level, Users

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from imgsync.completeness import Completeness
    from imgsync.model.bundle import Root
    from imgsync.model.digest import Digest

ADVICE = "import loads what is whole; for all of it, make a bundle from the registry"
ADVICE_FOREIGN = (
    "a foreign layer, which other tools leave out; bundle the image from its registry, with "
    "--fetch-urls if that has no such layer"
)


def check_absence(
    images: Sequence[tuple[Root, Completeness]],
    declared: Collection[Digest],
    damaged: Collection[Digest],
    users: Users,
) -> Iterator[Finding]:
    """A line for the platforms that an image was saved without, one for each other object.

    What is declared absent is no finding, and what is ``damaged`` was told as such.
    """
    told = {*declared, *damaged}
    for root, state in images:
        left_out: list[str] = []
        lacking = list(state.absent_indexes)
        for platform in state.incomplete:
            undeclared = [item for item in platform.absent if item.digest not in declared]
            if undeclared and platform.is_left_out and len(state.states) > 1:
                left_out.append(platform.label)
            else:
                lacking += undeclared
        for item in lacking:
            if item.digest not in told:
                told.add(item.digest)
                yield users.finding(
                    item.digest, "is absent", advice=ADVICE_FOREIGN if item.urls else ""
                )
        if left_out:
            yield _one_line(root, state, left_out)


def _one_line(root: Root, state: Completeness, left_out: Sequence[str]) -> Finding:
    whole = [item.label for item in state.whole]
    platforms = [name for name in left_out if " " not in name]
    others = len(left_out) - len(platforms)
    noun = "attestation" if others == 1 else "attestations"
    parts = [*platforms, *([f"{others} {noun}"] if others else [])]
    is_whole = f"only {', '.join(whole)} is whole" if whole else "no platform is whole"
    problem = f"{is_whole}; absent: {', '.join(parts)}"
    return Finding(
        Level.ERROR, "image", problem, root.descriptor.digest, (root.label,), advice=ADVICE
    )
