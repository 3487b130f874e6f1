"""The benchmark: `make bench` prints what imgsync costs beside its peers and beside the limit.

Nothing here is a test. Absolute times depend on the machine; the ratios are of one run.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.bench.corpus import CORPORA, fill
from tests.bench.measure import Figures, best, measure
from tests.servers.registry import Registry

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


@dataclass(frozen=True)
class Served:
    """A corpus in a registry: how its images are called there, and what it is."""

    registry: Registry
    names: list[str]
    file: Path
    n_objects: int
    n_bytes: int


@contextmanager
def serving(corpus: str, folder: Path) -> Iterator[Served]:
    """A registry that holds the corpus, and a list of its images for ``-f``.

    It is filled by a process of its own: a command starts with the memory of whoever starts it,
    and that would be told as the command's.
    """
    with Registry() as registry:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            names, n_objects, n_bytes = pool.submit(fill, registry.url, corpus).result()
        file = folder / "images.txt"
        file.write_text("\n".join(names) + "\n")
        registry.forget()
        yield Served(registry, names, file, n_objects, n_bytes)


def fresh(folder: Path) -> Path:
    """An empty folder, so that no run finds what an earlier one left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def bundle(file: Path, out: Path, *options: str) -> Figures:
    """The fastest of some bundles of the list, each from nothing."""
    runs = []
    for _ in range(RUNS):
        target = fresh(out) / "site.tar"
        runs.append(measure([IMGSYNC, "bundle", "-q", *options, "-f", file, "-o", target]))
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


def bench_corpus(corpus: str, folder: Path) -> None:
    """Bundle, verify, push and the peers, over one corpus."""
    with serving(corpus, folder) as served:
        n_images, n_objects = len(served.names), served.n_objects
        print(f"\n{corpus}: {n_images} images, {n_objects} objects, {served.n_bytes} bytes")
        # As the peers do it: what is about images, such as signatures, does not come along.
        figures = bundle(served.file, folder / "out", "--referrers", "none")
        registry, names = served.registry, served.names
        n_requests = len(registry.requests("GET", "")) + len(registry.requests("HEAD", ""))
        site = folder / "out" / "site.tar"
        copy = best(RUNS, ["cp", site, folder / "copy.tar"])
        hashing = best(RUNS, [sys.executable, "-c", HASH_ALL_CORES, site, "1"])
        row("imgsync bundle", figures)
        allowed = n_objects + n_images + 10
        print(f"  requests: {n_requests // RUNS} (at most {allowed})")
        row("imgsync bundle, with signatures looked for", bundle(served.file, folder / "with"))
        row("plain copy of the bundle (cp)", copy, figures)
        row("hashlib SHA-256 of the bundle, one core", hashing, figures)
        if shutil.which("skopeo"):
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
        for corpus in CORPORA:
            bench_corpus(corpus, folder)
        click = best(5, [sys.executable, "-c", "import click"])
        print()
        row("python -c 'import click'", click)
        row("imgsync --help", best(5, [IMGSYNC, "--help"]), click)


if __name__ == "__main__":
    main()
