"""The peers of imgsync, as far as they are on PATH: how each would do the same with those images.

    python -m tests.bench.peers [ROUNDS]

Each round runs everybody once, one after the other, so that what else the machine does hits all
alike; the least of wall, CPU and memory is kept. None of the peers is a Debian package but skopeo.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import Figures, measure
from tests.bench.served import Served, serving
from tests.servers.registry import Registry

Command = Sequence[str | Path]

IMGSYNC = str(Path(sys.executable).with_name("imgsync"))


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes:
        names: of the images at the near registry, with their tags.
        digests: what they mean; imgpkg's locks have nothing else.
        out: an empty folder to write into.
        far: where to, `HOST:PORT`.
    """

    names: Sequence[str]
    digests: Sequence[str]
    out: Path
    far: str = ""

    @property
    def near(self) -> str:
        """The host of the near registry."""
        return self.names[0].partition("/")[0]

    def far_name(self, name: str) -> str:
        """What an image is called at the far side."""
        return f"{self.far}/mirror/{name.partition('/')[2]}"

    def list_file(self) -> Path:
        """The names, one a line."""
        return self._write("images.txt", "".join(f"{name}\n" for name in self.names))

    def images_lock(self) -> Path:
        """Imgpkg's list."""
        images = [
            {"image": f"{name.rpartition(':')[0]}@{digest}"}
            for name, digest in zip(self.names, self.digests, strict=True)
        ]
        lock = {"apiVersion": "imgpkg.carvel.dev/v1alpha1", "kind": "ImagesLock", "images": images}
        return self._write("images.yml", json.dumps(lock))

    def regsync(self, target: Callable[[str], str]) -> Path:
        """Regsync's configuration."""
        hosts = [{"registry": host, "tls": "disabled"} for host in (self.near, self.far) if host]
        sync = [{"source": name, "target": target(name), "type": "image"} for name in self.names]
        config = {"version": 1, "creds": hosts, "defaults": {"parallel": 8}, "sync": sync}
        return self._write("regsync.yml", json.dumps(config))

    def _write(self, name: str, text: str) -> Path:
        path = self.out.with_name(f"{self.out.name}-{name}")
        path.write_text(text)
        return path


@dataclass(frozen=True)
class Peer:
    """A tool and its ways; None where it has none for many images.

    Attributes:
        fetch: all platforms of all images into one file or folder.
        push: that into a registry.
        mirror: from registry to registry.
    """

    program: str
    title: str
    fetch: Callable[[Work], Command] | None
    push: Callable[[Work], Command] | None
    mirror: Callable[[Work], Command] | None

    @property
    def is_here(self) -> bool:
        """Whether it is on PATH."""
        return shutil.which(self.program) is not None


def _each(commands: Iterable[str]) -> Command:
    """For tools that take one image: one process after the other, as a script would."""
    return ["sh", "-ec", ";".join(commands)]


def _tag(name: str) -> str:
    return name.rpartition("/")[2].replace(":", "-")


def _imgsync(work: Work, verb: str) -> Command:
    options: list[str | Path] = ["-q", "--referrers", "none", "--plain-http"]
    match verb:
        case "bundle":
            return [
                IMGSYNC,
                "bundle",
                *options,
                "-f",
                work.list_file(),
                "-o",
                work.out / "site.tar",
            ]
        case "push":
            to = f"{work.far}/mirror"
            return [IMGSYNC, "push", *options, work.out / "site.tar", "--to", to]
        case _:
            to, state = f"{work.far}/mirror", work.out.with_name("state")
            return [IMGSYNC, "mirror", *options, work.list_file(), "--to", to, "--state", state]


def _regctl(work: Work, source: Callable[[str], str], target: Callable[[str], str]) -> Command:
    hosts = " ".join(f"--host reg={host},tls=disabled" for host in (work.near, work.far) if host)
    return _each(f"regctl image copy {hosts} {source(name)} {target(name)}" for name in work.names)


def _skopeo(work: Work, source: Callable[[str], str], target: Callable[[str], str]) -> Command:
    options = "--all --src-tls-verify=false --dest-tls-verify=false"
    return _each(f"skopeo copy {options} {source(name)} {target(name)}" for name in work.names)


IMGSYNC_ITSELF = Peer(
    IMGSYNC,
    "imgsync",
    lambda work: _imgsync(work, "bundle"),
    lambda work: _imgsync(work, "push"),
    lambda work: _imgsync(work, "mirror"),
)

PEERS = (
    Peer(
        "skopeo",
        "skopeo copy --all, image by image",
        lambda work: _skopeo(
            work, lambda name: f"docker://{name}", lambda name: f"oci:{work.out}/x:{_tag(name)}"
        ),
        lambda work: _skopeo(
            work,
            lambda name: f"oci:{work.out}/x:{_tag(name)}",
            lambda name: f"docker://{work.far_name(name)}",
        ),
        lambda work: _skopeo(
            work, lambda name: f"docker://{name}", lambda name: f"docker://{work.far_name(name)}"
        ),
    ),
    Peer(
        "crane",
        "crane pull --format=oci / copy",
        lambda work: ["crane", "pull", "--insecure", "--format=oci", *work.names, work.out / "x"],
        None,
        lambda work: _each(
            f"crane copy --insecure {name} {work.far_name(name)}" for name in work.names
        ),
    ),
    Peer(
        "regctl",
        "regctl image copy, image by image",
        lambda work: _regctl(work, str, lambda name: f"ocidir://{work.out}/x:{_tag(name)}"),
        lambda work: _regctl(
            work, lambda name: f"ocidir://{work.out}/x:{_tag(name)}", work.far_name
        ),
        lambda work: _regctl(work, str, work.far_name),
    ),
    Peer(
        "regsync",
        "regsync once",
        lambda work: [
            "regsync",
            "once",
            "-c",
            work.regsync(lambda name: f"ocidir://{work.out}/x:{_tag(name)}"),
        ],
        None,
        lambda work: ["regsync", "once", "-c", work.regsync(work.far_name)],
    ),
    Peer(
        "oras",
        "oras cp, image by image",
        lambda work: _each(
            f"oras cp --from-plain-http {name} --to-oci-layout {work.out}/x:{_tag(name)}"
            for name in work.names
        ),
        lambda work: _each(
            f"oras cp --from-oci-layout {work.out}/x:{_tag(name)} "
            f"--to-plain-http {work.far_name(name)}"
            for name in work.names
        ),
        lambda work: _each(
            f"oras cp --from-plain-http {name} --to-plain-http {work.far_name(name)}"
            for name in work.names
        ),
    ),
    Peer(
        "imgpkg",
        "imgpkg copy, all into one repository",
        lambda work: ["imgpkg", "copy", "--lock", work.images_lock(), "--to-tar", work.out / "x"],
        lambda work: ["imgpkg", "copy", "--tar", work.out / "x", "--to-repo", f"{work.far}/mirror"],
        lambda work: [
            "imgpkg",
            "copy",
            "--lock",
            work.images_lock(),
            "--to-repo",
            f"{work.far}/mirror",
        ],
    ),
)


@dataclass
class Line:
    """The least of what one peer's runs of one kind cost, and its requests at each side."""

    figures: Figures
    n_near: int
    n_far: int

    def least(self, other: "Line") -> "Line":
        """Of both the least, each figure by itself."""
        mine, its = self.figures, other.figures
        figures = Figures(
            min(mine.wall_s, its.wall_s),
            min(mine.cpu_s, its.cpu_s),
            min(mine.memory_mb, its.memory_mb),
        )
        return Line(figures, min(self.n_near, other.n_near), min(self.n_far, other.n_far))

    def __str__(self) -> str:
        """For a table of Markdown."""
        figures = self.figures
        return (
            f"{figures.wall_s:.2f} s | {figures.cpu_s:.2f} s | {figures.memory_mb:.0f} MB | "
            f"{self.n_near} | {self.n_far}"
        )


Table = dict[tuple[str, str], Line]


def one_round(served: Served, folder: Path, table: Table) -> None:
    """Everybody once: fetch, push, push again, mirror, mirror again."""
    names, digests = served.names, served.digests
    for peer in (IMGSYNC_ITSELF, *(peer for peer in PEERS if peer.is_here)):
        out = folder / "out"
        shutil.rmtree(folder, ignore_errors=True)
        out.mkdir(parents=True)
        with Registry() as far, Registry() as other:
            work = Work(names, digests, out, far.host)
            mirror = Work(names, digests, out, other.host)
            for kind, make, at, registry in (
                ("fetch", peer.fetch, work, far),
                ("push", peer.push, work, far),
                ("push again", peer.push, work, far),
                ("mirror", peer.mirror, mirror, other),
                ("mirror again", peer.mirror, mirror, other),
            ):
                if make is not None:
                    line = _measured(make(at), served.registry, registry)
                    key = (kind, peer.title)
                    table[key] = line.least(table[key]) if key in table else line


def _measured(command: Command, near: Registry, far: Registry) -> Line:
    near.forget()
    far.forget()
    figures = measure(command)
    return Line(figures, len(near.requests("", "")), len(far.requests("", "")))


def main(rounds: int = 3) -> None:
    """The table, in Markdown."""
    table: Table = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "list").mkdir()
        with serving("large", folder / "list") as served:
            for number in range(rounds):
                one_round(served, folder / "work", table)
                print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            print(f"{len(served.names)} images, {served.n_objects} objects, {served.n_bytes} bytes")
    print("\n| | | wall | CPU | memory | requests near | far |\n|---|---|---|---|---|---|---|")
    for kind in ("fetch", "push", "push again", "mirror", "mirror again"):
        for peer in (IMGSYNC_ITSELF, *PEERS):
            line = table.get((kind, peer.title))
            if line is not None:
                print(f"| {kind} | {peer.title} | {line} |")
    print("not here:", ", ".join(peer.program for peer in PEERS if not peer.is_here) or "none")


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:2]))
