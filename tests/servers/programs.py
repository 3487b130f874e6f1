"""Which programs the tests use, where they are, and what to say when one is missing."""

import os
import shutil
from pathlib import Path

DEBIAN_PACKAGES = {
    "chromium": "chromium",
    "containerd": "containerd",
    "ctr": "containerd",
    "docker": "docker.io",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "htpasswd": "apache2-utils",
    "ip": "iproute2",
    "nginx": "nginx",
    "openssl": "openssl",
    "podman": "podman",
    "redis-server": "redis-server",
    "skopeo": "skopeo",
    "ssh": "openssh-client",
    "ssh-agent": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "sudo": "sudo",
    "umoci": "umoci",
    "zstd": "zstd",
}

# Debian keeps servers where the PATH of an ordinary user does not look.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")

_first: list[Path] = []  # folders of `put_first`


class Unavailable(Exception):
    """This machine cannot run a server; the message says what it lacks."""


def require(*names: str) -> None:
    """Each named program is here.

    Raises:
        Unavailable: one is not; the message names it and the package that brings it.
    """
    for name in names:
        program(name)


def require_root(what: str) -> None:
    """The tests run as root.

    Raises:
        Unavailable: they do not, and `what` cannot work.
    """
    if os.geteuid() != 0:
        raise Unavailable(f"{what} needs root")


def put_first(folder: Path, *names: str) -> None:
    """From now on the programs of this folder are taken, whoever looks for them.

    Raises:
        Unavailable: one of those named is not there; nothing has changed.
    """
    for name in names:
        if shutil.which(name, path=str(folder)) is None:
            raise Unavailable(f"{name} is not in {folder}")
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])
    _first.append(folder)


def system_path() -> str:
    """`PATH` without what was put first."""
    first = {str(folder) for folder in _first}
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join([*(name for name in folders if name not in first), *_SYSTEM_FOLDERS])


def program(name: str, *, of_system: bool = False) -> Path:
    """Where the program is; `PATH` decides, and `put_first` unless it is to be the system's.

    Raises:
        Unavailable: it is nowhere.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    found = shutil.which(name, path=system_path() if of_system else path)
    if found is None:
        package = DEBIAN_PACKAGES.get(name, name)
        raise Unavailable(f"{name} is not installed (Debian package {package})")
    return Path(found)
