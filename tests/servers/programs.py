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


def program(name: str) -> Path:
    """Where the program is; `PATH` decides, so another version can be put first.

    Raises:
        Unavailable: it is nowhere.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    found = shutil.which(name, path=path)
    if found is None:
        package = DEBIAN_PACKAGES.get(name, name)
        raise Unavailable(f"{name} is not installed (Debian package {package})")
    return Path(found)
