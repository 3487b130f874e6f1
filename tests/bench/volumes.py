"""`make gap`, third part: forty images in volumes of 64 MB, in random order, killed all the time.

Each volume is pushed and imported by a process that is ended with SIGKILL at a random moment, and
once more by one that is not. At the end everything is whole on both sides; what was uploaded twice
is counted.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.images import Images, tar_of
from tests.servers.containerd import Containerd
from tests.servers.registry import Registry
from tests.upload import upload

IMAGES = 40
LAYER_BYTES = 4_000_000


def corpus() -> Images:
    """Forty images of two own layers and one that every eight of them share: about 360 MB."""
    images = Images()
    dice = random.Random(64)

    def layer() -> object:
        return images.tar_layer(tar_of({"d": dice.randbytes(LAYER_BYTES)}), compression="none")

    bases = [layer() for _ in range(IMAGES // 8)]
    for number in range(IMAGES):
        image = images.image([bases[number // 8], layer(), layer()])  # type: ignore[list-item]
        images.name(f"volumes.example/app{number:02}:1", images.index([image]))
    return images


def command(*arguments: str | Path) -> list[str]:
    """A command line of imgsync."""
    return [sys.executable, "-m", "imgsync", *(str(argument) for argument in arguments)]


def run(*arguments: str | Path) -> str:
    """Run a command that must succeed."""
    return subprocess.run(command(*arguments), check=True, capture_output=True, text=True).stdout


def killed(dice: random.Random, *arguments: str | Path) -> None:
    """Start a command, and end it with SIGKILL at some moment of its first second."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        time.sleep(0.2 + dice.random())
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)


def main() -> None:
    """Bundle, carry in random order, and prove both sides."""
    dice = random.Random(1)
    with (
        tempfile.TemporaryDirectory() as name,
        Registry() as near,
        Registry() as far,
        Containerd() as node,
    ):
        folder = Path(name)
        names = upload(near.url, corpus())
        lines = "\n".join(f"{source} {image}" for image, source in names.items())
        (folder / "list").write_text(f"{lines}\n")
        make = ("bundle", "-q", "-f", folder / "list", "-o", folder / "site.tar")
        run(*make, "--volume-size", "64M")
        volumes = sorted(folder.glob("site.*of*.tar"))
        sizes = [volume.stat().st_size for volume in volumes]
        print(f"{len(volumes)} volumes, the largest {max(sizes)} bytes, {sum(sizes)} in all")
        dice.shuffle(volumes)
        to = ("--to", f"{far.host}/site")
        where = ("--address", node.socket, "-n", "k8s.io")
        for volume in volumes:
            killed(dice, "push", "-q", volume, *to)
            pushed = run("push", "-q", volume, *to).splitlines()[-1]
            killed(dice, "import", "-q", volume, *where)
            run("import", "-q", volume, *where)
            print(f"{volume.name}: {pushed}")
        done = [
            request.path.partition("digest=")[2]
            for request in far.requests("PUT", "/uploads/")
            if request.status == 201
        ]
        twice = sum(count - 1 for count in Counter(done).values())
        print(f"{len(done)} uploads that the registry took, {twice} of them twice")
        print(run("push", "-q", *volumes, *to).splitlines()[-1])
        tags = sum(len(far.tags(repository)) for repository in far.repositories())
        whole = run("verify", "-q", "containerd:", *where, "--require", "whole").splitlines()
        n_whole = sum("runs here, whole" in line and ":1 " in line for line in whole)
        print(f"{tags} tags at the registry, {n_whole} images whole in containerd, of {IMAGES}")


if __name__ == "__main__":
    main()
