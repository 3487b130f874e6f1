"""Which tags of a repository are wanted. Pure: from a list of tags to a list of tags.

`exact` names tags one by one. All else narrows what the registry lists: a tag is a candidate if one
of the globs, one of the regular expressions and one of the ranges select it, as far as there are
any. Then exclusions, then `latest`. Exact tags come in addition, whatever else is said: who names a
tag wants that tag, and an error if it is not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import TYPE_CHECKING, Final, Self

from imgsync.errors import InvalidInput
from imgsync.mirror.semver import Version
from imgsync.mirror.version_range import Range

if TYPE_CHECKING:
    from collections.abc import Iterable

_ABOUT_OTHERS = re.compile(r"sha256-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?", re.ASCII)
"""cosign's tags, and the fallback tag of referrers: they come with the image that they are about,
and no pattern is meant to select them by itself."""

_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A regular expression over tags.

    Attributes:
        text: as it was written, for messages.
        regex: what a tag is searched for.
    """

    text: str
    regex: re.Pattern[str] = field(compare=False, repr=False)

    @classmethod
    def of_glob(cls, text: str) -> Self:
        """A shell's pattern, for the whole tag."""
        return cls(text, re.compile(rf"\A{translate(text)}"))

    @classmethod
    def of_regex(cls, text: str, *, before: str = "", behind: str = "") -> Self:
        r"""Python's regular expression, put between two others.

        ``before`` and ``behind`` say how much of a tag must match: ``\A(?:`` and ``)\Z`` all.

        Raises:
            InvalidInput: it is none.
        """
        flags = _FLAGS.match(text)
        head = flags[0] if flags is not None else ""
        try:
            return cls(text, re.compile(f"{head}{before}{text.removeprefix(head)}{behind}"))
        except (re.error, OverflowError, RecursionError) as error:
            raise InvalidInput(f"{text!r} is not a regular expression: {error}") from None

    def selects(self, tag: str) -> bool:
        """Whether it stands for this tag."""
        return self.regex.search(tag) is not None


WHOLE: Final = (r"\A(?:", r")\Z")
"""``before`` and ``behind`` for an expression that must match the whole tag."""


@dataclass(frozen=True, slots=True)
class TagRule:
    """What a config says about the tags of one repository.

    Attributes:
        exact: tags and digests that are wanted whatever the registry lists.
        patterns: groups of globs or regular expressions, of each of which one must match.
        semver: ranges of versions, of which one must hold.
        is_filter: whether the registry's list is asked for at all.
        latest: how many versions of the candidates, from the highest on; None is all.
        suffix: what stands behind each version, such as ``-alpine``; tags without it are not
            candidates, and it does not make a version a pre-release.
        prereleases: whether pre-releases count for ranges and `latest`.
        excluded, excluded_semver: candidates that are not wanted.
    """

    exact: tuple[str, ...] = ()
    patterns: tuple[tuple[TagPattern, ...], ...] = ()
    semver: tuple[Range, ...] = ()
    is_filter: bool = False
    latest: int | None = None
    suffix: str = ""
    prereleases: bool = False
    excluded: tuple[TagPattern, ...] = ()
    excluded_semver: tuple[Range, ...] = ()

    def choose(self, tags: Iterable[str]) -> tuple[str, ...]:
        """The tags that are wanted of those that the registry lists, each once.

        Exact ones come first, then versions from the highest on, then all others.
        """
        if not self.is_filter:
            return tuple(dict.fromkeys(self.exact))
        candidates = sorted(
            {tag for tag in tags if self._is_candidate(tag)} - set(self.exact), key=_order
        )
        if self.latest is not None:
            candidates = self._latest(candidates)
        return tuple(dict.fromkeys((*self.exact, *candidates)))

    def why_none(self, tags: Iterable[str]) -> str:
        """What to tell a user whose rule selects nothing of these tags."""
        listed = sorted(tags)
        versions = [version for tag in listed if (version := self._version(tag)) is not None]
        n_pre = sum(version.is_prerelease for version in versions)
        text = f"of {len(listed)} tags none is selected"
        if (self.semver or self.latest is not None) and listed:
            text += f"; {len(versions)} are versions, {n_pre} of them with something behind a dash"
            if n_pre and not self.prereleases and not self.suffix:
                text += ", which needs prereleases: true, or suffix: -alpine for such a variant"
        return text

    def _is_candidate(self, tag: str) -> bool:
        if _ABOUT_OTHERS.fullmatch(tag) is not None:
            return False
        version = self._version(tag)
        if not all(any(item.selects(tag) for item in group) for group in self.patterns):
            return False
        if self.semver and not (
            version is not None
            and any(item.holds(version, prereleases=self.prereleases) for item in self.semver)
        ):
            return False
        if not tag.endswith(self.suffix):
            return False
        if any(pattern.selects(tag) for pattern in self.excluded):
            return False
        return version is None or not any(
            item.holds(version, prereleases=True) for item in self.excluded_semver
        )

    def _version(self, tag: str) -> Version | None:
        if not tag.endswith(self.suffix):
            return None
        return Version.of_tag(tag.removesuffix(self.suffix))

    def _latest(self, candidates: list[str]) -> list[str]:
        versions = {
            tag: version
            for tag in candidates
            if (version := self._version(tag)) is not None
            and (self.prereleases or not version.is_prerelease)
        }
        # `7` and `7.2` move along with 7.2.4; only the last of them is a version of its own.
        known = {version.numbers[:n] for version in versions.values() for n in _above(version)}
        fixed = {
            tag: version
            for tag, version in versions.items()
            if version.is_prerelease or version.numbers[: version.n_parts] not in known
        }
        # `v1.2.3` and `1.2.3` are one version, and count as one.
        newest = sorted(set(fixed.values()), reverse=True)[: self.latest]
        return [tag for tag in candidates if tag in fixed and fixed[tag] in newest]


def _above(version: Version) -> range:
    """The lengths of all shorter names of this version."""
    return range(1, version.n_parts)


def _order(tag: str) -> tuple[object, ...]:
    version = Version.of_tag(tag)
    if version is None:
        return (1, 0, 0, 0, tag)
    major, minor, patch = version.numbers
    return (0, -major, -minor, -patch, version.is_prerelease, tag)
