"""The benchmark: `make bench` prints what imgsync costs beside its peers and beside the limit.

Nothing here is a test. Absolute times depend on the machine; the ratios are of one run.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.corpus import CORPORA
from tests.bench.measure import Figures, best, measure
from tests.bench.peers import PEERS, Work
from tests.bench.served import Served, serving
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


def peers(served: Served, out: Path, beside: Figures) -> None:
    """How the tools that are here fetch the same; the others are named."""
    for peer in PEERS:
        if peer.is_here and peer.fetch is not None:
            work = Work(served.names, served.digests, fresh(out))
            row(peer.title, measure(peer.fetch(work)), beside)
    missing = [peer.program for peer in PEERS if not peer.is_here]
    if missing:
        print(f"  not here: {', '.join(missing)}")


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
        registry = served.registry
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
        peers(served, folder / "peers", figures)
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
