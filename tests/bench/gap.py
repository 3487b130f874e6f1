"""`make gap`: what crosses the gap when one layer of five changed in forty images.

The bytes of the delta beside those of the full bundle, then the delta pushed and imported where
the first bundle is, and proved to be whole there.
"""

import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.images import Images, tar_of
from tests.servers.containerd import Containerd
from tests.servers.registry import Registry
from tests.upload import upload

IMAGES = 40
LAYERS = 5
LAYER_BYTES = 1_000_000


def corpus(version: int) -> Images:
    """Forty images of five layers; the last of each is of this version."""
    images = Images()
    for number in range(IMAGES):
        layers = []
        for place in range(LAYERS):
            is_last = place == LAYERS - 1
            dice = random.Random(f"{number} {place} {version if is_last else 0}")
            data = tar_of({"data": dice.randbytes(LAYER_BYTES)})
            layers.append(images.tar_layer(data, compression="none"))
        image = images.image(layers)
        images.name(f"gap.example/app{number:02}:1", images.index([image]))
    return images


def imgsync(*arguments: str | Path) -> str:
    """Run a command that must succeed."""
    command = [sys.executable, "-m", "imgsync", *(str(argument) for argument in arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Both versions, the delta, and the far side."""
    with tempfile.TemporaryDirectory() as name, Registry() as near, Registry() as far:
        folder = Path(name)
        lists = []
        for version in (1, 2):
            names = upload(near.url, corpus(version)).values()
            lists.append(folder / f"{version}.txt")
            text = "\n".join(f"{source} gap.example/{source.partition('/')[2]}" for source in names)
            lists[-1].write_text(text + "\n")
            if version == 1:
                imgsync("bundle", "-q", "-f", lists[0], "-o", folder / "first.tar")
        to = ("--to", f"{far.host}/site")
        imgsync("push", "-q", folder / "first.tar", *to)
        imgsync("inventory", "-q", far.host, "-o", folder / "far.json")
        imgsync("bundle", "-q", "-f", lists[1], "-o", folder / "full.tar")
        delta = folder / "delta.tar"
        have = ("--have", folder / "far.json")
        imgsync("bundle", "-q", "-f", lists[1], "-o", delta, *have)
        full, small = ((folder / f).stat().st_size for f in ("full.tar", "delta.tar"))
        inventory = (folder / "far.json").stat().st_size
        print(f"full bundle {full} bytes, delta {small} bytes ({100 * small / full:.1f} %)")
        print(f"inventory carried out: {inventory} bytes")
        print(imgsync("push", "-q", delta, *to).splitlines()[-1])
        print(imgsync("verify", "-q", delta).splitlines()[-1])
        with Containerd() as node:
            where = ("--address", node.socket, "-n", "k8s.io")
            imgsync("import", "-q", folder / "first.tar", *where)
            print(imgsync("import", "-q", delta, *where).splitlines()[-1])
            whole = imgsync("verify", "-q", "containerd:", *where, "--require", "whole")
            tags = [line for line in whole.splitlines() if ":1 " in line and "@" not in line]
            n_whole = sum("runs here, whole" in line for line in tags)
            print(f"whole in containerd: {n_whole} of {IMAGES} images")


if __name__ == "__main__":
    main()
