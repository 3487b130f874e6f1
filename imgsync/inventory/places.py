"""Place: how a user names a registry, some of its repositories, or one. Pure.

harbor.example.com              everything in its catalog
harbor.example.com/project/     the repositories below a path
harbor.example.com/project/app  one repository, all its tags
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from imgsync.errors import InvalidInput, InvalidReference
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.map_rule import is_host
from imgsync.model.reference import Reference


@dataclass(frozen=True, slots=True)
class Place:
    """A registry, or a part of it.

    Attributes:
        host: as in image names.
        path: a repository, or where ``is_prefix`` what its path begins with.
    """

    host: str
    path: str = ""
    is_prefix: bool = True

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a place; None where it names one image, or is no name of a registry.

        Raises:
            InvalidInput: no registry has such a path.
        """
        if _is_elsewhere(text):
            return None
        host, slash, path = text.removeprefix("docker://").partition("/")
        if not is_host(host) or "@" in path or ":" in path:
            return None
        is_prefix = not path or path.endswith("/")
        try:
            # Checks both parts; the tag is only for that.
            Reference(host, f"{path}x" if is_prefix else path, "x")
        except InvalidReference as error:
            msg = f"{text!r} is no place in a registry: {error.message.partition(': ')[2]}"
            hint = "HOST, HOST/PROJECT/ or HOST/PROJECT/REPOSITORY is expected"
            raise InvalidInput(msg, hint=hint) from None
        return cls(host, path, is_prefix if slash else True)


def _is_elsewhere(text: str) -> bool:
    """Whether it is a file, a folder or containerd, as everywhere else."""
    try:
        return ImageSource.parse(text).transport is not Transport.REGISTRY
    except InvalidReference:
        return False
    except InvalidInput:
        return True
