"""Inventory: which content a place has, to be carried to where a bundle is made. Pure.

What the far side has is left out of the next bundle (``bundle --have``). The file is text that a
person can look through before it leaves a guarded network: digests, and in which repositories
they are. The format is in ``docs/inventory.md``. Two other things say the same and are read too:
the lock of a bundle, and digests one a line, as ``ctr content ls -q`` prints them.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.model.digest import Digest
from imgsync.model.json_fields import Fields
from imgsync.model.lock import FORMAT as LOCK_FORMAT
from imgsync.model.lock import Lock
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from imgsync.model.bundle import Root

FORMAT: Final = "imgsync.inventory/1"
MAX_BYTES: Final = 512 * 1024 * 1024
"""Of an inventory that was compressed: some seven million digests."""

_GZIP: Final = b"\x1f\x8b"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Which content a place has.

    Attributes:
        targets: what was looked at, as it was typed.
        taken: when, ``2026-01-31T12:00:00Z``, or an empty text where nobody knows.
        repositories: every digest, with the ``registry/repository`` names that have it, sorted;
            none where the place knows no repositories, or where they were not told.
    """

    targets: tuple[str, ...] = ()
    taken: str = ""
    repositories: Mapping[Digest, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def make(
        cls,
        targets: Iterable[str],
        found: Iterable[tuple[Digest, str]],
        *,
        taken: str = "",
    ) -> Self:
        """An inventory of pairs of a digest and a repository, which may be an empty text."""
        names: defaultdict[Digest, set[str]] = defaultdict(set)
        for digest, repository in found:
            names[digest].update({repository} - {""})
        # Most content shares its names with its image: one tuple for all of it.
        tuples: dict[frozenset[str], tuple[str, ...]] = {}
        shared = {
            digest: tuples.setdefault(frozenset(own), tuple(sorted(own)))
            for digest, own in names.items()
        }
        return cls(tuple(targets), taken, shared)

    @staticmethod
    def parse(raw: bytes, label: str) -> Inventory:
        """Read an inventory, the lock of a bundle, or a list of digests; any may be gzipped.

        Of a lock, the content counts that is in the bundle's file.

        Raises:
            InvalidInput: it is none of them, or of a newer format; the message begins with
                ``label``.
        """
        raw = _decompressed(raw, label)
        if not raw.lstrip().startswith(b"{"):
            return Inventory((label,), repositories=dict(_of_list(raw, label)))
        reader = _Reader(label, InvalidInput)
        try:
            value = parse_object(raw, label)
            if value.get("format") == LOCK_FORMAT:
                return of_lock(Lock.parse(raw, label, error=InvalidInput), label)
            return reader.inventory(value)
        except ImgsyncError as error:
            text = error.message
            text = text if text.startswith(label) else f"{label}: {text}"
            raise InvalidInput(text, hint=error.hint) from None

    @property
    def digests(self) -> frozenset[Digest]:
        """Everything that is there."""
        return frozenset(self.repositories)

    def repositories_of(self, digest: Digest) -> tuple[str, ...]:
        """Where this content is, as far as it is known."""
        return self.repositories.get(digest, ())

    def without_repositories(self) -> Self:
        """The same with digests only: they tell nothing to who does not have the content."""
        return type(self)((), self.taken, dict.fromkeys(self.repositories, ()))

    def to_bytes(self) -> bytes:
        """The file: the same inventory gives the same bytes. One digest a line, each once."""
        groups: defaultdict[tuple[str, ...], defaultdict[str, list[str]]]
        groups = defaultdict(lambda: defaultdict(list))
        for digest, names in self.repositories.items():
            groups[names][digest.algorithm].append(digest.hex)
        value = {
            "format": FORMAT,
            "targets": list(self.targets),
            "taken": self.taken or None,
            "content": [
                {
                    "repositories": list(names),
                    "digests": {key: sorted(found) for key, found in sorted(groups[names].items())},
                }
                for names in sorted(groups)
            ],
        }
        return f"{json.dumps(value, indent=0, ensure_ascii=False)}\n".encode()


def read_have(raw: bytes, label: str) -> frozenset[Digest]:
    """What a file of ``--have`` says that the far side has; see `Inventory.parse`.

    Raises:
        InvalidInput: the file says nothing of the kind.
    """
    return Inventory.parse(raw, label).digests


def of_lock(lock: Lock, label: str) -> Inventory:
    """What is in a bundle's file, under the names that the bundle was made with."""

    def found() -> Iterator[tuple[Digest, str]]:
        for digest in lock.objects:
            if digest not in lock.absent:
                yield digest, ""
        for root in lock.roots:
            name = repository_of(root)
            stack = [root.descriptor.digest] if name else []
            seen: set[Digest] = set()
            while stack:
                digest = stack.pop()
                if digest in seen:
                    continue
                seen.add(digest)
                if digest not in lock.absent:
                    yield digest, name
                stack.extend(lock.objects[digest].children or ())

    return Inventory.make((label,), found())


def repository_of(root: Root) -> str:
    """The ``registry/repository`` of a root, by its name or by its label if that is one."""
    name = root.full_name
    return name.name if name is not None else ""


def _decompressed(raw: bytes, label: str) -> bytes:
    """The text of a gzip file, or what was no gzip file, as it is."""
    if not raw.startswith(_GZIP):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            text = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        msg = f"{label}: the gzip file is damaged: {error}"
        raise InvalidInput(msg) from None
    if len(text) > MAX_BYTES:
        msg = f"{label} is larger than any inventory when it is decompressed"
        raise InvalidInput(msg)
    return text


def _of_list(raw: bytes, label: str) -> Iterator[tuple[Digest, tuple[str, ...]]]:
    n_found = 0
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            yield Digest.parse(text), ()
        except ImgsyncError as error:
            msg = f"{label}:{number}: {error.message}"
            hint = "an inventory, the lock of a bundle, or digests one a line are expected"
            raise InvalidInput(msg, hint=hint) from None
        n_found += 1
    if not n_found:
        # An empty file is a command that failed; who has nothing needs no --have.
        msg = f"{label} names no content"
        raise InvalidInput(msg, hint="was the command that made it successful?")


class _Reader(Fields):
    """Makes an inventory of JSON, and says where it stopped."""

    def inventory(self, value: dict[str, Any]) -> Inventory:
        found = value.get("format")
        if found != FORMAT:
            hint = "an inventory, the lock of a bundle, or digests one a line are expected"
            if isinstance(found, str) and found.startswith("imgsync."):
                hint = "was it made by a newer imgsync? use that one"
            msg = f"{self.where} has the format {found!r}, {FORMAT} expected"
            raise self.error(msg, hint=hint)
        self.keys(value, ("content", "format", "taken", "targets"), "the inventory")
        taken = "" if value["taken"] is None else self.text(value["taken"], "taken")
        if taken and not _TIME.fullmatch(taken):
            self.refuse(f"taken is {taken!r}, a time like 2026-01-31T12:00:00Z expected")
        repositories: dict[Digest, tuple[str, ...]] = {}
        for position, entry in enumerate(self.list(value["content"], "content")):
            what = f"content[{position}]"
            fields = self.mapping(entry, what)
            self.keys(fields, ("digests", "repositories"), what)
            names = self._texts(fields["repositories"], f"{what}, repositories")
            if list(names) != sorted(set(names)):
                self.refuse(f"{what}: the repositories are not sorted, or one stands there twice")
            for algorithm, hexes in self.mapping(fields["digests"], f"{what}, digests").items():
                for text in self._texts(hexes, f"{what}, digests, {algorithm}"):
                    digest = Digest(algorithm, text)
                    if digest in repositories:
                        self.refuse(f"{what}: {digest.short} stands there twice")
                    repositories[digest] = names
        return Inventory(self._texts(value["targets"], "targets"), taken, repositories)

    def _texts(self, value: object, what: str) -> tuple[str, ...]:
        return tuple(self.text(text, what) for text in self.list(value, what))
