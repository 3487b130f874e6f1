"""The platform of this machine, as ``--platform host`` means it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from imgsync.model.machine import platform_of

if TYPE_CHECKING:
    from imgsync.model.platform import Platform


def host_platform() -> Platform:
    """Operating system, architecture and variant of this machine."""
    return platform_of(platform.system(), platform.machine())
