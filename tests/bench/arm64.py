"""The last step of `make dist-arm64`: the file does its work in a root with nothing else in it.

    python -m tests.bench.arm64 QEMU FILE

It says what it did, and ends with an error at the first thing that is not as it should be. Times
in an emulator say nothing of a machine, so none is told.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.images import load_layout
from tests.servers.registry import Registry
from tests.upload import upload

SOURCES = Path(__file__).parents[2]


class Emulated:
    """A root of arm64 that has what docs/standalone.md states, and nothing else."""

    def __init__(self, qemu: Path, file: Path, folder: Path) -> None:
        self.qemu = qemu
        self.folder = folder
        for name in ("proc", "tmp"):
            (folder / name).mkdir()
        shutil.copy(file, folder / "imgsync")

    def imgsync(self, *arguments: str, code: int = 0) -> str:
        """What it said; it must end with ``code``, and leave no temporary file."""
        done = subprocess.run(
            ["sh", "scripts/emulated.sh", self.qemu, self.folder, "/imgsync", *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=SOURCES,
            env={"PATH": os.environ["PATH"]},
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert "Traceback" not in said, said
        assert not list((self.folder / "tmp").iterdir())
        print(f"imgsync {' '.join(arguments[:4])}: ended with {code}", flush=True)
        return said


def prove(emulated: Emulated) -> None:
    """From a registry over a bundle into another registry, and what is peculiar to the file."""
    assert emulated.imgsync("--version").startswith("imgsync ")
    assert "Usage:" in emulated.imgsync("--help")
    images = load_layout(SOURCES / "fixtures" / "images")
    with Registry() as public, Registry() as private:
        uploaded = upload(public.url, images)
        emulated.imgsync("bundle", "-o", "/site.tar", *uploaded.values())
        assert "ok" in emulated.imgsync("verify", "/site.tar")
        emulated.imgsync("inspect", "/site.tar")
        emulated.imgsync("push", "/site.tar", "--to", private.host)
        for name, at in uploaded.items():
            repository, tag = at.removeprefix(f"{public.host}/").rsplit(":", 1)
            assert private.tags(repository)[tag] == images.names[name]["digest"], name
    emulated.imgsync("import", "/site.tar", code=7)  # there is no ctr
    emulated.imgsync("standalone", "-o", "/copy")
    assert (emulated.folder / "copy").read_bytes() == (emulated.folder / "imgsync").read_bytes()


def main() -> None:
    """Prove the file that the command line names."""
    qemu, file = Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()
    with tempfile.TemporaryDirectory(prefix="arm64-") as folder:
        prove(Emulated(qemu, file, Path(folder)))
    print(f"{file.name}: {file.stat().st_size:,} bytes, needs no other file")


if __name__ == "__main__":
    main()
