"""Event: what happened, for people, for logs and for tests. Frozen, and without any I/O.

Every long operation takes a ``report``; the command line turns events into bars, lines or JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imgsync.errors import ImgsyncError
    from imgsync.model.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""


@dataclass(frozen=True, slots=True)
class Resolved(Event):
    """A name was resolved to a root, ``done`` of ``total`` names so far."""

    name: str
    descriptor: Descriptor
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Planned(Event):
    """The plan stands: this many objects and bytes will move, and this many are there already."""

    n_objects: int
    n_bytes: int
    n_present: int
    n_present_bytes: int


@dataclass(frozen=True, slots=True)
class Started(Event):
    """An object's first byte is about to move; ``offset`` bytes of it were kept from before."""

    descriptor: Descriptor
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Advanced(Event):
    """``n_bytes`` more of an object passed and were hashed; negative when it starts anew."""

    descriptor: Descriptor
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Copied(Event):
    """An object is stored and proved at the destination. ``how``: sent, mounted or adopted."""

    descriptor: Descriptor
    where: str = ""
    how: str = "sent"


@dataclass(frozen=True, slots=True)
class Skipped(Event):
    """An object was at the destination already."""

    descriptor: Descriptor
    where: str = ""


@dataclass(frozen=True, slots=True)
class Named(Event):
    """A name stands at the destination and means this root. ``before``: what it meant before."""

    name: str
    descriptor: Descriptor
    before: str = ""


@dataclass(frozen=True, slots=True)
class Retried(Event):
    """Something failed and is tried again in ``wait_s`` seconds."""

    what: str
    why: str
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """A fact that the user should know; ``level`` is info or warning."""

    message: str
    level: str = "info"


@dataclass(frozen=True, slots=True)
class InPart(Noted):
    """An image comes without some of its platforms."""


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """An image, or an object that images need, failed for good."""

    what: str
    error: ImgsyncError


@dataclass(frozen=True, slots=True)
class NodeEnded(Event):
    """A node is done. ``status``: seeded or unchanged; one that failed is told by `Failed`."""

    status: str


@dataclass(frozen=True, slots=True)
class OfNode(Event):
    """What happened on one node of a fleet."""

    node: str
    event: Event


Report = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The report of whoever does not want to know."""
