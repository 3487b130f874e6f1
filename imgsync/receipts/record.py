"""Receipt: what came of one push, import or seed, as a file that can be carried back. Pure.

`imgsync.mirror.receipts` is its sibling, one line for each tag and only ever appended to; the
fields of an image have the same names in both. The JSON has sorted keys, indented by one blank,
with a final newline, so that it can be read, compared and signed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from imgsync.errors import ImgsyncError, InvalidArchive
from imgsync.model.digest import Digest
from imgsync.model.json_fields import Fields
from imgsync.model.strict_json import parse_object

if TYPE_CHECKING:
    from imgsync.model.bundle import Root

FORMAT: Final = "imgsync.receipt/1"
ARRIVED: Final = frozenset({"pushed", "imported", "unchanged"})
"""What is said of an image that stands at its destination."""
NOT_ARRIVED: Final = frozenset({"failed", "left-out", "skipped", "waiting"})

_KEYS: Final = frozenset(
    {"began", "bundles", "command", "ended", "format", "host", "images", "sent", "tool", "where"}
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One name at the destination.

    Attributes:
        what: pushed, imported, unchanged; skipped (another image has the name), left-out (it is
            about an index that was rewritten), waiting (for other volumes) or failed.
        source: the name in the bundle, with its digest (`source_of`).
        destination: the name that it was to have.
        digest: what that name means now, or was to mean; another than the source's where an
            index was rewritten.
        before: the digest that the name meant before; empty if there was no such name.
        platforms: those that are whole there; None where everything is.
        error: why it failed.
        node: which one, of a seed.
        runs_here: of a seed that brings each node what it runs: whether all of that is there.
    """

    what: str
    source: str
    destination: str
    digest: Digest
    before: str = ""
    platforms: tuple[str, ...] | None = None
    error: str = ""
    node: str = ""
    runs_here: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        value: dict[str, Any] = {
            "what": self.what,
            "source": self.source,
            "destination": self.destination,
            "digest": str(self.digest),
        }
        if self.platforms is not None:
            value["platforms"] = list(self.platforms)
        if self.runs_here is not None:
            value["runs_here"] = self.runs_here
        texts = (("before", self.before), ("error", self.error), ("node", self.node))
        return value | {key: text for key, text in texts if text}


@dataclass(frozen=True, slots=True)
class BundleUsed:
    """A source of the run: its name, and its lock's digest where it was a bundle of ours."""

    file: str
    lock: Digest | None


@dataclass(frozen=True, slots=True)
class Amount:
    """So many objects, so many bytes."""

    n_objects: int = 0
    n_bytes: int = 0

    def to_json(self) -> dict[str, int]:
        """As it stands in the file."""
        return {"objects": self.n_objects, "bytes": self.n_bytes}


@dataclass(frozen=True, slots=True)
class NodeReached:
    """One node of a seed; what stands on it is said by the arrivals with its name.

    Attributes:
        label: as the inventory calls it.
        status: seeded, unchanged or failed.
        had: what it had of what it was to get.
        lacked: what it had not.
        sent: what really moved.
        error: why not everything is there.
        peer: the node that sent some of it, if one did.
    """

    label: str
    status: str
    had: Amount = Amount()
    lacked: Amount = Amount()
    sent: Amount = Amount()
    error: str = ""
    peer: str = ""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "node": self.label,
            "status": self.status,
            "had": self.had.to_json(),
            "lacked": self.lacked.to_json(),
            "sent": self.sent.to_json(),
            **({"error": self.error} if self.error else {}),
            **({"peer": self.peer} if self.peer else {}),
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """One run.

    Attributes:
        command: push, import or seed.
        tool: imgsync and its version.
        host: the machine that it ran on.
        where: the destinations: registries, or ``containerd:NAMESPACE``.
        began, ended: in UTC.
        sent_objects, sent_bytes: what really moved.
        nodes: those of a seed, all that were asked for.
    """

    command: str
    tool: str
    host: str
    where: tuple[str, ...]
    began: datetime
    ended: datetime
    bundles: tuple[BundleUsed, ...]
    images: tuple[Arrival, ...]
    sent_objects: int = 0
    sent_bytes: int = 0
    nodes: tuple[NodeReached, ...] = ()

    def to_bytes(self) -> bytes:
        """The file."""
        value = {
            "format": FORMAT,
            "command": self.command,
            "tool": self.tool,
            "host": self.host,
            "where": list(self.where),
            "began": self.began.isoformat(timespec="seconds"),
            "ended": self.ended.isoformat(timespec="seconds"),
            "bundles": [
                {"file": used.file, "lock": str(used.lock) if used.lock is not None else None}
                for used in self.bundles
            ],
            "images": [image.to_json() for image in self.images],
            "sent": Amount(self.sent_objects, self.sent_bytes).to_json(),
        }
        if self.nodes:
            value["nodes"] = [node.to_json() for node in self.nodes]
        return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    @staticmethod
    def parse(raw: bytes, where: str) -> Receipt:
        """Read a receipt; strict, because somebody relies on it.

        Raises:
            InvalidArchive: it is none, or of another version.
        """
        try:
            return _Reader(where, InvalidArchive).receipt(parse_object(raw, where))
        except InvalidArchive:
            raise
        except ImgsyncError as error:
            text = error.message if error.message.startswith(where) else f"{where}: {error.message}"
            raise InvalidArchive(text, hint=error.hint) from None


def source_of(root: Root) -> str:
    """A root by its name and digest; what a receipt and a lock are compared by."""
    end = f"@{root.descriptor.digest}"
    return root.label if root.label.endswith(end) else f"{root.label}{end}"


class _Reader(Fields):
    def receipt(self, value: dict[str, Any]) -> Receipt:
        if value.get("format") != FORMAT:
            self.refuse(f"the format is {value.get('format')!r}, {FORMAT} expected")
        self.keys(value, _KEYS, "the receipt", optional={"nodes"})
        sent = self._amount(value["sent"], "sent")
        return Receipt(
            self.text(value["command"], "command"),
            self.text(value["tool"], "tool"),
            self.text(value["host"], "host"),
            self._texts(value["where"], "where"),
            self.time(value["began"], "began"),
            self.time(value["ended"], "ended"),
            tuple(self._bundle(item) for item in self.list(value["bundles"], "bundles")),
            tuple(
                self._image(item, f"images[{number}]")
                for number, item in enumerate(self.list(value["images"], "images"))
            ),
            sent.n_objects,
            sent.n_bytes,
            tuple(
                self._node(item, f"nodes[{number}]")
                for number, item in enumerate(self.list(value.get("nodes", []), "nodes"))
            ),
        )

    def _node(self, value: object, what: str) -> NodeReached:
        fields = self.mapping(value, what)
        self.keys(
            fields, {"had", "lacked", "node", "sent", "status"}, what, optional={"error", "peer"}
        )
        return NodeReached(
            self.text(fields["node"], f"{what}, node"),
            self.text(fields["status"], f"{what}, status"),
            self._amount(fields["had"], f"{what}, had"),
            self._amount(fields["lacked"], f"{what}, lacked"),
            self._amount(fields["sent"], f"{what}, sent"),
            self.text(fields.get("error", ""), f"{what}, error"),
            self.text(fields.get("peer", ""), f"{what}, peer"),
        )

    def _amount(self, value: object, what: str) -> Amount:
        fields = self.mapping(value, what)
        self.keys(fields, {"bytes", "objects"}, what)
        return Amount(
            self.size(fields["objects"], f"{what}, objects"),
            self.size(fields["bytes"], f"{what}, bytes"),
        )

    def _bundle(self, value: object) -> BundleUsed:
        fields = self.mapping(value, "bundles")
        self.keys(fields, {"file", "lock"}, "bundles")
        lock = fields["lock"]
        return BundleUsed(
            self.text(fields["file"], "bundles, file"),
            None if lock is None else self.digest(lock, "bundles, lock"),
        )

    def _image(self, value: object, what: str) -> Arrival:
        fields = self.mapping(value, what)
        optional = {"before", "error", "node", "platforms", "runs_here"}
        self.keys(fields, {"destination", "digest", "source", "what"}, what, optional=optional)
        state = self.text(fields["what"], what)
        if state not in ARRIVED | NOT_ARRIVED:
            self.refuse(f"{what} is {state!r}, which is not known")
        platforms = None
        if "platforms" in fields:
            platforms = self._texts(fields["platforms"], f"{what}, platforms")
        runs_here = fields.get("runs_here")
        if not isinstance(runs_here, bool | None):
            self.refuse(f"{what}, runs_here is {runs_here!r}")
        return Arrival(
            state,
            self.text(fields["source"], f"{what}, source"),
            self.text(fields["destination"], f"{what}, destination"),
            self.digest(fields["digest"], f"{what}, digest"),
            self.text(fields.get("before", ""), f"{what}, before"),
            platforms,
            self.text(fields.get("error", ""), f"{what}, error"),
            self.text(fields.get("node", ""), f"{what}, node"),
            runs_here,
        )

    def _texts(self, value: object, what: str) -> tuple[str, ...]:
        return tuple(self.text(item, what) for item in self.list(value, what))
