"""Platform: what an image was built for, and which platforms a user asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from imgsync.errors import InvalidPlatform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PART = re.compile(r"[a-z0-9_.-]+", re.ASCII)

_ARCHITECTURES: Final = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}
"""Names by which people and kernels call an architecture, and Go's GOARCH for it."""

_IMPLIED_VARIANT: Final = {"arm64": "v8", "amd64": "v1"}
"""The variant that no variant means (containerd's platforms.Normalize)."""


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """os, architecture, variant and os_version of an image, as its index says them.

    An empty text is a part that was not said. As a wish (``satisfies``), it means "any".
    """

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``os/arch[/variant][:os.version]``; ``linux`` and ``linux/*`` name an os alone.

        Raises:
            InvalidPlatform: anything else; the message names the part.
        """
        name, colon, os_version = text.strip().partition(":")
        parts = name.lower().split("/")
        if len(parts) > 3 or (colon and not os_version):
            msg = f"platform {text!r} is not os/architecture[/variant][:os.version]"
            raise InvalidPlatform(msg, hint="for example linux/amd64 or linux/arm/v7")
        for index, part in enumerate(parts):
            if not _PART.fullmatch(part) and not (part == "*" and index > 0):
                msg = f"platform {text!r}: {part!r} is not a name of an os, architecture or variant"
                raise InvalidPlatform(msg, hint="for example linux/amd64 or linux/arm/v7")
        parts = ["" if part == "*" else part for part in parts] + ["", ""]
        architecture = _ARCHITECTURES.get(parts[1], parts[1])
        return cls(parts[0], architecture, parts[2], os_version)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read the ``platform`` of a descriptor, or the same keys of an image config."""

        def text(key: str) -> str:
            part = value.get(key)
            return part if isinstance(part, str) else ""

        return cls(text("os"), text("architecture"), text("variant"), text("os.version"))

    @property
    def is_unknown(self) -> bool:
        """Whether this is ``unknown/unknown``, as buildkit marks attestation manifests."""
        return self.os == "unknown" and self.architecture == "unknown"

    @property
    def _full_variant(self) -> str:
        return self.variant or _IMPLIED_VARIANT.get(self.architecture, "")

    def satisfies(self, wanted: Platform) -> bool:
        """Whether this platform is one of those that ``wanted`` names.

        Only the parts that were named count. ``linux/arm64`` and ``linux/arm64/v8`` are the same.
        """
        return (
            wanted.os in ("", self.os)
            and wanted.architecture in ("", self.architecture)
            and (wanted.variant == "" or wanted._full_variant == self._full_variant)
            and (
                wanted.os_version == "" or f"{self.os_version}.".startswith(f"{wanted.os_version}.")
            )
        )

    def to_json(self) -> dict[str, str]:
        """The ``platform`` object of a descriptor, with the parts that are set."""
        full = {
            "architecture": self.architecture,
            "os": self.os,
            "os.version": self.os_version,
            "variant": self.variant,
        }
        return {key: value for key, value in full.items() if value}

    def __str__(self) -> str:
        """``os/architecture[/variant][:os.version]``."""
        parts = [self.os, self.architecture or "*"] + ([self.variant] if self.variant else [])
        return "/".join(parts) + (f":{self.os_version}" if self.os_version else "")


@dataclass(frozen=True, slots=True)
class PlatformChoice:
    """Which platforms a user wants: any of ``wanted`` (all, if empty) and none of ``excluded``."""

    wanted: tuple[Platform, ...] = ()
    excluded: tuple[Platform, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read the values of ``--platform``: comma lists, ``!`` excludes, ``all`` means all.

        Raises:
            InvalidPlatform: a part that is no platform.
        """
        wanted: list[Platform] = []
        excluded: list[Platform] = []
        everything = False
        for text in (part.strip() for value in texts for part in value.split(",")):
            if text == "all":
                everything = True
            elif text.startswith("!"):
                excluded.append(Platform.parse(text[1:]))
            else:
                wanted.append(Platform.parse(text))
        return cls(() if everything else tuple(sorted(set(wanted))), tuple(sorted(set(excluded))))

    @property
    def is_all(self) -> bool:
        """Whether nothing was chosen or excluded."""
        return not self.wanted and not self.excluded

    def includes(self, platform: Platform) -> bool:
        """Whether content for this platform is wanted."""
        return (
            not self.wanted or any(platform.satisfies(wish) for wish in self.wanted)
        ) and not any(platform.satisfies(wish) for wish in self.excluded)

    def __str__(self) -> str:
        """As it could be typed after ``--platform``."""
        texts = [str(wish) for wish in self.wanted] + [f"!{wish}" for wish in self.excluded]
        return ",".join(texts) or "all"
