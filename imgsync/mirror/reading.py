"""Reading: what is collected while a config is read, problems and the environment.

A config with five mistakes is told to have five, with the place of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from imgsync.errors import InvalidInput
from imgsync.mirror.nodes import Node, Place, TextNode

T = TypeVar("T")

_VARIABLE = re.compile(r"\$(?:\$(?=\{)|\{([^}]*)\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_MAX_PROBLEMS: Final = 20
"""More than a screen of errors helps nobody."""


@dataclass(slots=True)
class Reading:
    """One reading of one config.

    Attributes:
        environment: what ``${NAME}`` may stand for.
        interpolate: whether it does so in every text, and not only behind ``!env``.
        problems: everything that is wrong so far, with its place.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    interpolate: bool = False
    problems: list[tuple[Place, str, str]] = field(default_factory=list)

    def refuse(self, node: Node, problem: str, *, hint: str = "") -> None:
        """Note a problem and go on."""
        self.problems.append((node.place, problem, hint))

    def text(self, node: TextNode, *, may_have_variables: bool = True) -> str:
        """The scalar's text, with variables filled in where they were asked for."""
        if not (node.asks_env or self.interpolate) or not may_have_variables:
            if node.asks_env:
                self.refuse(node, "no variables are filled in here")
            return node.text
        return _VARIABLE.sub(lambda found: self._variable(node, found), node.text)

    def convert(self, node: Node, text: str, convert: Callable[[str], T]) -> T | None:
        """What ``convert`` makes of a text, or None and a problem."""
        try:
            return convert(text)
        except InvalidInput as error:
            self.refuse(node, error.message, hint=error.hint)
            return None

    def finish(self) -> None:
        """Raise if there were problems.

        Raises:
            InvalidInput: all of them, one a line, in the order of the file.
        """
        if not self.problems:
            return
        problems = sorted(self.problems, key=_by_place)
        lines = [f"{place}: {problem}" for place, problem, _ in problems]
        if len(lines) > _MAX_PROBLEMS:
            lines[_MAX_PROBLEMS:] = [f"and {len(lines) - _MAX_PROBLEMS} more problems"]
        hint = next((hint for _, _, hint in problems if hint), "")
        raise InvalidInput("\n".join(lines), hint=hint)

    def _variable(self, node: TextNode, found: re.Match[str]) -> str:
        name: str | None = found[1]
        if name is None:
            # `$${` is how to write `${`
            return "$"
        if not _NAME.fullmatch(name):
            self.refuse(node, f"${{{name}}} is no variable; ${{NAME}} is expected")
        elif name not in self.environment:
            self.refuse(node, f"the variable {name} is not set")
        return self.environment.get(name, "")


def _by_place(problem: tuple[Place, str, str]) -> tuple[Any, ...]:
    place, text, _ = problem
    return (place.label, place.line, place.column, text)
