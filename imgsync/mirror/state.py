"""State: what a mirror remembers from run to run, so that the next one asks less.

It is a hint and never needed for being right. What a tag means is always asked at both sides; the
state only saves what would be asked for in addition. A file that is damaged, of another version or
unreadable is therefore ignored with a note. Written whole, with a checksum, by rename.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import ImgsyncError, InvalidArchive, InvalidDigest
from imgsync.mirror.files import read_if_there, write_file
from imgsync.model.digest import Digest
from imgsync.model.strict_json import canonical

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "imgsync.mirror-state/1"


@dataclass(frozen=True, slots=True)
class SeenBudget:
    """What a registry last said of its pull budget, and when (seconds since 1970)."""

    limit: int
    remaining: int
    window_s: float
    when_s: float


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found about an image, and when (seconds since 1970).

    Attributes:
        documents: the digests that something may be about.
        known: what is known to be about them.
    """

    when_s: float
    documents: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()


@dataclass(slots=True)
class State:
    """What is known from before. A run adds to it; what it did not touch is dropped when saved.

    Attributes:
        seen: for ``SOURCE TARGET``, the source's digest when it was last found or made the same.
        rewritten: for ``DIGEST PLATFORMS``, the digest of the index of only those.
        referrers: for an image and where it is, what was found about it.
        budgets: by registry.
        last_success_s: when a run last ended without a failure; 0 for never.
    """

    seen: dict[str, str] = field(default_factory=dict)
    rewritten: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, Checked] = field(default_factory=dict)
    budgets: dict[str, SeenBudget] = field(default_factory=dict)
    last_success_s: float = 0.0
    _touched: set[str] = field(default_factory=set)

    def rewritten_digest(self, digest: Digest, platforms: str) -> Digest | None:
        """The digest of the index of just these platforms, if it is known."""
        key = f"{digest} {platforms}"
        self._touched.add(key)
        try:
            return Digest.parse(self.rewritten.get(key, ""))
        except InvalidDigest:
            return None

    def remember_rewritten(self, digest: Digest, platforms: str, made: Digest) -> None:
        """Know it in the next run; the same input gives the same digest for ever."""
        key = f"{digest} {platforms}"
        self._touched.add(key)
        self.rewritten[key] = str(made)

    def remember_seen(self, key: str, digest: Digest) -> None:
        """This source and target are the same, or were made so."""
        self._touched.add(key)
        self.seen[key] = str(digest)

    def has_changed(self, key: str, digest: Digest) -> bool:
        """Whether the source is known to have meant something else before."""
        return self.seen.get(key, str(digest)) != str(digest)

    def checked(self, key: str) -> Checked | None:
        """What was found about an image, if it was ever looked for."""
        self._touched.add(key)
        return self.referrers.get(key)

    def remember_checked(self, key: str, checked: Checked) -> None:
        """It was looked for."""
        self._touched.add(key)
        self.referrers[key] = checked

    def to_json(self) -> dict[str, Any]:
        """All that was touched, so that a state does not grow with tags that are gone."""
        return {
            "budgets": {
                host: {
                    "limit": budget.limit,
                    "remaining": budget.remaining,
                    "when": budget.when_s,
                    "window": budget.window_s,
                }
                for host, budget in self.budgets.items()
            },
            "format": FORMAT,
            "lastSuccess": self.last_success_s,
            "referrers": {
                key: {
                    "documents": sorted(checked.documents),
                    "known": sorted(checked.known),
                    "when": checked.when_s,
                }
                for key, checked in self._kept(self.referrers).items()
            },
            "rewritten": self._kept(self.rewritten),
            "seen": self._kept(self.seen),
        }

    def _kept(self, known: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in known.items() if key in self._touched}


def load_state(path: Path) -> tuple[State, str]:
    """The state, and a note if there is a file that cannot be used."""
    try:
        raw = read_if_there(path)
        return (State() if raw is None else _parsed(raw, str(path))), ""
    except ImgsyncError as error:
        return State(), f"the state is ignored: {error.message}"


def save_state(path: Path, state: State) -> None:
    """Write the state, whole.

    Raises:
        StoreError, NoSpace: it cannot be written.
    """
    content = canonical(state.to_json())
    checksum = hashlib.sha256(content).hexdigest()
    write_file(path, b'{"sha256":"%s","state":%s}\n' % (checksum.encode(), content), mode=0o600)


def _parsed(raw: bytes, where: str) -> State:
    try:
        # Duplicate keys and the like cannot matter: the checksum says that we wrote it.
        value = json.loads(raw)
        content = value["state"]
        if hashlib.sha256(canonical(content)).hexdigest() != value["sha256"]:
            raise InvalidArchive(f"{where} is damaged: its checksum is wrong")
        if content["format"] != FORMAT:
            raise InvalidArchive(f"{where} is of another version: {content['format']!r}")
        return _of_json(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidArchive(f"{where} is damaged: {type(error).__name__}") from None


def _of_json(value: dict[str, Any]) -> State:
    return State(
        seen={str(key): str(text) for key, text in value["seen"].items()},
        rewritten={str(key): str(text) for key, text in value["rewritten"].items()},
        referrers={
            str(key): Checked(
                float(said["when"]),
                frozenset(str(Digest.parse(text)) for text in said["documents"]),
                frozenset(str(text) for text in said["known"]),
            )
            for key, said in value["referrers"].items()
        },
        budgets={
            str(host): SeenBudget(
                int(said["limit"]),
                int(said["remaining"]),
                float(said["window"]),
                float(said["when"]),
            )
            for host, said in value["budgets"].items()
        },
        last_success_s=float(value["lastSuccess"]),
    )
