"""The platform of a machine, by what ``uname`` says of it."""

from __future__ import annotations

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


def platform_of(system: str, machine: str) -> Platform:
    """Operating system, architecture and variant.

    Raises:
        InvalidPlatform: no machine is called that.
    """
    known = machine.lower()
    return Platform.parse(f"{system.lower()}/{_MACHINES.get(known, known)}")
