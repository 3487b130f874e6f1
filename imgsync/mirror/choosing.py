"""From a config to the images that are wanted now; each repository is listed at most once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from imgsync.errors import ImgsyncError
from imgsync.events import Noted, Report
from imgsync.mirror.items import MirrorItem, Unplaced, items_of

if TYPE_CHECKING:
    from imgsync.mirror.config import MirrorConfig
    from imgsync.model.reference import Reference


class Tagged(Protocol):
    """A repository that can list its tags."""

    def tags(self) -> list[str]:
        """All tags."""
        ...


@dataclass(slots=True)
class Chosen:
    """What the config wants now.

    Attributes:
        items: every image with its target.
        unplaced: images without one.
        failures: repositories whose tags could not be listed.
    """

    items: list[MirrorItem] = field(default_factory=list)
    unplaced: list[Unplaced] = field(default_factory=list)
    failures: list[tuple[str, ImgsyncError]] = field(default_factory=list)


def choose(
    config: MirrorConfig, open_source: Callable[[Reference], Tagged], report: Report, *, jobs: int
) -> Chosen:
    """List what has to be listed, in parallel, and choose.

    A repository that cannot be listed fails alone; those tags of it that the config names one by
    one are still wanted.
    """
    to_list = {
        source.repository: source.place for source in config.sources if source.tags.is_filter
    }

    def tags_of(repository: Reference) -> list[str] | ImgsyncError:
        try:
            return open_source(repository).tags()
        except ImgsyncError as error:
            return error

    with ThreadPoolExecutor(jobs, "tags") as pool:
        listed = dict(zip(to_list, pool.map(tags_of, to_list), strict=True))
    chosen = Chosen()
    for repository, tags in listed.items():
        if isinstance(tags, ImgsyncError):
            chosen.failures.append((repository.name, tags))
    wanted = []
    for source in config.sources:
        known = listed.get(source.repository, []) if source.tags.is_filter else []
        selected = source.tags.choose(known if isinstance(known, list) else [])
        if source.tags.is_filter and isinstance(known, list) and not selected:
            message = f"{source.place}: {source.repository.name}: {source.tags.why_none(known)}"
            report(Noted(message, "warning"))
        wanted.append((source, selected))
    chosen.items, chosen.unplaced = items_of(wanted, is_elsewhere=bool(config.output))
    return chosen
