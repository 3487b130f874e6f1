"""What ``ctr`` prints, as values. Pure; written against 1.6, 1.7, 2.0 and 2.3.

Columns are padded with blanks and have no promised width, sizes are for people, and progress goes
to standard output with escape codes: only what is here is read, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidDigest
from imgsync.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROW: Final = re.compile(
    r"(?P<name>\S.*?)\s+(?P<type>[a-z]+/\S+)\s+(?P<digest>[a-z0-9]+:[0-9a-f]{32,})"
    r"\s+(?P<size>-|[\d.]+ \S+)\s+(?P<platforms>\S+)\s+(?P<labels>.*?)\s*"
)
_CONTAINER: Final = re.compile(r"(?P<container>\S+)\s+(?P<image>\S.*?)\s+\S+\s*")
_FLAG: Final = re.compile(r"^\s+((?:--?[\w-]+(?: value)?(?:, )?)+)", re.MULTILINE)
_VERSION: Final = re.compile(r"\bv?(\d+)\.(\d+)\.(\d+)")
_MISSING: Final = re.compile(r"content digest ((?:sha256|sha512):[0-9a-f]+): not found")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One line of ``images ls``.

    Attributes:
        name: verbatim; containerd takes anything for a name.
    """

    name: str
    media_type: str
    digest: Digest
    labels: Mapping[str, str] = field(default_factory=dict)


def parse_images(text: str) -> list[ImageRecord]:
    """The rows of ``images ls``, in its order; lines of another form are none."""
    records = []
    for line in text.splitlines()[1:]:
        match = _ROW.fullmatch(line)
        if match is None:
            continue
        try:
            digest = Digest.parse(match["digest"])
        except InvalidDigest:
            continue
        records.append(
            ImageRecord(match["name"], match["type"], digest, parse_labels(match["labels"]))
        )
    return records


def parse_labels(text: str) -> dict[str, str]:
    """``key=value,key=value``, or ``-`` for none.

    A comma within a value cannot be told from one between labels, but what follows it has no
    ``=`` then, and belongs to the value before.
    """
    labels: dict[str, str] = {}
    key = ""
    for part in text.split(",") if text != "-" else ():
        name, equals, value = part.partition("=")
        if equals:
            key = name
            labels[key] = value
        elif key:
            labels[key] += f",{part}"
    return labels


def parse_digests(text: str) -> set[Digest]:
    """The lines of ``content ls -q``; those of an algorithm that we cannot prove are left out."""
    digests = set()
    for line in text.split():
        try:
            digests.add(Digest.parse(line))
        except InvalidDigest:
            continue
    return digests


def parse_content(text: str) -> dict[Digest, dict[str, str]]:
    """The labels of each digest of ``content ls``, whose columns are separated by tabs.

    By one or more: a short age (``1 second``) is filled up with them.
    """
    found: dict[Digest, dict[str, str]] = {}
    for line in text.splitlines()[1:]:
        cells = [cell.strip() for cell in re.split(r"\t+", line)]
        try:
            digest = Digest.parse(cells[0])
        except InvalidDigest:
            continue
        found[digest] = parse_labels(cells[3]) if len(cells) > 3 else {}
    return found


def parse_containers(text: str) -> dict[str, str]:
    """The images of ``containers ls``, each with a container that was made from it."""
    found: dict[str, str] = {}
    for line in text.splitlines()[1:]:
        match = _CONTAINER.fullmatch(line)
        if match is not None and match["image"] != "-":
            found[match["image"]] = match["container"]
    return found


def parse_flags(text: str) -> frozenset[str]:
    """The flags that a ``--help`` lists, with their dashes."""
    names = [part for match in _FLAG.finditer(text) for part in re.split(r"[ ,]+", match[1])]
    return frozenset(name for name in names if name.startswith("-"))


def parse_versions(text: str) -> dict[str, tuple[int, int, int]]:
    """``client`` and ``server`` of ``ctr version``, as far as it says them."""
    versions: dict[str, tuple[int, int, int]] = {}
    part = ""
    for line in text.splitlines():
        word = line.strip().lower()
        if word in ("client:", "server:"):
            part = word[:-1]
        elif part and word.startswith("version:") and (match := _VERSION.search(word)):
            versions.setdefault(part, (int(match[1]), int(match[2]), int(match[3])))
    return versions


def last_message(stderr: str) -> str:
    """What went wrong: from the last ``ctr: `` line on, else the last line that is no log."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    for number in range(len(lines) - 1, -1, -1):
        if lines[number].startswith("ctr: "):
            return "\n".join([lines[number].removeprefix("ctr: "), *lines[number + 1 :]])
    plain = [line for line in lines if not re.match(r"time=\S+ level=|\w+\[\d+\]", line)]
    return (plain or lines or [""])[-1]


def missing_digest(message: str) -> Digest | None:
    """The digest of ``content digest … not found``, however it is wrapped."""
    match = _MISSING.search(message)
    return Digest.parse(match[1]) if match else None


def parse_content_root(out: bytes) -> str:
    """Where the content store is, of ``plugins ls -d``; empty where that does not say it."""
    at = out.decode(errors="replace").partition("io.containerd.content.v1\n")[2]
    exports = at.partition("Exports:")[2].partition("Type:")[0]
    found = re.search(r"^\s*root\s+(/.*\S)\s*$", exports, re.MULTILINE)
    return found[1] if found else ""
