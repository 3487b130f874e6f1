"""The platform of this machine, as ``--platform host`` means it."""

from __future__ import annotations

import platform
from typing import Final

from imgsync.model.platform import Platform

_MACHINES: Final = {
    "aarch64": "arm64",
    "amd64": "amd64",
    "arm64": "arm64",
    "armv6l": "arm/v6",
    "armv7l": "arm/v7",
    "armv8l": "arm/v7",
    "i386": "386",
    "i686": "386",
    "x86_64": "amd64",
}
"""What ``uname -m`` says, and the architecture and variant of the image-spec for it.

A machine that is not here (s390x, ppc64le, riscv64) has the same name in both.
"""


def host_platform() -> Platform:
    """Operating system, architecture and variant of this machine."""
    machine = platform.machine().lower()
    return Platform.parse(f"{platform.system().lower()}/{_MACHINES.get(machine, machine)}")
