"""A site's images for the tests of reports: bases, platforms, labels, evidence, and a bad guest."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from imgsync.model.bundle import AbsentReason
from imgsync.reporting.gathering import report_of
from tests.bundles import lock_of, memory_of
from tests.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Images, Layer, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.reporting.facts import Report
    from imgsync.stores.memory import Memory

SOURCE = "org.opencontainers.image.source"
LICENCES = "org.opencontainers.image.licenses"
REDIS = "docker.io/library/redis:7"
NGINX = "docker.io/library/nginx:1"
TOOL = "quay.io/team/tool:2"
GUEST = "registry.example/bad/guest:1"

MEAN = (
    "</script><script>window.hurt = 1</script>",
    '"><img src=http://127.0.0.1:9/x onerror="window.hurt = 1">',
    "' onmouseover='window.hurt=1",
    "javascript:window.hurt=1",
    "</style><style>body{background:url(http://127.0.0.1:9/y)}</style>",
    "<svg onload=window.hurt=1>",
    "]]><!-- -->",
    "\x1b[2J\x00\u202eevil\ud800",
    "=cmd|' /C calc'!A0",
)
"""What a stranger may write into a label."""


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def big_layer(images: Images, seed: str, size: int) -> Layer:
    """A layer that is said to have this size; reports read none."""
    descriptor = images.blob(f"{OCI_LAYER}+gzip", f"layer {seed}".encode())
    return Layer({**descriptor, "size": size}, digest_of(f"tar {seed}".encode()))


def image(
    images: Images,
    layers: Sequence[Layer],
    platform: str = "linux/amd64",
    *,
    labels: Mapping[str, str] | None = None,
    created: str = "2026-01-31T12:00:00Z",
    **fields: Any,
) -> dict[str, Any]:
    """A manifest whose config has labels and a date."""
    os, architecture = platform.split("/")
    described = {"os": os, "architecture": architecture}
    config = {
        **described,
        "created": created,
        "config": {"Labels": dict(labels or {})},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": images.blob(OCI_CONFIG, json.dumps(config).encode()),
        "layers": [layer.descriptor for layer in layers],
        **fields,
    }
    return {**images.blob(OCI_MANIFEST, json.dumps(manifest).encode()), "platform": described}


def site() -> Images:
    """Three good images and the guest."""
    images = Images()
    for name, size, created, licence in (
        (REDIS, 5_000_000, "2026-03-01T00:00:00Z", "BSD-3-Clause"),
        (NGINX, 9_000_000, "2026-02-01T00:00:00Z", "BSD-2-Clause"),
        (TOOL, 1_000_000, "2026-04-01T00:00:00Z", ""),
    ):
        children = []
        for platform in ("linux/amd64", "linux/arm64"):
            layers = [
                big_layer(images, f"base {platform}", 30_000_000),
                big_layer(images, f"{name} {platform}", size),
            ]
            labels = {SOURCE: f"https://example.com/{name}", "team": "blue"}
            if licence:
                labels[LICENCES] = licence
            children.append(image(images, layers, platform, labels=labels, created=created))
        root = images.index([*children, images.attestation(children[0])])
        images.name(name, root)
        repository = name.rpartition(":")[0]
        if name == REDIS:
            images.cosign_signature(root, repository)
            images.referrer(root, "application/spdx+json", b"{}", repository)
    labels = {f"key{number} {text}": text for number, text in enumerate(MEAN)}
    labels |= {SOURCE: MEAN[1], LICENCES: MEAN[0]}
    layer = big_layer(images, "guest", 7_000_000)
    guest = image(images, [layer], labels=labels, created=MEAN[1])
    images.name(GUEST, guest)
    images.referrer(guest, MEAN[0], b"x", "registry.example/bad/guest")
    return images


def partial(images: Images, *reasons: AbsentReason) -> Memory:
    """A store without the content of linux/arm64, declared for the reason."""
    memory = memory_of(images)
    lock = lock_of(memory, "linux/amd64")
    why = reasons[0] if reasons else AbsentReason.PLATFORM
    memory.absent = dict.fromkeys(lock.absent, why)
    for digest in lock.absent:
        memory.blobs.pop(digest, None)
    return memory


def site_report(*, title: str = "site.tar") -> Report:
    """The report of the site, of which linux/arm64 was left out."""
    report = report_of(partial(site()), title, file_size=100_000_000)
    return replace(report, failed=("docker.io/library/mongo:8",))
