"""The ways in which imgsync carries images with what is about them.

Each takes what is at the near registry to the far one, and says where it put the images; what a
way cannot keep, and says so, is named.
"""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.peers.programs import ROOT, imgsync
from tests.peers.signers import ATTESTATION, INDEX
from tests.servers.process import Process, accepts_tcp

FIRST = "linux/amd64"


@dataclass(frozen=True)
class Place:
    """Two registries, a folder for files, and the repositories that are carried.

    Attributes:
        prefix: of the repositories, their last part is the signer's word.
    """

    near: str
    far: str
    folder: Path
    prefix: str
    words: tuple[str, ...]

    def image(self, word: str) -> str:
        """At the near side, without a tag."""
        return f"{self.near}/{self.prefix}/{word}"

    def list_file(self) -> Path:
        """The images as a list, under the names of a registry that is not there."""
        path = self.folder / "images.txt"
        lines = (
            f"{self.image(word)}:1 registry.example/{self.prefix}/{word}:1" for word in self.words
        )
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def bundle(self, *options: str | Path) -> Path:
        """All of them in a file."""
        path = self.folder / "site.tar"
        imgsync("bundle", "-q", *options, "-f", self.list_file(), "-o", path)
        return path


@dataclass(frozen=True)
class Way:
    """One way.

    Attributes:
        carry: does it; gives what stands before the signer's word at the far side, and the tag.
        loses: what its result cannot have any more, which imgsync says.
    """

    title: str
    carry: Callable[[Place], tuple[str, str]]
    loses: frozenset[str] = frozenset()


def _plain(place: Place) -> tuple[str, str]:
    imgsync("push", "-q", place.bundle(), "--to", f"{place.far}/plain")
    return f"{place.far}/plain/{place.prefix}", "1"


def _renamed(place: Place) -> tuple[str, str]:
    rule = f"registry.example/{place.prefix}/*={place.far}/other/path/{{1}}:rel-2"
    imgsync("push", "-q", place.bundle(), "--map", rule)
    return f"{place.far}/other/path", "rel-2"


def _retagged(place: Place) -> tuple[str, str]:
    path = place.bundle()
    rule = f"registry.example/{place.prefix}/*=registry.example/retagged/{{1}}:3"
    imgsync("retag", "-q", path, "--map", rule, "--in-place")
    imgsync("push", "-q", path, "--to", f"{place.far}/again")
    return f"{place.far}/again/retagged", "3"


def _direct(place: Place) -> tuple[str, str]:
    for word in place.words:
        imgsync("push", "-q", f"{place.image(word)}:1", "--to", f"{place.far}/direct")
    return f"{place.far}/direct/{place.prefix}", "1"


def _mirrored(place: Place) -> tuple[str, str]:
    file = place.folder / "mirror.txt"
    file.write_text("".join(f"{place.image(word)}:1\n" for word in place.words))
    imgsync("mirror", "-q", file, "--to", f"{place.far}/mirror", "--state", place.folder / "state")
    return f"{place.far}/mirror/{place.prefix}", "1"


def _delta(place: Place) -> tuple[str, str]:
    """The images are there already, what is about them is not."""
    to = ("--to", f"{place.far}/delta")
    imgsync("push", "-q", place.bundle("--referrers", "none"), *to)
    inventory = place.folder / "far.json"
    imgsync("inventory", "-q", f"{place.far}/delta/", "-o", inventory)
    imgsync("push", "-q", place.bundle("--have", inventory), *to)
    return f"{place.far}/delta/{place.prefix}", "1"


def _volumes(place: Place) -> tuple[str, str]:
    place.bundle("--volume-size", "600K")
    for volume in sorted(place.folder.glob("site.*of*.tar")):
        imgsync("push", "-q", volume, "--to", f"{place.far}/volumes")
    return f"{place.far}/volumes/{place.prefix}", "1"


def _folder(place: Place) -> tuple[str, str]:
    layout = place.folder / "layout"
    imgsync("bundle", "-q", "-f", place.list_file(), "-o", f"oci:{layout}")
    imgsync("push", "-q", layout, "--to", f"{place.far}/folder")
    return f"{place.far}/folder/{place.prefix}", "1"


def _platform(place: Place) -> tuple[str, str]:
    path = place.bundle("--platform", FIRST)
    imgsync("push", "-q", path, "--rewrite-index", "--to", f"{place.far}/part")
    return f"{place.far}/part/{place.prefix}", "1"


WAYS = (
    Way("bundle, push --to", _plain),
    Way("bundle, push --map, other names and tags", _renamed),
    Way("bundle, retag --in-place, push", _retagged),
    Way("bundle to an OCI layout folder, push", _folder),
    Way("bundle in volumes, push each", _volumes),
    Way("bundle --have an inventory (delta), push", _delta),
    Way("push from registry to registry", _direct),
    Way("mirror", _mirrored),
    Way(
        f"bundle --platform {FIRST}, push --rewrite-index",
        _platform,
        frozenset({INDEX, ATTESTATION}),
    ),
)


@contextmanager
def served(place: Place) -> Iterator[str]:
    """The bundle as a registry, before anything is pushed; what stands before the signer's word."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    server = Process(place.folder / "served.log", {"PYTHONPATH": str(ROOT)})
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "imgsync",
        "serve",
        place.bundle(),
        "--listen",
        host,
    ]
    server.start(command, cwd=place.folder)
    server.wait_until(lambda: accepts_tcp(int(host.partition(":")[2])), timeout_s=30)
    try:
        yield f"{host}/registry.example/{place.prefix}"
    finally:
        server.stop()
