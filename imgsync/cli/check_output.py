"""What is told of a node: its images, what is wrong with them, and how they fit a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imgsync.cli.output import human_size, table
from imgsync.nodes.checking import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.nodes.against_lock import LockedImage
    from imgsync.nodes.checking import Finding, ImageCheck
    from imgsync.nodes.facts import NamespaceFacts

_SHORT: Final = frozenset({Kind.NO_TWIN, Kind.NOT_PINNED})
"""Findings that one word says, in the table; the others get a line of their own."""

_MOST: Final = 3


def check_text(
    facts: NamespaceFacts, images: Sequence[ImageCheck], findings: Iterable[Finding]
) -> str:
    """A table of the images, a line for each finding, and the sums."""
    rows = [
        (
            verdict(image),
            name,
            image.root.digest.short,
            ", ".join(state.label for state in image.state.whole) or "-",
            ", ".join(
                sorted(
                    item.kind
                    for item in image.findings
                    if item.subject == name and item.kind in _SHORT
                )
            ),
        )
        for image in images
        for name in _names(image)
    ]
    headers = ("VERDICT", "IMAGE", "DIGEST", "WHOLE PLATFORMS", "NOTES")
    lines = [table(headers, rows)]
    for image in images:
        lines += _missing_lines(image)
        lines += [_line(item) for item in image.findings if item.kind not in _SHORT]
    lines += [_line(item) for item in findings]
    lines.append(_sums(facts, images))
    return "\n".join(lines)


def check_json(
    facts: NamespaceFacts, images: Iterable[ImageCheck], findings: Iterable[Finding]
) -> dict[str, Any]:
    """The same for programs (``docs/nodes.md``)."""
    return {
        "namespace": facts.namespace,
        "platform": str(facts.node),
        "hashed": facts.is_hashed,
        "kubelet": None
        if facts.kubelet is None
        else [
            {"id": image.id, "names": [*image.tags, *image.digests], "pinned": image.is_pinned}
            for image in facts.kubelet
        ],
        "images": [
            {
                "names": list(image.names),
                "digest": str(image.root.digest),
                "runs_here": image.runs_here,
                "whole": image.is_whole,
                "platforms": [
                    {
                        "platform": state.label,
                        "whole": state.is_whole,
                        "missing": [_object(item) for item in state.absent],
                    }
                    for state in image.state.states
                ],
                "damaged": [str(digest) for digest in image.damaged],
                "findings": [_finding(item) for item in image.findings],
            }
            for image in images
        ],
        "findings": [_finding(item) for item in findings],
    }


def lock_text(facts: NamespaceFacts, images: Sequence[LockedImage]) -> str:
    """A table of the lock's images, and the sums."""
    rows = [
        (image.verdict.value, image.name, image.root.digest.short, _explained(image))
        for image in images
    ]
    right = sum(1 for image in images if image.verdict.passes("whole"))
    runs = sum(1 for image in images if image.verdict.passes("runs"))
    sums = f"{facts.side}: of {len(images)} images, {right} are right; {runs} run here"
    return f"{table(('VERDICT', 'IMAGE', 'DIGEST', 'BUT'), rows)}\n{sums}"


def lock_json(facts: NamespaceFacts, images: Iterable[LockedImage]) -> dict[str, Any]:
    """The same for programs (``docs/nodes.md``)."""
    return {
        "namespace": facts.namespace,
        "platform": str(facts.node),
        "hashed": facts.is_hashed,
        "images": [
            {
                "name": image.name,
                "digest": str(image.root.digest),
                "verdict": image.verdict.value,
                "means": str(image.means) if image.means is not None else None,
                "names": list(image.names),
                "missing": [_object(item) for item in image.lacking],
            }
            for image in images
        ],
    }


def verdict(image: ImageCheck) -> str:
    """Of one image, in two words."""
    if image.damaged:
        return "runs here, damaged" if image.runs_here else "damaged"
    if not image.is_image:
        return "whole" if image.is_whole else "not whole"
    runs = "runs here" if image.runs_here else "does not run here"
    return f"{runs}, {'whole' if image.is_whole else 'partial'}"


def _names(image: ImageCheck) -> Sequence[str]:
    """Those by tag; one by digest says nothing more, unless there is no other."""
    return [name for name in image.names if "@" not in name] or image.names


def _missing_lines(image: ImageCheck) -> Iterator[str]:
    label = (*_names(image), str(image.root.digest))[0]
    for item in image.state.absent_indexes:
        yield f"{label}: {item.short} is not there"
    left_out = []
    for state in image.state.states:
        if state.is_whole:
            continue
        if state.is_left_out and state is not image.own:
            left_out.append(state.label)
        else:
            yield f"{label}: {state.label} lacks {_list(state.absent)}"
    if left_out:
        yield f"{label}: not brought: {', '.join(left_out)}"


def _list(items: Sequence[Descriptor]) -> str:
    more = f" and {len(items) - _MOST} more" if len(items) > _MOST else ""
    return ", ".join(item.short for item in items[:_MOST]) + more


def _line(finding: Finding) -> str:
    return f"{finding.kind}: {finding.subject}: {finding.text}"


def _sums(facts: NamespaceFacts, images: Sequence[ImageCheck]) -> str:
    runs = sum(1 for image in images if image.runs_here)
    whole = sum(1 for image in images if image.is_whole)
    content = {
        item.digest: item.size
        for item in facts.graph.closure(facts.roots.values())
        if item.digest in facts.present
    }
    how = "every byte was read" if facts.is_hashed else "manifests were read; --hash reads all"
    kubelet = ""
    if facts.kubelet is not None:
        kubelet = f"; the kubelet sees {len(facts.kubelet)} images"
    return (
        f"{facts.side}: {len(images)} images, {runs} run here, {whole} are whole; "
        f"{len(content)} objects, {human_size(sum(content.values()))}; {how}{kubelet}"
    )


def _explained(image: LockedImage) -> str:
    if image.means is not None:
        return f"the name means {image.means.short}"
    if image.names:
        return f"it is called {', '.join(image.names)}"
    return f"lacks {_list(image.lacking)}" if image.lacking else ""


def _object(item: Descriptor) -> dict[str, Any]:
    return {"digest": str(item.digest), "kind": str(item.kind), "size": item.size}


def _finding(item: Finding) -> dict[str, str]:
    return {"kind": item.kind.value, "subject": item.subject, "text": item.text}
