"""``make demo``: the whole way of some images across a gap, on this machine, and what was done.

Everything stays on loopback and in one temporary folder. The source registry is imgsync itself,
serving ``fixtures/images``. The second registry and the containerd are real ones, if they are
installed; the containerd is a private one, started for the demo (as root).
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.servers.containerd import Containerd  # noqa: E402 - found by the line above
from tests.servers.programs import Unavailable  # noqa: E402 - as above

IMGSYNC = (sys.executable, "-m", "imgsync")
NAMES = (
    "team/app:1.0",
    "team/app:1.1",
    "docker/list:1",
    "layers/zstd:1",
    "odd/nested:1",
)


class Demo:
    """Runs commands as a person would type them, and remembers what was shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []

    def step(self, text: str) -> None:
        """Begin a new step."""
        print(f"\n== {text}")
        self.done.append(text)

    def leave_out(self, text: str) -> None:
        """Say what is not shown, and why."""
        print(f"\n-- left out: {text}")
        self.done.append(f"(left out) {text}")

    def imgsync(self, *args: str, expect: int = 0) -> str:
        """Run imgsync and show what it says; its results are the value."""
        return self._run("imgsync", IMGSYNC, args, expect)

    def shell(self, line: str) -> str:
        """Run a line of shell, which needs nothing of ours."""
        print(f"$ {line}")
        return self._show(["sh", "-c", line], 0)

    def _run(self, name: str, program: tuple[str, ...], args: tuple[str, ...], expect: int) -> str:
        print(f"$ {name} {shlex.join(args)}")
        return self._show([*program, *args], expect)

    def _show(self, words: list[str], expect: int) -> str:
        ended = subprocess.run(
            words, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False,
        )  # fmt: skip
        print("".join(f"  {line}\n" for line in ended.stdout.splitlines()), end="")
        if ended.returncode != expect:
            fail(f"the exit code is {ended.returncode}, {expect} was expected")
        return ended.stdout


def main() -> None:
    """Show all steps, in the order of the work."""
    with tempfile.TemporaryDirectory(prefix="imgsync-demo-") as temporary:
        demo = Demo(Path(temporary))
        with serving(demo.folder) as source:
            here(demo, source)
        print("\n~~ the gap: the source is gone, and site.tar is carried over ~~")
        by_hand(demo)
        damaged(demo)
        into_registry(demo)
        into_containerd(demo)
        print("\nWhat was done:")
        for number, text in enumerate(demo.done, 1):
            print(f"  {number:2}. {text}")


def here(demo: Demo, source: str) -> None:
    """The side that has a network."""
    lines = [f"{source}/{name} registry.example/{name}" for name in NAMES]
    (demo.folder / "images.txt").write_text("# SOURCE NAME\n" + "\n".join(lines) + "\n")
    demo.step("a list of images, from the registry that imgsync serves")
    demo.shell("cat images.txt")
    demo.step("make a bundle of them: all platforms, attestations too")
    demo.imgsync("bundle", "-f", "images.txt", "-o", "site.tar")
    demo.step("the same command again finds nothing to do")
    demo.imgsync("bundle", "-f", "images.txt", "-o", "site.tar")
    demo.step("prove every byte, and show what it holds")
    demo.imgsync("verify", "site.tar")
    demo.imgsync("inspect", "site.tar")


def by_hand(demo: Demo) -> None:
    """The other side needs nothing of ours to check a bundle."""
    if shutil.which("sha256sum") is None:
        demo.leave_out("the check by hand: there is no sha256sum")
        return
    demo.step("check it by hand: tar and sha256sum alone")
    demo.shell(
        "mkdir by-hand && tar -xf site.tar -C by-hand && cd by-hand/blobs/sha256 && "
        'for f in *; do echo "$f  $f"; done | sha256sum -c --quiet && echo whole'
    )


def damaged(demo: Demo) -> None:
    """One bit."""
    demo.step("flip one bit in a copy; verify says which image it hits, and exits with 4")
    data = bytearray((demo.folder / "site.tar").read_bytes())
    # Within the bytes of some layer: gzip's magic marks where one begins.
    data[data.rindex(b"\x1f\x8b\x08") + 20] ^= 1
    (demo.folder / "damaged.tar").write_bytes(data)
    demo.imgsync("verify", "damaged.tar", expect=4)


def into_registry(demo: Demo) -> None:
    """Another registry, a real one."""
    with contextlib.ExitStack() as stack:
        try:
            host = stack.enter_context(docker_registry(demo.folder))
        except Unavailable as missing:
            demo.leave_out(f"the push to a second registry: {missing}")
            return
        to = f"{host}/site"
        demo.step("push it to another registry, a docker-registry, under other names")
        demo.imgsync("push", "site.tar", "--to", to)
        demo.step("pushing again sends nothing")
        demo.imgsync("push", "site.tar", "--to", to)
        demo.step("what is there is what was here: the same digest, all of it")
        demo.imgsync("verify", f"{to}/team/app:1.0")


def into_containerd(demo: Demo) -> None:
    """A node's containerd, a real one."""
    with contextlib.ExitStack() as stack:
        try:
            containerd = stack.enter_context(Containerd())
        except Unavailable as missing:
            demo.leave_out(f"the import into containerd: {missing}")
            return
        where = ("--address", str(containerd.socket), "-n", "k8s.io")
        demo.step("import it into a containerd")
        demo.imgsync("import", "site.tar", "--image", "*/team/*", *where)
        demo.step("containerd holds all platforms, and imgsync proves it there")
        demo.imgsync("verify", "containerd:registry.example/team/app:1.0", *where)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The fixtures as a registry: ``imgsync serve`` on a free port of loopback."""
    log = folder / "serve.log"
    command = [*IMGSYNC, "serve", f"oci:{ROOT / 'fixtures' / 'images'}", "--listen", "127.0.0.1:0"]
    print(f"$ imgsync serve oci:fixtures/images --listen 127.0.0.1:0   > {log.name} &")
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield _until(process, log, re.compile(r"serving at https?://(\S+:\d+)"))
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextlib.contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Debian's docker-registry on a free port of loopback."""
    program = shutil.which("docker-registry") or shutil.which("registry")
    if program is None:
        msg = "docker-registry is not installed"
        raise Unavailable(msg)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings, log = folder / "registry.yml", folder / "registry.log"
    settings.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {folder / 'registry'}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n"
    )
    with log.open("w") as out:
        process = subprocess.Popen(
            [program, "serve", str(settings)], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield _until(process, log, re.compile(rf"listening on (127\.0\.0\.1:{port})"))
    finally:
        process.terminate()
        process.wait(timeout=10)


def _until(process: subprocess.Popen[bytes], log: Path, pattern: re.Pattern[str]) -> str:
    """What a server says once it is up."""
    for _ in range(200):
        found = pattern.search(log.read_text())
        if found is not None:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    return fail(f"it did not come up:\n{log.read_text()}")


def fail(why: str) -> NoReturn:
    """End the demo."""
    print(f"\nthe demo stopped: {why}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
