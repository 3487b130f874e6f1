"""Retagging in containerd: another name for what a name means. Content does not move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.errors import Conflict

if TYPE_CHECKING:
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.stores.containerd.namespace import Containerd


@dataclass(frozen=True, slots=True)
class Tagged:
    """A name that was set.

    Attributes:
        before: what it meant, if it was there with another digest.
        is_new: whether it meant nothing or something else before.
    """

    source: str
    target: str
    digest: Digest
    before: Digest | None
    is_new: bool


def tag_image(
    containerd: Containerd,
    source: Reference,
    target: Reference,
    *,
    force: bool = False,
    twin: bool = False,
    dry_run: bool = False,
) -> Tagged:
    """Let ``target`` mean what ``source`` means; with ``twin`` also ``target@digest``.

    Whether the name is free is asked here: 1.x refuses to overwrite without ``--force`` and 2.x
    never does.

    Raises:
        NotFound: the namespace has no such source; the message says which other one has.
        Conflict: ``target`` stands with another digest, and ``force`` was not said.
    """
    records = containerd.images.all()
    record = containerd.record(source)
    name = str(target.with_tag(target.tag)) if target.tag else str(target.at(record.digest))
    there = records.get(name)
    before = there.digest if there is not None and there.digest != record.digest else None
    if before is not None and not force:
        msg = (
            f"{containerd.side}: {name} is there already and means {before}; "
            f"{record.name} is {record.digest}"
        )
        raise Conflict(msg, hint="--force lets it mean the new content")
    names = [name] if there is None or before is not None else []
    if twin and str(target.at(record.digest)) not in records:
        names.append(str(target.at(record.digest)))
    for new in dict.fromkeys(names):
        if not dry_run and new != record.name:
            containerd.images.tag(record.name, new)
    return Tagged(record.name, name, record.digest, before, there is None or before is not None)
