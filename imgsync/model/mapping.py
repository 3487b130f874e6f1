"""Mapping: which name an image gets at its destination. Names only; content never changes.

``--to HOST/PROJECT`` moves every name under a prefix: host and ``library/`` are dropped, the rest
of the path is kept. ``--map 'PATTERN=TEMPLATE'`` says it by rules, of which the first that matches
wins. A name that is where it would go stays, so mapping twice is mapping once: a bundle that was
retagged can be pushed with the same options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from imgsync.errors import Conflict, InvalidInput, InvalidReference
from imgsync.model.map_rule import Rule, as_path_part, is_host
from imgsync.model.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgsync.model.bundle import Root

_LIBRARY: Final = "library/"


@dataclass(frozen=True, slots=True)
class Prefix:
    """``HOST[/PATH]`` of ``--to``."""

    registry: str
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the value of ``--to``.

        Raises:
            InvalidInput: it has a tag, or what stands first is no host as docker tells hosts.
        """
        name = text.removeprefix("docker://").rstrip("/")
        if "://" in name:
            msg = f"--to {text}: this is a URL, HOST/PROJECT is expected"
            raise InvalidInput(msg, hint=f"did you mean {name.partition('://')[2]}?")
        registry, _, path = name.partition("/")
        if not is_host(registry):
            msg = f"--to {text}: {registry!r} is not a host: docker would take it for a path"
            raise InvalidInput(msg, hint="HOST/PROJECT expected, harbor.example.com/project")
        if ":" in path or "@" in path:
            msg = f"--to {text}: a prefix has no tag and no digest"
            raise InvalidInput(msg, hint="HOST/PROJECT expected; for one image use --map")
        try:
            # Checks both parts; the name is only for that.
            Reference(registry, f"{path}/x" if path else "x", "x")
        except InvalidReference as error:
            msg = f"--to {text}: {error.message.partition(': ')[2]}"
            raise InvalidInput(msg, hint="for example harbor.example.com/project") from None
        return cls(registry, path)

    def holds(self, reference: Reference) -> bool:
        """Whether the name is under this prefix."""
        return reference.registry == self.registry and (
            not self.path or reference.repository.startswith(f"{self.path}/")
        )

    def join(self, reference: Reference, repository: str) -> Reference:
        """The reference under this prefix, with this path."""
        path = f"{self.path}/{repository}" if self.path else repository
        return reference.moved_to(self.registry, path)

    def __str__(self) -> str:
        """As it could be typed."""
        return f"{self.registry}/{self.path}" if self.path else self.registry


@dataclass(frozen=True, slots=True)
class Mapping:
    """All that ``--to``, ``--map`` and ``--keep-registry`` say. The empty one changes nothing."""

    to: Prefix | None = None
    rules: tuple[Rule, ...] = ()
    keep_registry: bool = False

    @classmethod
    def parse(
        cls, to: str = "", rules: Iterable[Rule] = (), *, keep_registry: bool = False
    ) -> Self:
        """Make one of the options' values.

        Raises:
            InvalidInput: the prefix is none, or there is none to keep a registry under.
        """
        if keep_registry and not to:
            msg = "--keep-registry says how names look under --to, which is missing"
            raise InvalidInput(msg, hint="add --to HOST/PROJECT")
        return cls(Prefix.parse(to) if to else None, tuple(rules), keep_registry)

    @property
    def is_identity(self) -> bool:
        """Whether no name can change."""
        return self.to is None and not self.rules

    def apply(self, reference: Reference) -> Reference:
        """The name that this one gets.

        Raises:
            InvalidReference: the rule makes something that is no name; both are named.
            Conflict: the rules would move the new name on, so that the outcome would depend on
                how often they are applied.
        """
        moved = self._once(reference)
        again = self._once(moved)
        if again != moved:
            msg = (
                f"the rules of --map move {reference} to {moved}, and that on to {again}; "
                "applied once and twice they would give different names"
            )
            raise Conflict(msg, hint="write the rule so that its outcome matches no other rule")
        return moved

    def relocate(self, roots: Iterable[Root]) -> tuple[Root, ...]:
        """The roots with their new names; two that become the same image are one.

        The content without a name (signatures, charts) follows into the new repositories and
        keeps its own tags and digests, by which others find it.

        Raises:
            Conflict: two of them would get one name and have different content; both are named.
        """
        taken: dict[tuple[str, str], Root] = {}
        before: dict[tuple[str, str], Root] = {}
        for root in roots:
            moved = self.move(root)
            # Extras of one repository may share a tag scheme, never a digest and a name.
            key = (moved.label, "" if moved.name is not None else str(moved.descriptor.digest))
            other = taken.setdefault(key, moved)
            first = before.setdefault(key, root)
            if other.descriptor.digest != moved.descriptor.digest:
                msg = (
                    f"{first.label} ({first.descriptor.digest.short}) and {root.label} "
                    f"({root.descriptor.digest.short}) would both be called {moved.label}"
                )
                raise Conflict(msg, hint="--keep-registry keeps them apart, or a rule of --map")
        return tuple(taken.values())

    def move(self, root: Root) -> Root:
        """One root with its new name, or with that of its repository if it has none itself."""
        if root.name is not None:
            return root.named(self.apply(root.name))
        name = root.full_name
        if name is None:
            return root
        moved = self.apply(name)
        return replace(root, extra=str(name.moved_to(moved.registry, moved.repository)))

    def _once(self, reference: Reference) -> Reference:
        if self.to is not None and self.to.holds(reference):
            return reference
        is_made = any(rule.has_own_host and rule.made(reference) for rule in self.rules)
        for rule in self.rules:
            parts = rule.match(reference)
            if parts is None:
                continue
            # A rule for all the rest must not move on what a rule before it has made.
            if rule.made(reference) or (is_made and not rule.is_for_one_host):
                return reference
            return self._by(rule, reference, parts)
        if self.to is None or is_made:
            return reference
        try:
            return self.to.join(reference, self._path(reference))
        except InvalidReference as error:
            msg = f"--to {self.to}: {error.message}"
            raise InvalidReference(msg, hint=error.hint) from None

    def _path(self, reference: Reference) -> str:
        if self.keep_registry:
            return f"{as_path_part(reference.registry)}/{reference.repository}"
        return reference.repository.removeprefix(_LIBRARY)

    def _by(self, rule: Rule, reference: Reference, parts: dict[str, str]) -> Reference:
        try:
            return rule.outcome(reference, parts, self.to)
        except InvalidReference as error:
            msg = f"{rule.where}: {reference} would become {rule.expand(parts)}: {error.message}"
            raise InvalidReference(msg, hint=error.hint) from None


def without_project(references: Iterable[Reference]) -> list[Reference]:
    """Those that Harbor refuses, because it needs PROJECT/NAME."""
    return [item for item in references if "/" not in item.repository]
