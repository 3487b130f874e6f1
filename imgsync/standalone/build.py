"""Making the one file: PyInstaller gathers Python and our packages, staticx adds the C library.

What comes out needs nothing of the host but a Linux kernel of its architecture, ``/proc`` and a
place for temporary files: not even a glibc, so there is no oldest one.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from imgsync.errors import ImgsyncError, NotFound
from imgsync.stores.disk import turn_os_errors

_ENTRY: Final = """
from imgsync.cli import main
main(prog_name="imgsync")
"""

_SPEC: Final = Path(__file__).with_name("imgsync.spec")

_OWN_FILE: Final = "STATICX_PROG_PATH"
"""Where staticx tells the program within it from which file it was started."""

HINT: Final = "pip install 'imgsync[standalone]' and apt-get install patchelf binutils"

HINT_ELSEWHERE: Final = (
    "staticx has no wheel for this machine: docs/standalone.md says how it is compiled"
)
"""Where staticx has no wheel: on all machines but x86-64."""


class BuildFailed(ImgsyncError):
    """PyInstaller or staticx ended with an error; its last words are told."""


def standalone(target: Path) -> None:
    """Put imgsync as one executable file at ``target``.

    A standalone imgsync copies itself; any other one builds the file, which takes half a minute.

    Raises:
        NotFound: it has to be built, and what that needs is not installed.
        BuildFailed: a tool failed.
    """
    own = own_file()
    fresh = target.with_name(f"{target.name}.partial")
    with turn_os_errors(target), tempfile.TemporaryDirectory(prefix="imgsync-") as name:
        made = own or _build(Path(name))
        shutil.copyfile(made, fresh)
        fresh.chmod(0o755)
        fresh.replace(target)


def own_file() -> Path | None:
    """The file of a standalone imgsync that is running, else None."""
    if not getattr(sys, "frozen", False):
        return None
    return Path(os.environ.get(_OWN_FILE) or sys.executable)


def _build(folder: Path) -> Path:
    check_tools()
    entry = folder / "entry.py"
    entry.write_text(_ENTRY)
    _run(
        [
            sys.executable, "-m", "PyInstaller", "--log-level", "ERROR",
            "--distpath", str(folder / "dist"), "--workpath", str(folder / "work"), str(_SPEC),
        ],
        IMGSYNC_BUILD_FOLDER=str(folder),
    )  # fmt: skip
    plain, made = folder / "dist" / "imgsync", folder / "dist" / "imgsync-static"
    # What PyInstaller made is compressed; to unpack it twice would take longer than all the rest.
    _run([sys.executable, "-m", "staticx", "--no-compress", str(plain), str(made)])
    return made


def check_tools() -> None:
    """Refuse before anything else what cannot be built; a standalone imgsync needs no tools.

    Raises:
        NotFound: names what is not installed.
    """
    if own_file() is not None:
        return
    lacking = [
        module for module in ("PyInstaller", "staticx") if importlib.util.find_spec(module) is None
    ]
    lacking += [tool for tool in ("patchelf", "objdump", "strip") if shutil.which(tool) is None]
    if lacking:
        msg = f"a standalone imgsync cannot be built here: {', '.join(lacking)} is not installed"
        raise NotFound(msg, hint=HINT if platform.machine() == "x86_64" else HINT_ELSEWHERE)


def _run(command: list[str], **environment: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        msg = f"{command[2]} ended with {done.returncode}: {last}"
        raise BuildFailed(msg, hint="build it where pip can install it anew")
