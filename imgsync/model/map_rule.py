"""Rule: one ``PATTERN=TEMPLATE`` of ``--map``.

The pattern is matched against ``registry/repository``, and against ``registry/repository:tag``
where it has a tag itself. ``*`` stands for anything within one part of the path, ``**`` for
anything, ``{name}`` and ``{name:**}`` are the same with a name. A pattern without a host is one of
docker.io, as in a name.

In the template, ``{1}`` is what the first ``*`` or ``**`` stood for, ``{name}`` what a named part
stood for; ``{registry}``, ``{repository}`` and ``{tag}`` are always known. A template without a
tag keeps tag and digest. One without a host is under ``--to``, if that is given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, Self

from imgsync.errors import InvalidInput
from imgsync.model.reference import DOCKER_IO, Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT: Final = "for example --map 'quay.io/*/*=harbor.example.com/mirror/{1}-{2}'"
ALWAYS: Final = ("registry", "repository", "tag")

_TOKEN = re.compile(
    r"(?P<across>\*\*)|(?P<within>\*)|\{(?P<name>[a-z0-9_]+)(?P<deep>:\*\*)?\}|(?P<text>[^*{}]+)"
)
_NUMBERED = re.compile(r"\{[a-z0-9_]+\}$")
_LITERAL = re.compile(r"[A-Za-z0-9._:/\[\]-]+")
_UNFIT = re.compile(r"[^a-z0-9.]+")
_WITHIN: Final = "[^/]*"
_ACROSS: Final = ".*"


class Under(Protocol):
    """A prefix under which a template without a host stands."""

    def join(self, reference: Reference, repository: str) -> Reference:
        """The reference under the prefix, with this path."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern, a template, and ``where`` they were written, for messages."""

    pattern: str
    template: str
    where: str = "--map"
    _matches: re.Pattern[str] = field(init=False, repr=False, compare=False)
    _made: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile both sides.

        Raises:
            InvalidInput: one of them is not what the module's docstring says.
        """
        pattern = _in_full(self.pattern)
        regex, parts = self._compile(pattern)
        object.__setattr__(self, "_matches", re.compile(regex))
        object.__setattr__(self, "_made", re.compile(self._shape(parts)))

    @classmethod
    def parse(cls, text: str, where: str = "--map") -> Self:
        """Read ``PATTERN=TEMPLATE``.

        Raises:
            InvalidInput: one of the two is missing or wrong.
        """
        pattern, equals, template = (part.strip() for part in text.partition("="))
        if not (pattern and equals and template):
            msg = f"{where}: {text!r} is not PATTERN=TEMPLATE"
            raise InvalidInput(msg, hint=HINT)
        return cls(pattern, template, f"{where} {text.strip()}")

    def match(self, reference: Reference) -> dict[str, str] | None:
        """What each part of the pattern stands for in this name, or None."""
        found = self._matches.fullmatch(_subject(reference, self.pattern))
        if found is None or (_has_tag(self.pattern) and not reference.tag):
            return None
        parts = {key.removeprefix("p"): text for key, text in found.groupdict().items()}
        return parts | {
            "registry": reference.registry,
            "repository": reference.repository,
            "tag": reference.tag,
        }

    def made(self, reference: Reference) -> bool:
        """Whether the name looks like an outcome of the template already."""
        return self._made.fullmatch(_subject(reference, self.template)) is not None

    @property
    def is_for_one_host(self) -> bool:
        """Whether the pattern names a host, and is no rule for all the rest."""
        first, _, _ = _in_full(self.pattern).partition("/")
        return not any(mark in first for mark in "*{")

    @property
    def has_own_host(self) -> bool:
        """Whether every outcome is on one host, the one that the template begins with."""
        first, slash, _ = self.template.partition("/")
        return bool(slash) and is_host(first) and "{" not in first

    def outcome(
        self, reference: Reference, parts: dict[str, str], under: Under | None
    ) -> Reference:
        """The name that the template makes of what `match` found.

        Raises:
            InvalidReference: it is no name.
        """
        text = self.expand(parts)
        has_tag = _has_tag(text)
        first, slash, _ = text.partition("/")
        if under is not None and not (slash and is_host(first)):
            repository, _, tag = text.partition(":")
            moved = under.join(reference, repository)
            return moved.with_tag(tag) if has_tag else moved
        made = Reference.parse(text)
        return made if has_tag else reference.moved_to(made.registry, made.repository)

    def expand(self, parts: dict[str, str]) -> str:
        """The template with its parts filled in."""
        text = ""
        for token in _TOKEN.finditer(self.template):
            name = token["name"]
            if name is None:
                text += token[0]
            elif name == "registry" and text:
                text += as_path_part(parts[name])
            else:
                text += parts[name]
        # "{repository}:{tag}" of a name without a tag
        return text.removesuffix(":")

    def _compile(self, pattern: str) -> tuple[str, dict[str, str]]:
        regex = ""
        parts: dict[str, str] = {}
        for token in self._tokens(pattern):
            if token["text"] is not None:
                regex += re.escape(token["text"])
                continue
            if token["name"] is None:
                name = str(sum(key.isdigit() for key in parts) + 1)
            else:
                name = token["name"]
                if name.isdigit() or name in ALWAYS or name in parts:
                    self._refuse(f"{{{name}}} cannot be the name of a part of the pattern")
            parts[name] = _ACROSS if token["across"] or token["deep"] else _WITHIN
            regex += f"(?P<p{name}>{parts[name]})"
        return regex, parts

    def _shape(self, parts: dict[str, str]) -> str:
        """A regular expression of all that the template can make."""
        known = {"registry": "[^/]+", "repository": ".+", "tag": "[^/:@]*", **parts}
        regex = ""
        seen: set[str] = set()
        for token in self._tokens(_in_full(self.template)):
            name = token["name"]
            if token["text"] is not None:
                regex += re.escape(token["text"])
            elif name is None or token["deep"]:
                self._refuse(f"{token[0]} stands in the template; {{1}} or a name is expected")
            elif name not in known:
                has = ", ".join(f"{{{key}}}" for key in known)
                self._refuse(f"{{{name}}} is no part of the pattern; there are {has}")
            elif name == "registry" and regex:
                regex += "[a-z0-9.-]+"
            elif name in seen:
                regex += f"(?P=p{name})"
            else:
                seen.add(name)
                regex += f"(?P<p{name}>{known[name]})"
        return regex

    def _tokens(self, text: str) -> Iterator[re.Match[str]]:
        position = 0
        for token in _TOKEN.finditer(text):
            if token.start() != position:
                break
            position = token.end()
            if token["text"] is not None and not _LITERAL.fullmatch(token["text"]):
                self._refuse(f"{token['text']!r} cannot be a part of a name")
            yield token
        if position != len(text):
            self._refuse(f"{text[position:]!r} is neither a part of a name nor {{1}} or {{name}}")

    def _refuse(self, why: str) -> None:
        msg = f"{self.where}: {why}"
        raise InvalidInput(msg, hint=HINT)


def parse_rules(raw: bytes, label: str) -> tuple[Rule, ...]:
    """Read a file of rules, one a line, with ``#`` comments.

    Raises:
        InvalidInput: names the file and the line.
    """
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        msg = f"{label} is not UTF-8 text"
        raise InvalidInput(msg, hint="is it a file of PATTERN=TEMPLATE lines?") from None
    rules = tuple(
        Rule.parse(line.strip(), f"{label}:{number}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not rules:
        msg = f"{label} has no rule"
        raise InvalidInput(msg, hint=HINT)
    return rules


def as_path_part(registry: str) -> str:
    """A host as a part of a path, which has no upper case and no colons."""
    return _UNFIT.sub("-", registry.lower()).strip("-.")


def is_host(first: str) -> bool:
    """Whether docker takes the first part of a name for a host."""
    return "." in first or ":" in first or first == "localhost"


def _in_full(text: str) -> str:
    """With the host and ``library/`` that docker would add to a name."""
    first, slash, _ = text.partition("/")
    if slash:
        is_full = is_host(first) or any(mark in first for mark in "*{")
        return text if is_full else f"{DOCKER_IO}/{text}"
    # One that can stand for slashes may stand for the host too.
    is_full = first.startswith("**") or ":**}" in first or _NUMBERED.match(first) is not None
    return text if is_full else f"{DOCKER_IO}/library/{text}"


def _has_tag(text: str) -> bool:
    # "{name:**}" has a colon too
    return ":" in text.rpartition("/")[2].replace(":**}", "}")


def _subject(reference: Reference, text: str) -> str:
    return f"{reference.name}:{reference.tag}" if _has_tag(text) else reference.name
