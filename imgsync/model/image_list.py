"""Image lists: text a person or a script wrote, and locks, as wishes. Pure.

One image a line: ``SOURCE``, ``SOURCE NAME`` or ``SOURCE=NAME``, where NAME is what the image is
called in the bundle. ``#`` begins a comment at the start of a line or behind a blank. A source
with blanks stands in double quotes.

A lock (``docs/format.md``) is a list too. It says more than a text can: the root of each image,
its platforms, and the content without a name; so the same bytes come of it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError, InvalidImageList, InvalidInput
from imgsync.model.image_source import ImageSource, Transport
from imgsync.model.lock import Lock
from imgsync.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.model.bundle import Root

_FIELD = re.compile(r'"([^"]*)"|(\S+)')
_MAX_PROBLEMS: Final = 20
"""More than a screen of errors helps nobody."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One image, or all of an archive's, that a user asked for.

    Attributes:
        source: where it is read from.
        name: what it will be called; None leaves it the names that its archive gives it.
        where: the place in a list, or on the command line, for messages.
        root: what a lock says of it: descriptor, origin, platforms, subject.
        is_repository: whether the name was typed without a tag: that of a repository, where the
            source is a folder or archive whose images have tags of their own.
    """

    source: ImageSource
    name: Reference | None = None
    where: str = ""
    root: Root | None = None
    is_repository: bool = False


@dataclass(frozen=True, slots=True)
class ImageList:
    """What one list asks for; ``lock`` is set where the list is one."""

    wishes: tuple[Wish, ...]
    lock: Lock | None = None


def parse_list(raw: bytes, label: str) -> ImageList:
    """Read a list or a lock; ``label`` is how messages call it.

    Raises:
        InvalidImageList: every line that is wrong, with its number; or nothing is asked for; or
            a lock that is damaged, or has an image that came from no registry.
    """
    text = _text(raw, label)
    if text.lstrip().startswith("{"):
        return _of_lock(raw, label)
    wishes: list[Wish] = []
    problems: list[ImgsyncError] = []
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{label}:{number}"
        try:
            wish = _of_line(line, where)
        except InvalidInput as error:
            problems.append(InvalidImageList(f"{where}: {error.message}", hint=error.hint))
        else:
            if wish is not None:
                wishes.append(wish)
    if problems:
        lines = [problem.message for problem in problems[:_MAX_PROBLEMS]]
        if len(problems) > _MAX_PROBLEMS:
            lines.append(f"and {len(problems) - _MAX_PROBLEMS} more lines")
        raise InvalidImageList("\n".join(lines), hint=problems[0].hint)
    if not wishes:
        msg = f"{label} names no image"
        raise InvalidImageList(msg, hint="one image a line, for example docker.io/library/redis:7")
    return ImageList(tuple(wishes))


def parse_wish(text: str, where: str = "") -> Wish:
    """Read ``SOURCE`` or ``SOURCE=NAME``, as the command line takes it.

    Raises:
        InvalidInput: see `ImageSource.parse`, or the name is none.
    """
    source, equals, name = _split(text)
    if equals and not (source and name):
        msg = f"{text!r}: SOURCE=NAME expected, one of the two is empty"
        raise InvalidInput(msg)
    return _wish(source, name, where)


def _text(raw: bytes, label: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        msg = f"{label}:{line}: this is not UTF-8 text"
        raise InvalidImageList(msg, hint="is it a list of images?") from None


def _of_line(line: str, where: str) -> Wish | None:
    fields = list(_fields(line))
    if not fields:
        return None
    if len(fields) == 1:
        return parse_wish(fields[0], where)
    if len(fields) > 2:
        msg = f"{len(fields)} words, SOURCE or SOURCE NAME expected"
        raise InvalidInput(msg, hint='a source with blanks stands in double quotes, "oci:MY DIR"')
    return _wish(fields[0], fields[1], where)


def _fields(line: str) -> Iterator[str]:
    for match in _FIELD.finditer(line):
        quoted, plain = match.groups()
        if plain is not None and plain.startswith("#"):
            return
        yield plain if plain is not None else quoted


def _split(text: str) -> tuple[str, str, str]:
    """At the last equals sign: a path may have some, a name cannot."""
    source, equals, name = text.rpartition("=")
    return (source, equals, name) if equals else (text, "", "")


def _wish(source_text: str, name_text: str, where: str) -> Wish:
    source = ImageSource.parse(source_text)
    if not name_text:
        return Wish(source, _own_name(source), where)
    name = Reference.parse(name_text)
    if name.digest is not None:
        wanted = source.reference.digest if source.reference is not None else None
        if wanted != name.digest:
            msg = f"the name {name_text} has a digest; a digest belongs to the source"
            raise InvalidInput(msg, hint=f"did you mean {source_text}@{name.digest}?")
        name = _carried(name)
    return Wish(source, name, where, is_repository=":" not in name_text.rpartition("/")[2])


def _own_name(source: ImageSource) -> Reference | None:
    return _carried(source.reference) if source.reference is not None else None


def _carried(reference: Reference) -> Reference:
    """What an image is called: its tag where it has one; the digest is what it is."""
    return reference.with_tag(reference.tag) if reference.tag else reference


def _of_lock(raw: bytes, label: str) -> ImageList:
    lock = Lock.parse(raw, label, error=InvalidImageList)
    wishes = []
    for root in lock.roots:
        if not root.origin:
            msg = f"{label}: {root.label} came from a file or a daemon; the lock cannot say where"
            raise InvalidImageList(msg, hint="name that file in a list, oci-archive:FILE:NAME")
        source = ImageSource(Transport.REGISTRY, Reference.parse(root.origin))
        wishes.append(Wish(source, root.name, f"{label}: {root.label}", root))
    if not wishes:
        msg = f"{label} names no image"
        raise InvalidImageList(msg)
    return ImageList(tuple(wishes), lock)
