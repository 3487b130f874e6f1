"""Parity by par2, a format of twenty years that other programs read too.

``NAME.tar.par2`` and ``NAME.tar.vol….par2`` stand beside the bundle. They belong to its bytes: when
those change (other names, a new bundle), parity of the old ones would "heal" the file back, so it
is removed then.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from imgsync.errors import NotFound, StoreError
from imgsync.stores.disk import turn_os_errors

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM: Final = "par2"
_MAKING: Final = "parity.partial"


class ParityFailed(StoreError):
    """par2 ended with an error; its last words are told."""


def check_program() -> None:
    """Refuse before anything is fetched what cannot be made.

    Raises:
        NotFound: par2 is not installed.
    """
    if shutil.which(PROGRAM) is None:
        msg = "par2 is not installed, and parity is made by it"
        raise NotFound(msg, hint="apt-get install par2, or leave --parity away")


def make(path: Path, percent: int) -> None:
    """Write recovery data of ``percent`` of the file's size; a killed run leaves no final name.

    Raises:
        ParityFailed: par2 says so.
    """
    forget(path)
    base = path.with_name(f"{path.name}.{_MAKING}")
    # It runs in the file's folder, so that the parity knows the file by its name alone.
    names = ("--", f"{base.name}.par2", path.name)
    _run("create", "-q", "-q", f"-r{percent}", "-n1", *names, folder=path.parent)
    with turn_os_errors(path):
        for file in sorted(_files(path, base.name), reverse=True):
            file.rename(path.with_name(file.name.replace(f".{_MAKING}", "")))


def exists(path: Path) -> bool:
    """Whether there is parity for this file."""
    return path.with_name(f"{path.name}.par2").exists()


def heal(path: Path) -> bool:
    """Whether parity made the file again what it was; if not, the file is as it was before.

    par2 writes a new file and keeps the damaged one until it is whole.
    """
    kept = [path.with_name(f"{path.name}.{number}") for number in range(1, 10)]
    before = {file for file in kept if file.exists()}
    done = subprocess.run(
        [PROGRAM, "repair", "-q", "-q", "--", f"{path.name}.par2"],
        cwd=path.parent,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        return False
    with turn_os_errors(path):
        for file in kept:
            if file not in before:
                file.unlink(missing_ok=True)
    return True


def forget(path: Path) -> bool:
    """Remove the parity of a file whose bytes changed; whether there was any."""
    found = exists(path)
    with turn_os_errors(path):
        for file in [*_files(path, path.name), *_files(path, f"{path.name}.{_MAKING}")]:
            file.unlink(missing_ok=True)
    return found


def _files(path: Path, base: str) -> list[Path]:
    """What par2 has written beside ``path`` under this name: the index, and the volumes."""
    return [
        file
        for file in path.parent.iterdir()
        if file.name == f"{base}.par2"
        or (file.name.startswith(f"{base}.vol") and file.name.endswith(".par2"))
    ]


def _run(*arguments: str, folder: Path) -> None:
    done = subprocess.run(
        [PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-3:])
        msg = f"par2 ended with {done.returncode}: {last}"
        raise ParityFailed(msg)
