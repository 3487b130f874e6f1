"""Reference: the name of an image, as docker writes it and the distribution-spec allows it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

from imgsync.errors import InvalidDigest, InvalidReference
from imgsync.model.digest import Digest

DOCKER_IO: Final = "docker.io"
_DOCKER_ALIASES: Final = frozenset({"index.docker.io", "registry-1.docker.io"})
MAX_NAME_LENGTH: Final = 255
"""Host and repository together (distribution-spec, and docker's reference grammar)."""

_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """registry, repository, tag and digest, always in full.

    ``redis`` is ``docker.io/library/redis:latest``. ``tag`` is an empty text where only a digest
    was given. With both, the digest says what is meant and the tag is only a name.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    def __post_init__(self) -> None:
        """Check every part.

        Raises:
            InvalidReference: the message names the part and the rule.
        """
        if not _HOST.fullmatch(self.registry):
            self._refuse(f"{self.registry!r} is not a host name with an optional port")
        check_repository(self.repository, self)
        if len(self.registry) + 1 + len(self.repository) > MAX_NAME_LENGTH:
            self._refuse(f"host and repository are longer than {MAX_NAME_LENGTH} characters")
        if self.tag and not _TAG.fullmatch(self.tag):
            self._refuse(
                f"{self.tag!r} is not a tag: letters, digits, '_', '.', '-', at most 128, "
                "not starting with '.' or '-'"
            )

    def _refuse(self, why: str) -> None:
        msg = f"{self.registry}/{self.repository}: {why}"
        raise InvalidReference(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read and normalise a name as docker does; a leading ``docker://`` is allowed.

        Raises:
            InvalidReference: with the text, the rule and what was probably meant.
        """
        name = text.removeprefix("docker://")
        if not name or name != name.strip() or not name.isprintable():
            msg = f"{text[:200]!r} is not an image name"
            raise InvalidReference(msg, hint="for example docker.io/library/redis:7")
        if "://" in name:
            msg = f"{text!r} is a URL, an image name is expected"
            raise InvalidReference(msg, hint=f"did you mean {name.partition('://')[2]}?")
        name, at, digest_text = name.partition("@")
        digest = None
        if at:
            try:
                digest = Digest.parse(digest_text)
            except InvalidDigest as error:
                msg = f"{text!r}: {error.message}"
                raise InvalidReference(msg) from None
        first, slash, rest = name.partition("/")
        # docker's rule for telling a host from a path (distribution/reference, splitDockerDomain)
        is_host = bool(slash) and (
            "." in first or ":" in first or first == "localhost" or first != first.lower()
        )
        registry, path = (first, rest) if is_host else (DOCKER_IO, name)
        repository, colon, tag = path.partition(":")
        if colon and not tag:
            msg = f"{text!r}: nothing stands after the colon; a tag is expected"
            raise InvalidReference(msg)
        if registry in _DOCKER_ALIASES:
            registry = DOCKER_IO
        if registry == DOCKER_IO and "/" not in repository and repository:
            repository = f"library/{repository}"
        if not tag and digest is None:
            tag = "latest"
        try:
            return cls(registry, repository, tag, digest)
        except InvalidReference as error:
            msg = f"{text!r}: {error.message.partition(': ')[2]}"
            lower = text.lower()
            hint = f"did you mean {lower}?" if path != path.lower() and not tag else error.hint
            raise InvalidReference(msg, hint=hint) from None

    @property
    def name(self) -> str:
        """``registry/repository``, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def familiar(self) -> str:
        """The tag where there is one, else the digest: what a manifest URL ends with."""
        return str(self.digest) if self.digest is not None else self.tag

    def moved_to(self, registry: str, repository: str) -> Self:
        """The same tag and digest under another name: the whole of retagging."""
        return replace(self, registry=registry, repository=repository)

    def with_tag(self, tag: str) -> Self:
        """The same repository with this tag and no digest."""
        return replace(self, tag=tag, digest=None)

    def at(self, digest: Digest) -> Self:
        """``repo@digest``, the name by which a digest-pinned pod asks."""
        return replace(self, tag="", digest=digest)

    def __str__(self) -> str:
        """The full form, ``registry/repository[:tag][@digest]``."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.name}{tag}{digest}"


def check_repository(repository: str, whose: object = "") -> None:
    """Refuse a repository path that a registry would refuse.

    Raises:
        InvalidReference: names the part of the path and the rule.
    """
    for part in repository.split("/"):
        if not _PATH_PART.fullmatch(part):
            rule = "must be lower case" if part != part.lower() else "is not a part of a repository"
            msg = (
                f"{whose or repository}: {part!r} {rule}: a-z, 0-9, and '.', '_', '__', '-' between"
            )
            raise InvalidReference(msg)


def is_tag(text: str) -> bool:
    """Whether a registry would take it for a tag."""
    return _TAG.fullmatch(text) is not None
