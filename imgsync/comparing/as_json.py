"""The differences as JSON (``docs/diff.md``). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsync.comparing.contents import ImageContents, PlatformContents
    from imgsync.comparing.differences import (
        Amount,
        Differences,
        ImageDiff,
        LayerDiff,
        PlatformDiff,
    )


def differences_json(found: Differences) -> dict[str, Any]:
    """Everything, the images that are the same included."""
    return {
        "first": found.first,
        "second": found.second,
        "same": found.is_same,
        "new": _amount(found.new),
        "shared": _amount(found.shared),
        "gone": _amount(found.gone),
        "images": [_image(image) for image in found.images],
    }


def _image(image: ImageDiff) -> dict[str, Any]:
    return {
        "name": image.name,
        "oldName": image.old_name or None,
        "change": str(image.change),
        "before": _root(image.before),
        "after": _root(image.after),
        "new": _amount(image.new),
        "gone": _amount(image.gone),
        "platforms": [_platform(platform) for platform in image.platforms],
    }


def _platform(platform: PlatformDiff) -> dict[str, Any]:
    return {
        "name": platform.name,
        "change": str(platform.change),
        "before": _manifest(platform.before),
        "after": _manifest(platform.after),
        "layers": [_layer(layer) for layer in platform.layers],
    }


def _layer(item: LayerDiff) -> dict[str, Any]:
    return {
        "change": str(item.change),
        "digest": str(item.layer.digest),
        "mediaType": item.layer.media_type,
        "size": item.layer.size,
        "new": item.is_new,
    }


def _root(image: ImageContents | None) -> dict[str, Any] | None:
    if image is None:
        return None
    return {"digest": str(image.root.digest), "mediaType": image.root.media_type}


def _manifest(platform: PlatformContents | None) -> dict[str, Any] | None:
    if platform is None:
        return None
    config = platform.config
    return {
        "digest": str(platform.manifest.digest),
        "config": str(config.digest) if config is not None else None,
    }


def _amount(amount: Amount) -> dict[str, int]:
    return {"objects": amount.n_objects, "bytes": amount.n_bytes}
