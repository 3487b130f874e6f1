"""The corpora: forty images of three platforms with shared layers, and many tiny images."""

import gzip
import random

from tests.images import Images, tar_of
from tests.upload import upload

PLATFORMS = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7")
LARGE_IMAGES = 40
LAYER_BYTES = 3_500_000
TINY_IMAGES = 200


def _stored(data: bytes) -> bytes:
    """A gzip file of random data: what cannot be compressed need not be tried."""
    return gzip.compress(data, compresslevel=0, mtime=0)


def large() -> Images:
    """About 560 MB in 440 objects: each platform has eight images in five that share a base."""
    images = Images(compressors={"gzip": _stored})
    dice = random.Random(567)
    bases = [
        [images.tar_layer(tar_of({"base": dice.randbytes(LAYER_BYTES)})) for _ in PLATFORMS]
        for _ in range(LARGE_IMAGES // 3)
    ]
    for number in range(LARGE_IMAGES):
        children = [
            images.image(
                [
                    bases[number % len(bases)][place],
                    images.tar_layer(tar_of({"app": dice.randbytes(LAYER_BYTES)})),
                ],
                platform=platform,
            )
            for place, platform in enumerate(PLATFORMS)
        ]
        images.name(f"bench.example/large/app{number:02}:1", images.index(children))
    return images


def tiny() -> Images:
    """Two hundred images of one small layer and two platforms."""
    images = Images()
    base = images.layer({"etc/os-release": b"NAME=tiny"})
    for number in range(TINY_IMAGES):
        children = [
            images.image(
                [base, images.layer({"n": f"{number}{platform}".encode()})], platform=platform
            )
            for platform in PLATFORMS[:2]
        ]
        images.name(f"bench.example/tiny/app{number:03}:1", images.index(children))
    return images


CORPORA = {"large": large, "tiny": tiny}


def fill(url: str, corpus: str) -> tuple[list[str], int, int]:
    """Make a corpus and put it into a registry."""
    images = CORPORA[corpus]()
    names = list(upload(url, images).values())
    return names, len(images.blobs), sum(len(data) for data in images.blobs.values())
