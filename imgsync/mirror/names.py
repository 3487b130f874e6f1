"""Texts of a config that name repositories, images, tags and places, and what is made of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imgsync.errors import InvalidInput, InvalidReference
from imgsync.model.map_rule import Rule, is_host
from imgsync.model.mapping import Mapping, Prefix
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import DOCKER_IO, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable


def parse_repository(text: str) -> Reference:
    """A name without tag and digest, in full.

    Raises:
        InvalidReference: it is none, or has a tag or a digest.
    """
    name = parse_target(text)
    if name.tag or name.digest is not None:
        msg = f"{text!r} is an image, a repository is expected"
        raise InvalidReference(msg, hint=f"repository: {name.name}, and tags: for what is behind")
    return name


def parse_target(text: str) -> Reference:
    """A repository or an image; nothing is added where no tag stands."""
    name = Reference.parse(text)
    has_tag = ":" in text.partition("@")[0].removeprefix("docker://").rpartition("/")[2]
    return name if has_tag or name.digest is not None else replace(name, tag="")


def parse_image(text: str) -> Reference:
    """An image, ``:latest`` where nothing is said."""
    return Reference.parse(text)


def parse_tag(text: str) -> str:
    """A tag, a digest, or both as ``TAG@DIGEST``, as it was written.

    Raises:
        InvalidReference: it is none of the three.
    """
    with_tag(Reference("example.com", "x"), text)
    return text


def with_tag(repository: Reference, text: str) -> Reference:
    """The image of a repository that `parse_tag` has read."""
    separator = "@" if text.startswith(("sha256:", "sha512:")) else ":"
    try:
        found = Reference.parse(f"{repository.name}{separator}{text}")
    except InvalidReference as error:
        raise InvalidReference(f"{text!r} is not a tag or digest", hint=error.hint) from None
    if found.name != repository.name:
        raise InvalidReference(f"{text!r} is not a tag or digest")
    return found


def tag_of(image: Reference) -> str:
    """Tag and digest of an image, as `parse_tag` reads them."""
    return "@".join(part for part in (image.tag, str(image.digest or "")) if part)


def parse_host(text: str) -> str:
    """A registry's host as in names; docker.io for what docker.io is called too.

    Raises:
        InvalidReference: docker would not take it for a host.
    """
    if not is_host(text) or "/" in text:
        raise InvalidReference(f"{text!r} is not a host", hint="for example harbor.example.com")
    return Reference.parse(f"{text}/x/x").registry


def parse_platform(text: str) -> str:
    """A platform that is wanted or, behind ``!``, not wanted, as it was written.

    Raises:
        InvalidPlatform: it is none.
    """
    PlatformChoice.parse([text])
    return text


def parse_prefix(text: str) -> str:
    """What may stand behind ``to``, as it was written.

    Raises:
        InvalidInput: it is no prefix.
    """
    make_mapping(text, (), keep_registry=False)
    return text


def parse_rule(text: str) -> str:
    """What may stand in ``map``, as it was written.

    Raises:
        InvalidInput: it is no rule.
    """
    make_mapping("", [text], keep_registry=False)
    return text


def make_mapping(to: str, rules: Iterable[str], *, keep_registry: bool) -> Mapping:
    """The mapping of ``to``, ``map`` and ``keep-registry``.

    Raises:
        InvalidInput: a part of it is wrong; messages speak of the config's keys.
    """
    try:
        parsed = [Rule.parse(text, "map") for text in rules]
        return Mapping.parse(to, parsed, keep_registry=keep_registry)
    except InvalidInput as error:
        message = error.message.removeprefix("--")
        raise InvalidInput(
            message.replace("--to", "to"), hint=error.hint.replace("--", "")
        ) from None


def under(to: str, text: str) -> Reference:
    """The target that ``as`` names: with a host as it is, else under ``to``.

    Raises:
        InvalidInput: it is none, or there is no ``to``.
    """
    first, slash, _ = text.partition("/")
    if slash and is_host(first):
        return parse_target(text)
    if not to:
        msg = f"{text!r} has no host, and there is no prefix that it could stand under"
        raise InvalidInput(msg, hint="write as: harbor.example.com/project/name, or add to:")
    prefix = Prefix.parse(to)
    name = parse_target(f"{DOCKER_IO}/{text}" if slash else f"{DOCKER_IO}/library/{text}")
    path = name.repository if slash else name.repository.removeprefix("library/")
    return prefix.join(name, path)
