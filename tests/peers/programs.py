"""The programs of others that are here, their versions, and running them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

VERSION_OF = {
    "cosign2": ("version",),
    "cosign3": ("version",),
    "crane": ("version",),
    "imgpkg": ("version",),
    "notation": ("version",),
    "oras": ("version",),
    "regctl": ("version",),
    "skopeo": ("--version",),
    "zot": ("--version",),
}
"""Program and how it tells its version. Two cosigns have to be told apart by name."""

TIMEOUT_S = 300
_SPECIFICATION = re.compile(r'"distribution-spec":"[^"]*"')
"""zot tells that before its own version."""
_VERSION = re.compile(r"v?\d+\.\d+\.\d+[\w.+-]*")


class Failed(Exception):
    """A program ended with another status than 0."""


def has(name: str) -> bool:
    """Whether it is on PATH."""
    return shutil.which(name) is not None


def version(name: str) -> str:
    """What it says that it is; builds by hand often do not know."""
    ended = subprocess.run([name, *VERSION_OF[name]], capture_output=True, text=True, check=False)
    found = _VERSION.search(_SPECIFICATION.sub("", ended.stdout + ended.stderr))
    return found[0].removeprefix("v") if found is not None else "of unknown version"


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """Its standard output.

    Raises:
        Failed: another status than 0; with its last words.
    """
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).strip()
        msg = f"{Path(command[0]).name} {command[1]} ended with {ended.returncode}: {said[-600:]}"
        raise Failed(msg)
    return ended.stdout


def succeeds(*command: str | Path, cwd: Path | None = None, **environment: str) -> bool:
    """Whether it ended with 0."""
    try:
        run(*command, cwd=cwd, **environment)
    except Failed:
        return False
    return True


def imgsync(*arguments: str | Path) -> str:
    """imgsync, over plain HTTP; every registry here is on loopback.

    Raises:
        Failed: see `run`.
    """
    command = (sys.executable, "-m", "imgsync", *arguments)
    return run(*command, IMGSYNC_PLAIN_HTTP="true", PYTHONPATH=str(ROOT))


def imgsync_succeeds(*arguments: str | Path) -> bool:
    """Whether it ended with 0."""
    try:
        imgsync(*arguments)
    except Failed:
        return False
    return True
