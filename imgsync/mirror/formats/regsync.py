"""regsync.yml of regclient (cmd/regsync/config.go of 2026).

Of its templates, only ``{{env "NAME"}}`` is filled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imgsync.mirror.config import ALL_REFERRERS, NO_REFERRERS, MirrorConfig
from imgsync.mirror.formats.common import (
    EVERY_TAG,
    is_said,
    is_true,
    items,
    record,
    refuse_others,
    source_of,
    text,
)
from imgsync.mirror.formats.regsync_hosts import TUNING, Hosts, filled
from imgsync.mirror.names import parse_image, parse_platform, parse_repository, tag_of
from imgsync.mirror.nodes import MapNode
from imgsync.mirror.reading import Reading
from imgsync.mirror.tags import TagPattern, TagRule
from imgsync.mirror.version_range import Range
from imgsync.model.platform import PlatformChoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.mirror.config import MirrorSource
    from imgsync.mirror.formats import Given
    from imgsync.mirror.nodes import Node
    from imgsync.referrers.choice import ReferrerChoice

_UNABLE: Final = {
    "backup": "keeps no copy of what a tag meant before; a receipt tells its digest",
    "hooks": "runs no hooks; its exit code and --report tell what happened",
    "includeExternal": "does not fetch layers from other places than the registry",
    "skipDockerConfig": "reads docker's credentials, unless --authfile names others",
    "referrerFilters": "chooses referrers by artifact type only: --referrers TYPE",
    "referrerSource": "takes referrers from where the image is",
    "referrerTarget": "puts referrers to where the image is",
}
_DEFAULTS: Final = ("ratelimit", "digestTags", "referrers", *TUNING)
_SYNC_UNABLE: Final = {
    **_UNABLE,
    "platform": "cannot turn an index into one of its images; `platforms` makes an index of some",
    "repos": "mirrors repositories, each named",
}
_SYNC: Final = ("source", "target", "type", "tags", "tagSets", "platforms", *_DEFAULTS)


def is_format(document: Node) -> bool:
    """Whether it has a list of steps under ``sync``."""
    return isinstance(document, MapNode) and document.get("sync") is not None


def read(given: Given) -> MirrorConfig:
    """Read the file.

    Raises:
        InvalidInput: everything that is wrong, each with line and column.
    """
    return _Reader(given).read()


class _Reader:
    def __init__(self, given: Given) -> None:
        self._given = given
        self._reading = Reading(given.environment)
        self._hosts = Hosts(self._reading)
        self._notes: list[str] = []

    def read(self) -> MirrorConfig:
        reading, sources = self._reading, list[Any]()
        top = record(self._given.documents[0], reading, "the file")
        if top is not None:
            refuse_others(top, ("version", "creds", "defaults", "sync"), reading, "regsync's")
            for node in self._items(top, "creds"):
                self._hosts.read(node)
            said = top.get("defaults")
            defaults = record(said, reading, "defaults") if said is not None else None
            if defaults is not None:
                refuse_others(defaults, _DEFAULTS, reading, "regsync's defaults", _UNABLE)
                self._look_at(defaults)
            for node in self._items(top, "sync"):
                sources += self._sync(node, defaults)
        reading.finish()
        notes = tuple(dict.fromkeys(self._notes))
        return MirrorConfig(self._given.label, tuple(sources), self._hosts.settings, notes=notes)

    def _items(self, fields: MapNode, key: str) -> tuple[Node, ...]:
        node = fields.get(key)
        return items(node, self._reading, key) if node is not None else ()

    def _look_at(self, fields: MapNode) -> None:
        """Note what is said without a meaning here."""
        ignored = [name.text for name, value in fields.entries if name.text in TUNING]
        if ignored:
            self._notes.append(f"without a meaning for imgsync: {', '.join(sorted(ignored))}")
        limit = fields.get("ratelimit")
        if isinstance(limit, MapNode):
            self._hosts.limit_pulls(limit.get("min"))

    # --- steps --------------------------------------------------------------------------------

    def _sync(self, node: Node, defaults: MapNode | None) -> Iterator[MirrorSource]:
        reading = self._reading
        fields = record(node, reading, "sync")
        if fields is None:
            return
        refuse_others(fields, _SYNC, reading, "regsync's sync", _SYNC_UNABLE)
        self._look_at(fields)
        kind = fields.get("type")
        ends = [fields.get("source"), fields.get("target")]
        if kind is None or ends[0] is None or ends[1] is None:
            reading.refuse(fields, "source, target and type are expected")
            return
        kind_text = text(kind, reading, "type")
        if kind_text not in {"image", "repository"}:
            problem = f"type {kind_text}: imgsync mirrors images and repositories"
            reading.refuse(kind, problem, hint="name each repository of the registry")
            return
        parse = parse_image if kind_text == "image" else parse_repository
        names = [
            reading.convert(end, name, parse)
            for end in ends
            if end is not None and (name := filled(end, reading)) is not None
        ]
        platforms, referrers = self._platforms(fields), self._referrers(fields, defaults)
        more: dict[str, Any] = {"platforms": platforms} if platforms is not None else {}
        more |= {"referrers": referrers} if referrers is not None else {}
        if len(names) < 2 or names[0] is None or names[1] is None:
            return
        source, target = names[0], names[1]
        rules = [TagRule(exact=(tag_of(source),))] if kind_text == "image" else self._rules(fields)
        for rule in rules:
            yield source_of(fields, source, rule, self._given.defaults, target=target, **more)

    def _rules(self, fields: MapNode) -> list[TagRule]:
        sets = [*self._items(fields, "tagSets")]
        tags = fields.get("tags")
        if tags is not None and is_said(tags):
            sets.append(tags)
        return [rule for node in sets if (rule := self._rule(node)) is not None] or [EVERY_TAG]

    def _rule(self, node: Node) -> TagRule | None:
        fields = record(node, self._reading, "tags")
        if fields is None:
            return None
        refuse_others(fields, ("allow", "deny", "semverRange"), self._reading, "regsync's tags")
        allow, deny = self._patterns(fields, "allow"), self._patterns(fields, "deny")
        ranges = []
        for item in self._items(fields, "semverRange"):
            written = text(item, self._reading, "a range")
            if written is not None:
                ranges.append(self._reading.convert(item, written, Range.parse))
        return TagRule(
            patterns=(allow,) if allow else (),
            semver=tuple(item for item in ranges if item is not None),
            is_filter=True,
            excluded=deny,
        )

    def _patterns(self, fields: MapNode, key: str) -> tuple[TagPattern, ...]:
        found = []
        for item in self._items(fields, key):
            written = text(item, self._reading, "a regular expression")
            if written is not None:
                found.append(self._reading.convert(item, written, _anchored))
        return tuple(item for item in found if item is not None)

    def _platforms(self, fields: MapNode) -> PlatformChoice | None:
        texts = []
        for item in self._items(fields, "platforms"):
            written = text(item, self._reading, "a platform")
            if written is not None:
                texts.append(self._reading.convert(item, written, parse_platform))
        wanted = [item for item in texts if item is not None]
        if wanted:
            self._notes.append(
                "platforms: regsync leaves the index as it is, with children that are not there; "
                "imgsync writes an index of the chosen ones"
            )
        return PlatformChoice.parse(wanted) if wanted else None

    def _referrers(self, fields: MapNode, defaults: MapNode | None) -> ReferrerChoice | None:
        said = []
        for key in ("referrers", "digestTags"):
            node = fields.get(key) or (defaults.get(key) if defaults is not None else None)
            said += [node] if node is not None else []
        if not said:
            return None
        return ALL_REFERRERS if any(map(is_true, said)) else NO_REFERRERS


def _anchored(written: str) -> TagPattern:
    # regsync puts the anchors around the text alone: `v1|v2` begins with v1 or ends with v2.
    return TagPattern.of_regex(written, before="^", behind="$")
