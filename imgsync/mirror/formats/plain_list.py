"""Plain lists: one image a line, ``SOURCE``, ``SOURCE NAME`` or ``SOURCE=NAME``; and locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput
from imgsync.mirror.config import MirrorConfig
from imgsync.mirror.formats.common import source_of
from imgsync.mirror.names import tag_of
from imgsync.mirror.nodes import Place, TextNode
from imgsync.mirror.tags import TagRule
from imgsync.model.image_list import parse_list
from imgsync.model.image_source import Transport

if TYPE_CHECKING:
    from imgsync.mirror.config import Defaults, MirrorSource
    from imgsync.model.image_list import Wish


def read_list(raw: bytes, label: str, defaults: Defaults) -> MirrorConfig:
    """Read a list of images; with a prefix from the command line it is a whole config.

    Raises:
        InvalidInput: a line is no image, or none of a registry.
    """
    sources = [_source(wish, label, defaults) for wish in parse_list(raw, label).wishes]
    return MirrorConfig(label, tuple(sources))


def _source(wish: Wish, label: str, defaults: Defaults) -> MirrorSource:
    image = wish.source.reference
    if wish.source.transport is not Transport.REGISTRY or image is None:
        msg = f"{wish.where}: {wish.source} is in no registry, and mirror is for registries"
        raise InvalidInput(msg, hint="imgsync push sends files")
    line = wish.where.rpartition(":")[2]
    place = Place(label, int(line) if line.isdigit() else 1, 1)
    rule = TagRule(exact=(tag_of(image),))
    return source_of(TextNode(place, str(image)), image, rule, defaults, name=wish.name)
