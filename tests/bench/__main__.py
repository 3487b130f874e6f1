"""The benchmark: `make bench` prints what imgsync costs beside its peers and beside the limit.

Nothing here is a test. Absolute times depend on the machine; the ratios are of one run.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.corpus import large, tiny
from tests.bench.measure import Figures, best, measure
from tests.images import Images
from tests.servers.registry import Registry
from tests.upload import upload

IMGSYNC = str(Path(sys.executable).with_name("imgsync"))
RUNS = 3

HASH_ALL_CORES = """
import hashlib, os, sys, threading
size, workers = os.path.getsize(sys.argv[1]), int(sys.argv[2])
def hash_part(number):
    hasher, buffer = hashlib.sha256(), bytearray(1 << 20)
    position, end = size * number // workers, size * (number + 1) // workers
    fd = os.open(sys.argv[1], os.O_RDONLY)
    while position < end:
        n = os.preadv(fd, [memoryview(buffer)[: end - position]], position)
        hasher.update(memoryview(buffer)[:n])
        position += n
threads = [threading.Thread(target=hash_part, args=(n,)) for n in range(workers)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@contextmanager
def serving(images: Images, folder: Path) -> Iterator[tuple[Registry, list[str], Path]]:
    """A registry that holds the images, their names there, and a list of them for ``-f``."""
    with Registry() as registry:
        names = list(upload(registry.url, images).values())
        file = folder / "images.txt"
        file.write_text("\n".join(names) + "\n")
        registry.forget()
        yield registry, names, file


def fresh(folder: Path) -> Path:
    """An empty folder, so that no run finds what an earlier one left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def bundle(file: Path, out: Path) -> Figures:
    """The fastest of some bundles of the list, each from nothing."""
    runs = []
    for _ in range(RUNS):
        target = fresh(out) / "site.tar"
        runs.append(measure([IMGSYNC, "bundle", "-q", "-f", file, "-o", target]))
    return min(runs, key=lambda figures: figures.wall_s)


def skopeo(names: list[str], out: Path) -> Figures:
    """``skopeo copy --all`` of each image into one layout: it has no verb for many."""
    target = fresh(out)
    script = "".join(
        f"skopeo copy --all --src-tls-verify=false docker://{name} oci:{target}/layout:{number};"
        for number, name in enumerate(names)
    )
    return measure(["sh", "-ec", script])


def row(what: str, figures: Figures, beside: Figures | None = None) -> None:
    """One line of the table."""
    ratio = f"  x {figures.wall_s / beside.wall_s:5.2f}" if beside is not None else ""
    print(f"{what:44} {figures}{ratio}", flush=True)


def bench_corpus(title: str, images: Images, folder: Path, *, peers: bool = True) -> None:
    """Bundle, verify and the peers, over one corpus."""
    n_bytes = sum(len(data) for data in images.blobs.values())
    print(f"\n{title}: {len(images.names)} images, {len(images.blobs)} objects, {n_bytes} bytes")
    with serving(images, folder) as (registry, names, file):
        figures = bundle(file, folder / "out")
        n_requests = len(registry.requests("GET", "")) + len(registry.requests("HEAD", ""))
        site = folder / "out" / "site.tar"
        copy = best(RUNS, ["cp", site, folder / "copy.tar"])
        hashing = best(RUNS, [sys.executable, "-c", HASH_ALL_CORES, site, "1"])
        row("imgsync bundle", figures)
        allowed = len(images.blobs) + len(names) + 10
        print(f"  requests: {n_requests // RUNS} (at most {allowed})")
        row("plain copy of the bundle (cp)", copy, figures)
        row("hashlib SHA-256 of the bundle, one core", hashing, figures)
        if peers and shutil.which("skopeo"):
            row("skopeo copy --all, image by image", skopeo(names, folder / "skopeo"), figures)
        all_cores = best(RUNS, [sys.executable, "-c", HASH_ALL_CORES, site, "2"])
        verify = best(RUNS, [IMGSYNC, "verify", "-q", site])
        row("hashlib SHA-256 of the bundle, two cores", all_cores)
        row("imgsync verify", verify, all_cores)
        with Registry() as target:
            push: list[str | Path] = [IMGSYNC, "push", "-q", site, "--to", f"{target.host}/mirror"]
            row("imgsync push", measure(push))
            row("imgsync push again", measure(push))


def main() -> None:
    """Everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench_corpus("large", large(), folder)
        bench_corpus("tiny", tiny(), folder)
        click = best(5, [sys.executable, "-c", "import click"])
        print()
        row("python -c 'import click'", click)
        row("imgsync --help", best(5, [IMGSYNC, "--help"]), click)


if __name__ == "__main__":
    main()
