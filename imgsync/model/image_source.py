"""ImageSource: where an image is read from, as users write it (``docker://``, ``oci:``, ...).

The transports are those of skopeo and podman (containers-transports(5)), so that names can be
copied from one tool to the other, and ``containerd:``, which they do not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from imgsync.errors import InvalidInput
from imgsync.model.reference import Reference


class Transport(StrEnum):
    """How an image is reached. The value is what stands before the colon."""

    REGISTRY = "docker"
    LAYOUT = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"
    FILE = "file"
    """A bare path; what it is, is seen when it is opened."""
    DOCKER_DAEMON = "docker-daemon"
    CONTAINERD = "containerd"

    @property
    def is_path(self) -> bool:
        """Whether it is read from a file or folder, which may hold several images."""
        return self in _PATHS


_PATHS: Final = frozenset(
    {Transport.LAYOUT, Transport.OCI_ARCHIVE, Transport.DOCKER_ARCHIVE, Transport.FILE}
)
_ARCHIVE_ENDS: Final = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst")


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image of one place, or all images of an archive, a folder or a namespace.

    Attributes:
        transport: how it is reached.
        reference: what is asked there, for a registry, a daemon or containerd; None for all.
        path: the file or folder, as it was written.
        label: which image of the file or folder, as the file names it; an empty text is all. For
            containerd, the name verbatim: it stores names that are not normalised.
    """

    transport: Transport
    reference: Reference | None = None
    path: str = ""
    label: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a source. What has no transport and is no path is the name of an image.

        Raises:
            InvalidReference: no image can have this name.
            InvalidInput: no path stands behind the transport, or the text cannot be printed.
        """
        if not text.isprintable():
            msg = f"{text[:200]!r} is not a source of images"
            raise InvalidInput(msg, hint="for example docker.io/library/redis:7 or oci:DIR")
        if text.startswith("docker://"):
            return cls(Transport.REGISTRY, Reference.parse(text))
        if _is_bare_path(text):
            return cls(Transport.FILE, path=text)
        prefix, colon, rest = text.partition(":")
        if not colon or prefix not in _WORDS:
            return cls(Transport.REGISTRY, Reference.parse(text))
        transport = Transport(prefix)
        if not transport.is_path:
            reference = Reference.parse(rest) if rest else None
            if transport is Transport.DOCKER_DAEMON and reference is None:
                msg = f"{text!r}: the name of an image is missing"
                raise InvalidInput(msg, hint="for example docker-daemon:redis:7")
            return cls(transport, reference, label=rest)
        path, _, label = rest.partition(":")
        if not path:
            msg = f"{text!r}: a path is missing behind {prefix}:"
            raise InvalidInput(msg, hint=f"for example {prefix}:{_EXAMPLES[transport]}")
        return cls(transport, path=path, label=label)

    def __str__(self) -> str:
        """As it could be typed."""
        if self.transport is Transport.REGISTRY:
            return str(self.reference)
        if self.transport is Transport.FILE:
            return self.path
        if not self.transport.is_path:
            return f"{self.transport}:{self.label}"
        return f"{self.transport}:{self.path}" + (f":{self.label}" if self.label else "")


_WORDS: Final = frozenset(set(Transport) - {Transport.FILE, Transport.REGISTRY})
"""Without slashes, ``docker:27`` is docker's own image."""

_EXAMPLES: Final = {
    Transport.LAYOUT: "DIR",
    Transport.OCI_ARCHIVE: "FILE.tar",
    Transport.DOCKER_ARCHIVE: "FILE.tar",
}


def _is_bare_path(text: str) -> bool:
    # No image name begins in this way. One that ends like an archive could be a repository of
    # docker.io's library, but who writes site.tar means the file.
    if text.startswith(("/", "./", "../")) or text in {".", ".."}:
        return True
    return ":" not in text and "@" not in text and text.endswith(_ARCHIVE_ENDS)
