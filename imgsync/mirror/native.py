"""imgsync's own config: from its document to a `MirrorConfig`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from imgsync.errors import InvalidInput
from imgsync.mirror.config import Defaults, HostSettings, MirrorConfig, MirrorSource
from imgsync.mirror.names import make_mapping, tag_of, under
from imgsync.mirror.nodes import MapNode, Node, TextNode
from imgsync.mirror.reading import Reading
from imgsync.mirror.schema import ALL, CONFIG
from imgsync.mirror.tags import TagRule
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.referrers.choice import ReferrerChoice

ALL_TAGS: Final = TagRule(is_filter=True)


def read_native(
    document: Node, label: str, defaults: Defaults, environment: Mapping[str, str]
) -> MirrorConfig:
    """Read a config of imgsync's own.

    Args:
        document: from `imgsync.mirror.nodes`.
        label: how messages call it.
        defaults: the command line's, before which the file's own defaults stand back.
        environment: what ``${NAME}`` may stand for.

    Raises:
        InvalidInput: everything that is wrong, each with line and column.
    """
    reading = Reading(environment, _interpolates(document))
    said = CONFIG.read(document, reading)
    # Sources that are right in themselves are checked even where others are not.
    values = said if isinstance(said, dict) else {}
    base = {**values.get("defaults", {}), **_of_command_line(defaults)}
    sources = [
        source
        for node, entry in values.get("sources", ())
        if (source := _source(node, entry, base, reading)) is not None
    ]
    hosts: tuple[HostSettings, ...] = values.get("hosts", ())
    reading.finish()
    return MirrorConfig(
        label, tuple(sources), {host.host: host for host in hosts}, values.get("output", "")
    )


def _interpolates(document: Node) -> bool:
    node = document.get("interpolate") if isinstance(document, MapNode) else None
    return isinstance(node, TextNode) and node.text.lower() == "true"


def _of_command_line(defaults: Defaults) -> dict[str, Any]:
    values = {
        "to": defaults.to,
        "map": defaults.rules,
        "keep-registry": defaults.keep_registry,
        "platforms": defaults.platforms,
        "referrers": defaults.referrers,
    }
    return {key: value for key, value in values.items() if value is not None}


def _source(
    node: Node, entry: Reference | dict[str, Any], base: dict[str, Any], reading: Reading
) -> MirrorSource | None:
    own: dict[str, Any] = {"image": entry} if isinstance(entry, Reference) else entry
    if ("image" in own) == ("repository" in own):
        reading.refuse(node, "either image or repository is expected")
        return None
    values = {**base, **own}
    name: Reference = own["image"] if "image" in own else own["repository"]
    rule = _rule(node, name, own, base, reading)
    try:
        to = values.get("to", "")
        keep_registry = values.get("keep-registry", False) and bool(to)
        mapping = make_mapping(to, values.get("map", ()), keep_registry=keep_registry)
        target = under(to, own["as"]) if "as" in own else None
        platforms = _platforms(values.get("platforms", ()))
        referrers = _referrers(values.get("referrers", ()))
    except InvalidInput as error:
        reading.refuse(node, error.message, hint=error.hint)
        return None
    if target is not None and (target.digest is not None or (target.tag and "image" not in own)):
        reading.refuse(node, f"as: {target} is an image, a repository is expected")
        return None
    if rule is None:
        return None
    repository = Reference(name.registry, name.repository)
    return MirrorSource(node.place, repository, rule, mapping, None, target, platforms, referrers)


def _rule(
    node: Node, name: Reference, own: dict[str, Any], base: dict[str, Any], reading: Reading
) -> TagRule | None:
    if "image" in own:
        if "tags" in own:
            tags, _ = own["tags"]
            reading.refuse(tags, "an image has no tags; say repository instead of image")
        return TagRule(exact=(tag_of(name),))
    value = own["tags"][1] if "tags" in own else base.get("tags")
    match value:
        case None:
            hint = "tags: [a, b], rules, or tags: all for every tag"
            reading.refuse(node, f"nothing says which tags of {name.name}", hint=hint)
            return None
        case TagRule():
            return value
        case str() if value == ALL:
            return ALL_TAGS
        case _:
            return TagRule(exact=tuple(value))


def _referrers(value: ReferrerChoice | Iterable[str]) -> ReferrerChoice:
    return value if isinstance(value, ReferrerChoice) else ReferrerChoice.parse(value)


def _platforms(value: PlatformChoice | Iterable[str]) -> PlatformChoice:
    return value if isinstance(value, PlatformChoice) else PlatformChoice.parse(value)
