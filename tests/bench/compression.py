"""What ``-o x.tar.zst`` gains and costs, over layers of programs and libraries of this machine.

    python -m tests.bench.compression [FOLDER ...]

Each folder becomes a layer, once compressed with gzip, once with zstd, once not at all: the three
kinds of images there are. `docs/compression.md` has the figures of one machine.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from tests.bench.measure import Figures, measure
from tests.images import Images

IMGSYNC = str(Path(sys.executable).with_name("imgsync"))
FOLDERS = (
    "/usr/bin",
    "/usr/lib/gcc",
    "/usr/lib/python3.11",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/share/locale",
)
KINDS = ("gzip", "zstd", "none")


def layers(folders: list[str]) -> list[bytes]:
    """A tar of each folder; files only, in the order of their names."""
    made = []
    for folder in folders:
        buffer = BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file() and not file.is_symlink():
                    tar.add(file, arcname=str(file).lstrip("/"), recursive=False)
        made.append(buffer.getvalue())
    return made


def row(what: str, n_bytes: int, of: int, cost: Figures | None = None) -> None:
    """One line of the table. Memory is not told: it would be that of this process."""
    more = f"{cost.wall_s:7.2f} s wall {cost.cpu_s:7.2f} s CPU" if cost is not None else ""
    print(f"  {what:28} {n_bytes:13} {100 * n_bytes / of:7.2f} %  {more}", flush=True)


def bench(kind: str, tars: list[bytes], folder: Path) -> None:
    """Plain and compressed bundles of one kind of layers, and what others make of the tar."""
    images = Images()
    image = images.image([images.tar_layer(tar, compression=kind) for tar in tars])
    images.name("bench.example/compression:1", image)
    layout = images.write_layout(folder / "layout")
    plain, packed = folder / "site.tar", folder / "site.tar.zst"
    costs = {
        path: measure([IMGSYNC, "bundle", "-q", f"oci:{layout}", "-o", path])
        for path in (plain, packed)
    }
    size = plain.stat().st_size
    print(f"\nlayers: {kind}")
    for path, figures in costs.items():
        row(f"imgsync bundle -o {path.name}", path.stat().st_size, size, figures)
    for command in (["zstd", "-3"], ["gzip", "-6"]):
        threads = ["-T0"] if command[0] == "zstd" else []
        out = folder / "other"
        with out.open("wb") as file:
            subprocess.run([*command, *threads, "-qc", plain], stdout=file, check=True)
        row(" ".join(command), out.stat().st_size, size)
    for path in (plain, packed):
        row(
            f"imgsync verify {path.name}",
            path.stat().st_size,
            size,
            measure([IMGSYNC, "verify", "-q", path]),
        )
    shutil.rmtree(layout)


def main() -> None:
    """All kinds."""
    tars = layers(sys.argv[1:] or list(FOLDERS))
    print(f"{len(tars)} layers, {sum(map(len, tars))} bytes uncompressed")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            bench(kind, tars, Path(folder))


if __name__ == "__main__":
    main()
