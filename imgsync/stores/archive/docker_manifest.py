"""``manifest.json`` of docker-save archives: what docker sees in them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from imgsync.errors import ImgsyncError, InvalidArchive
from imgsync.model.strict_json import parse
from imgsync.stores.archive.tar_names import member_name


@dataclass(frozen=True, slots=True)
class DockerEntry:
    """One image: the members that hold its config and its layers, lowest first."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


def parse_docker_manifest(raw: bytes, where: str) -> tuple[DockerEntry, ...]:
    """Read a ``manifest.json``; ``RepoTags`` may be null, and other keys are passed over.

    Raises:
        InvalidArchive: not a list of such entries, or a path that leads out of the archive.
    """
    try:
        value = parse(raw, where)
    except ImgsyncError as error:
        raise InvalidArchive(error.message) from None
    if not isinstance(value, list):
        _refuse(where, "is not a list")
    return tuple(
        _entry(entry, f"{where}: entry {position}") for position, entry in enumerate(value)
    )


def _entry(value: Any, where: str) -> DockerEntry:
    if not isinstance(value, dict):
        _refuse(where, "is not an object")
    config = value.get("Config")
    if "ImageIndex" in value and "Image" in value:
        msg = f"{where} is in the form of imgpkg, which no other tool reads"
        raise InvalidArchive(
            msg, hint="let imgpkg put it into a registry, and bundle it from there"
        )
    if not isinstance(config, str):
        _refuse(where, "has no Config")
    return DockerEntry(
        member_name(config),
        _texts(value.get("RepoTags"), f"{where}: RepoTags"),
        tuple(member_name(layer) for layer in _texts(value.get("Layers"), f"{where}: Layers")),
    )


def _texts(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        _refuse(where, "is not a list of texts")
    return tuple(value)


def _refuse(where: str, problem: str) -> NoReturn:
    msg = f"{where} {problem}"
    raise InvalidArchive(msg)
