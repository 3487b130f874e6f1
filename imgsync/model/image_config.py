"""ImageConfig: what the config of an image says about its layers and its platform.

Only the two image config types are read (image-spec, config.md, and docker's); the config of an
artifact is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import InvalidDigest, InvalidManifest
from imgsync.model.digest import Digest
from imgsync.model.platform import Platform
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONFIG_BYTES: Final = 16 * 1024 * 1024
"""A config has a line for each step of a build; nobody has seen one of a megabyte."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What imgsync needs of a config.

    Attributes:
        platform: what it was built for, or None where it does not say.
        diff_ids: the digest of each layer's decompressed tar, lowest first.
        n_layer_steps: history entries that made a layer, or None without a history.
        created: as the config says it, or an empty text.
    """

    platform: Platform | None
    diff_ids: tuple[Digest, ...]
    n_layer_steps: int | None = None
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def parse_config(raw: bytes, where: str) -> ImageConfig:
    """Read an image config; its bytes were verified before.

    Raises:
        InvalidManifest: no JSON object, or without ``rootfs`` of type ``layers`` with its
            ``diff_ids``.
    """
    value = parse_object(raw, where)
    rootfs = value.get("rootfs")
    if not isinstance(rootfs, dict) or rootfs.get("type") != "layers":
        msg = f"{where} has no rootfs of type layers"
        raise InvalidManifest(msg)
    diff_ids = rootfs.get("diff_ids")
    if diff_ids is None:
        diff_ids = []  # docker writes null for an image without layers
    if not isinstance(diff_ids, list):
        msg = f"{where}: diff_ids is not a list"
        raise InvalidManifest(msg)
    platform = Platform.from_json(value)
    created, inner = value.get("created"), value.get("config")
    return ImageConfig(
        platform if platform.os else None,
        tuple(_diff_id(text, where) for text in diff_ids),
        _layer_steps(value.get("history")),
        created if isinstance(created, str) else "",
        _labels(inner.get("Labels") if isinstance(inner, dict) else None),
    )


def _diff_id(text: object, where: str) -> Digest:
    try:
        return Digest.parse(text if isinstance(text, str) else "")
    except InvalidDigest as error:
        msg = f"{where}: diff_ids: {error.message}"
        raise InvalidManifest(msg) from None


def _layer_steps(history: Any) -> int | None:
    if not isinstance(history, list) or not history:
        return None
    return sum(
        1 for step in history if not (isinstance(step, dict) and step.get("empty_layer") is True)
    )


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(text, str)}
