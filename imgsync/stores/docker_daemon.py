"""Images of a docker daemon, through ``docker save``, which says the same on every version.

The archive goes to a file without a name, because it must be read by offset. ``DOCKER_HOST``,
contexts and certificates are docker's own affair: its command line reads them.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

from imgsync.errors import NotFound, StoreError
from imgsync.events import Noted, Report, ignore
from imgsync.stores.archive.compressed import anonymous_file
from imgsync.stores.archive.opening import archive_of
from imgsync.stores.files import OpenFile

if TYPE_CHECKING:
    from imgsync.stores.archive.archive import Archive
    from imgsync.stores.archive.docker_save import DockerArchive

_MISSING = ("no such image", "not found", "reference does not exist")


def save_from_daemon(
    name: str, *, docker: str = "docker", report: Report = ignore
) -> Archive | DockerArchive:
    """What ``docker save NAME`` writes.

    Args:
        name: an image's name or id, as docker knows it.
        docker: the command, split like a shell would, such as ``podman`` or ``sudo docker``.
        report: gets a note that this takes room.

    Raises:
        NotFound: the daemon has no such image.
        StoreError: there is no such command, or it failed; its last words are told.
    """
    side = f"docker-daemon:{name}"
    temporary, folder = anonymous_file()
    report(Noted(f"{docker} save {name}, to a temporary file in {folder}"))
    with temporary:
        # The two dashes keep a name from being read as an option.
        command = [*shlex.split(docker), "save", "--", name]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=temporary,
                stderr=subprocess.PIPE,
                check=False,
            )
        except OSError as error:
            msg = f"{side}: {command[0]} cannot be run: {error.strerror}"
            raise StoreError(msg, hint="install docker's command line, or put it on PATH") from None
        if done.returncode:
            raise _failed(side, command[0], done.returncode, done.stderr)
        return archive_of(OpenFile(os.dup(temporary.fileno()), side))


def _failed(side: str, command: str, status: int, stderr: bytes) -> StoreError:
    words = stderr.decode("utf-8", "replace").strip().splitlines()
    said = words[-1] if words else f"it ended with status {status}"
    msg = f"{side}: {command} save: {said}"
    if any(text in said.lower() for text in _MISSING):
        return NotFound(msg, hint=f"{command} images lists what is there")
    return StoreError(msg, hint="is the daemon running, and is DOCKER_HOST right?")
