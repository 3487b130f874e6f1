"""Reading a config of any format: which one it is, and whether everything has a place to go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidInput
from imgsync.mirror.config import Defaults
from imgsync.mirror.formats import (
    FORMATS,
    HAULER,
    IMAGE_SYNCER,
    LIST,
    NATIVE,
    REGSYNC,
    SKOPEO,
    Given,
    hauler,
    image_syncer,
    regsync,
    skopeo,
)
from imgsync.mirror.formats.plain_list import read_list
from imgsync.mirror.native import read_native
from imgsync.mirror.nodes import MapNode, Node, parse_documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.formats import Read

_YAML_ENDS: Final = (".yaml", ".yml", ".json")
_OWN_KEYS: Final = ("sources", "defaults", "hosts", "version")
_LOCK_KEYS: Final = ("format", "objects")

_READERS: Final[Mapping[str, Read]] = {
    HAULER: hauler.read,
    REGSYNC: regsync.read,
    SKOPEO: skopeo.read,
    IMAGE_SYNCER: image_syncer.read,
}


def read_config(
    raw: bytes,
    label: str,
    *,
    format_name: str = "",
    defaults: Defaults | None = None,
    environment: Mapping[str, str] | None = None,
) -> MirrorConfig:
    """Read a config, a list of images, or the config of another tool.

    Args:
        raw: the file.
        label: how messages call it.
        format_name: one of `FORMATS`; without it the format is recognised.
        defaults: what the command line says.
        environment: what variables stand for; that of the process, if None.

    Raises:
        InvalidInput: everything that is wrong with it, with line and column, or images have no
            place to go to.
    """
    defaults = defaults or Defaults()
    name, documents = _format(raw, label, format_name)
    if name == LIST:
        config = read_list(raw, label, defaults)
    else:
        environ = os.environ if environment is None else environment
        given = Given(documents, label, defaults, environ)
        if name == NATIVE:
            _only_one(given)
            config = read_native(given.documents[0], label, defaults, environ)
        else:
            if name != HAULER:
                _only_one(given)
            config = _READERS[name](given)
    _check_places(config)
    return config


def _format(raw: bytes, label: str, asked: str) -> tuple[str, tuple[Node, ...]]:
    """Which format it is, and its documents if it is YAML."""
    if asked and asked not in FORMATS:
        msg = f"--format {asked}: there is no such format"
        raise InvalidInput(msg, hint=f"there are {', '.join(FORMATS)}")
    if asked == LIST:
        return LIST, ()
    is_yaml = bool(asked) or label.lower().endswith(_YAML_ENDS)
    try:
        documents = tuple(parse_documents(raw, label))
    except InvalidInput:
        if is_yaml:
            raise
        return LIST, ()
    first = documents[0] if documents else None
    if first is None or (not asked and not isinstance(first, MapNode)):
        if is_yaml:
            raise InvalidInput(f"{label} is empty, or no mapping", hint=_hint())
        return LIST, ()
    return asked or _recognised(first, label), documents


def _recognised(document: Node, label: str) -> str:
    if isinstance(document, MapNode):
        if all(document.get(key) is not None for key in _LOCK_KEYS):
            return LIST
        if hauler.is_format(document):
            return HAULER
        if regsync.is_format(document):
            return REGSYNC
        if any(document.get(key) is not None for key in _OWN_KEYS):
            return NATIVE
        if skopeo.is_format(document):
            return SKOPEO
        if image_syncer.is_format(document):
            return IMAGE_SYNCER
    raise InvalidInput(f"{label} has no form that imgsync knows", hint=_hint())


def _hint() -> str:
    return f"its own has sources: ...; --format is one of {', '.join(FORMATS)}"


def _only_one(given: Given) -> None:
    if len(given.documents) > 1:
        given.documents[1].place.refuse("a second document stands in the file")


def _check_places(config: MirrorConfig) -> None:
    """Refuse a config that would send images back to where they are."""
    if config.output:
        return
    for source in config.sources:
        has_name = source.name is not None and source.name.name != source.repository.name
        if source.target is None and source.mapping.is_identity and not has_name:
            msg = f"{source.place}: nothing says where {source.repository.name} goes"
            raise InvalidInput(msg, hint="--to HOST/PROJECT, or to: in the config")
