"""What a check of a fleet found, as values that are written as JSON and read again. Pure.

`imgsync check -i` writes it (``docs/fleets.md``). The page about a fleet is made of nothing else,
so it is the same whether it comes with the check or later, from the file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.model.digest import Digest
from imgsync.model.json_fields import Fields
from imgsync.model.strict_json import parse_object
from imgsync.nodes.against_lock import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = "imgsync.check/1"
UNREACHABLE: Final = "unreachable"
NOT_ASKED: Final = "not asked"
"""The node answered, and its containerd could not be asked."""

_KEYS: Final = frozenset(
    {"checked", "format", "hashed", "lock", "namespace", "nodes", "require", "title"}
)


@dataclass(frozen=True, slots=True)
class ImageOnNode:
    """One image of the lock on one node; see `imgsync.nodes.against_lock.LockedImage`."""

    name: str
    digest: Digest
    verdict: Verdict
    means: Digest | None = None
    names: tuple[str, ...] = ()
    missing: tuple[Digest, ...] = ()

    @property
    def remark(self) -> str:
        """What is to be said beside the verdict."""
        if self.means is not None:
            return f"the name means {self.means}"
        if self.names:
            return f"it is called {', '.join(self.names)}"
        return f"lacks {', '.join(str(item) for item in self.missing)}" if self.missing else ""

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "digest": str(self.digest),
            "verdict": self.verdict.value,
            "means": str(self.means) if self.means is not None else None,
            "names": list(self.names),
            "missing": [str(item) for item in self.missing],
        }


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node.

    Attributes:
        label: as the inventory calls it.
        platform: ``linux/amd64``; empty of a node that was not asked.
        images: in the order of the lock; none of a node that was not asked.
        verdict: why it was not asked: `UNREACHABLE` or `NOT_ASKED`; else empty.
        error: what it said then.
    """

    label: str
    platform: str = ""
    images: tuple[ImageOnNode, ...] = ()
    verdict: str = ""
    error: str = ""

    @property
    def is_asked(self) -> bool:
        """Whether it could be asked."""
        return not self.verdict

    def bad(self, require: str) -> list[ImageOnNode]:
        """The images that are not what was required."""
        return [image for image in self.images if not image.verdict.passes(require)]

    def is_right(self, require: str) -> bool:
        """Whether it was asked, and every image is what was required."""
        return self.is_asked and not self.bad(require)

    def to_json(self, require: str) -> dict[str, Any]:
        """For programs."""
        value: dict[str, Any] = {
            "node": self.label,
            "right": self.is_right(require),
            "platform": self.platform or None,
            "images": [image.to_json() for image in self.images],
        }
        if not self.is_asked:
            value |= {"error": self.error, "verdict": self.verdict}
        return value


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """All nodes beside one lock.

    Attributes:
        title: the lock, as it was typed.
        lock: its digest.
        require: what each image had to be: ``runs`` or ``whole``.
        hashed: whether every byte was read.
        checked: when it was, in UTC.
    """

    title: str
    lock: Digest
    namespace: str
    require: str
    hashed: bool
    checked: datetime
    nodes: tuple[NodeFacts, ...] = field(repr=False)

    @property
    def n_right(self) -> int:
        """How many nodes are right."""
        return sum(node.is_right(self.require) for node in self.nodes)

    @property
    def by_need(self) -> list[NodeFacts]:
        """The nodes: those that could not be asked, those that are not right, the others."""
        return sorted(self.nodes, key=lambda node: (node.is_asked, node.is_right(self.require)))

    @property
    def image_names(self) -> tuple[tuple[str, Digest], ...]:
        """Every image, as the nodes were asked for it; those that are right everywhere last."""
        bad = Counter(
            (image.name, image.digest) for node in self.nodes for image in node.bad(self.require)
        )
        names = dict.fromkeys(
            (image.name, image.digest) for node in self.nodes for image in node.images
        )
        return tuple(sorted(names, key=lambda name: not bad[name]))

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "format": FORMAT,
            "title": self.title,
            "lock": str(self.lock),
            "namespace": self.namespace,
            "require": self.require,
            "hashed": self.hashed,
            "checked": self.checked.isoformat(timespec="seconds"),
            "nodes": [node.to_json(self.require) for node in self.nodes],
        }

    @staticmethod
    def parse(raw: bytes, where: str) -> FleetFacts:
        """Read what `to_json` gave.

        Raises:
            InvalidInput: it is none, or of another version.
        """
        try:
            return _Reader(where, InvalidInput).fleet(parse_object(raw, where))
        except ImgsyncError as error:
            text = error.message if error.message.startswith(where) else f"{where}: {error.message}"
            raise InvalidInput(text, hint="imgsync check -i … --format json writes it") from None


class _Reader(Fields):
    def fleet(self, value: dict[str, Any]) -> FleetFacts:
        if value.get("format") != FORMAT:
            self.refuse(f"the format is {value.get('format')!r}, {FORMAT} expected")
        self.keys(value, _KEYS, "the check")
        require = self.text(value["require"], "require")
        if require not in ("runs", "whole"):
            self.refuse(f"require is {require!r}")
        return FleetFacts(
            self.text(value["title"], "title"),
            self.digest(value["lock"], "lock"),
            self.text(value["namespace"], "namespace"),
            require,
            self._flag(value["hashed"], "hashed"),
            self.time(value["checked"], "checked"),
            tuple(
                self._node(item, f"nodes[{number}]")
                for number, item in enumerate(self.list(value["nodes"], "nodes"))
            ),
        )

    def _node(self, value: object, what: str) -> NodeFacts:
        fields = self.mapping(value, what)
        wanted, optional = {"images", "node", "platform", "right"}, {"error", "verdict"}
        self.keys(fields, wanted, what, optional=optional)
        verdict = self.text(fields.get("verdict", ""), f"{what}, verdict")
        if verdict not in ("", UNREACHABLE, NOT_ASKED):
            self.refuse(f"{what} is {verdict!r}, which is not known")
        return NodeFacts(
            self.text(fields["node"], f"{what}, node"),
            self.text(fields["platform"] or "", f"{what}, platform"),
            tuple(
                self._image(item, f"{what}, images[{number}]")
                for number, item in enumerate(self.list(fields["images"], f"{what}, images"))
            ),
            verdict,
            self.text(fields.get("error", ""), f"{what}, error"),
        )

    def _image(self, value: object, what: str) -> ImageOnNode:
        fields = self.mapping(value, what)
        self.keys(fields, {"digest", "means", "missing", "name", "names", "verdict"}, what)
        verdict = self.text(fields["verdict"], what)
        if verdict not in set(Verdict):
            self.refuse(f"{what} is {verdict!r}, which is not known")
        means = fields["means"]
        return ImageOnNode(
            self.text(fields["name"], f"{what}, name"),
            self.digest(fields["digest"], f"{what}, digest"),
            Verdict(verdict),
            None if means is None else self.digest(means, f"{what}, means"),
            tuple(
                self.text(item, f"{what}, names")
                for item in self.list(fields["names"], f"{what}, names")
            ),
            tuple(
                self.digest(item, f"{what}, missing")
                for item in self.list(fields["missing"], f"{what}, missing")
            ),
        )

    def _flag(self, value: object, what: str) -> bool:
        if not isinstance(value, bool):
            self.refuse(f"{what} is neither true nor false")
        return value


def groups_of(images: Sequence[ImageOnNode]) -> list[tuple[Verdict, list[ImageOnNode]]]:
    """Images by verdict, in the order of the verdicts."""
    return [
        (verdict, found)
        for verdict in Verdict
        if (found := [image for image in images if image.verdict is verdict])
    ]
