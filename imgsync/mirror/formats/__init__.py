"""Configs of other tools, read as they are. One module a format, and which of them a file is.

A format's module has `is_format`, which looks at a document, and `read`. What a format says and
imgsync cannot do is an error with its place; what has no meaning for imgsync, such as how often to
run, is a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from imgsync.mirror.config import Defaults, MirrorConfig
from imgsync.mirror.nodes import Node

NATIVE: Final = "imgsync"
LIST: Final = "list"
REGSYNC: Final = "regsync"
HAULER: Final = "hauler"
IMAGE_SYNCER: Final = "image-syncer"
SKOPEO: Final = "skopeo"
FORMATS: Final = (NATIVE, LIST, SKOPEO, REGSYNC, IMAGE_SYNCER, HAULER)


@dataclass(frozen=True, slots=True)
class Given:
    """What every format is read with.

    Attributes:
        documents: of the YAML file, at least one.
        label: how messages call the file.
        defaults: the command line's.
        environment: for formats that take variables.
    """

    documents: tuple[Node, ...]
    label: str
    defaults: Defaults
    environment: Mapping[str, str]


Read = Callable[[Given], MirrorConfig]
