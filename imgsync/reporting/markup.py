"""Markup: HTML that is put together of values, and escaped unless it was made here. Pure.

A text is never taken for HTML: only `tag` makes `Markup`, and everything else that is put into it
is escaped. Names, labels and annotations come from strangers.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    Child: TypeAlias = "str | Iterable[Child]"

_VOID: Final = frozenset({"br", "input", "link", "meta"})


class Markup(str):
    """HTML that was made by `tag`, or stands in this package's own files."""

    __slots__ = ()


def text(value: str) -> Markup:
    """A text as it is read, and nothing in it as it is obeyed.

    What is no printable character is written as an escape: control characters, lone surrogates
    (which no file can hold), and those that turn the direction of writing, by which one name can
    look like another.
    """
    if not value.isprintable():
        value = "".join(
            letter
            if letter.isprintable()
            else letter.encode("unicode_escape", "surrogatepass").decode()
            for letter in value
        )
    return Markup(escape(value, quote=True))


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """An element. Texts among the children are escaped, `Markup` is not.

    An attribute's name may end with an underscore (``class_``), and others become hyphens. None
    and False leave it out, True gives it no value.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        parts.append(f" {label}" if value is True else f' {label}="{text(str(value))}"')
    parts.append(">")
    if name not in _VOID:
        parts += [*_inside(children), f"</{name}>"]
    return Markup("".join(parts))


def join(*children: Child) -> Markup:
    """Several one behind the other."""
    return Markup("".join(_inside(children)))


def _inside(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str):
            yield text(child)
        else:
            yield from _inside(child)
