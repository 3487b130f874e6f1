"""Progress of many nodes: a bar for each that is under way, lines with names, or JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from imgsync.cli.output import human_size, human_time, printable, tell
from imgsync.cli.progress import JSON_EVERY_S, PLAIN_EVERY_S, Reporter, json_of, text_of
from imgsync.events import Advanced, Copied, Event, Failed, NodeEnded, Noted, OfNode, Planned

if TYPE_CHECKING:
    from imgsync.cli.option_values import OutputOptions

_MAX_LINES: Final = 24


@dataclass(slots=True)
class NodeState:
    """How far one node is."""

    begun: float = field(default_factory=monotonic)
    total: int = 0
    done: int = 0
    told: float = 0.0
    is_planned: bool = False
    end: str = ""

    def count(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case Planned():
                self.total, self.is_planned = event.n_bytes, True
            case Advanced():
                self.done += event.n_bytes
            case Copied() if event.how == "adopted":
                self.total -= event.descriptor.size
            case NodeEnded():
                self.end = event.status
            case Failed():
                self.end = "failed"
            case _:
                pass


class Fleet(Reporter):
    """Counts for each node; subclasses show it."""

    def __init__(self, n_nodes: int, *, debug: bool = False) -> None:
        super().__init__(debug=debug)
        self.n_nodes = n_nodes
        self.nodes: dict[str, NodeState] = {}
        self._fleet_lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        """Count the event, then show it."""
        with self._fleet_lock:
            if not isinstance(event, OfNode):
                self.show(event)
                return
            state = self.nodes.setdefault(event.node, NodeState())
            state.count(event.event)
            self.show_node(event.node, state, event.event)

    def show(self, event: Event) -> None:
        """Show an event that is of no node: a line."""
        text = text_of(event, debug=self.debug)
        if text is not None:
            self.line(text)

    def show_node(self, node: str, state: NodeState, event: Event) -> None:
        """Show an event of a node; the counts include it."""

    def line(self, text: str) -> None:
        """Print a line."""
        tell(text)

    def text_of(self, node: str, state: NodeState, event: Event) -> str | None:
        """The line about an event of a node, if people need to know of it."""
        match event:
            case NodeEnded():
                time = human_time(monotonic() - state.begun)
                sent = f", {human_size(state.done)}" if state.done else ""
                return f"{node}: {event.status}{sent} in {time} ({self.how_many()})"
            case Failed():
                return f"{node}: failed: {event.error.message} ({self.how_many()})"
            case _:
                text = text_of(event, debug=self.debug)
                return None if text is None else f"{node}: {text}"

    def how_many(self) -> str:
        """How far the fleet is."""
        n_ended = sum(1 for state in self.nodes.values() if state.end)
        return f"{n_ended} of {self.n_nodes}"


class SilentFleet(Fleet):
    """Only what a user must know."""

    def __init__(self, n_nodes: int, *, warnings: bool, debug: bool = False) -> None:
        super().__init__(n_nodes, debug=debug)
        self._warnings = warnings

    def show(self, event: Event) -> None:
        """Warnings, if they are wanted."""
        if self._warnings and isinstance(event, Noted) and event.level != "info":
            super().show(event)

    def show_node(self, node: str, state: NodeState, event: Event) -> None:
        """Likewise."""
        if self._warnings and isinstance(event, Noted) and event.level != "info":
            self.line(self.text_of(node, state, event) or "")


class PlainFleet(Fleet):
    """Lines for logs; each node that takes its time says every ten seconds how far it is."""

    def show_node(self, node: str, state: NodeState, event: Event) -> None:
        """One line, or none."""
        now = monotonic()
        text = self.text_of(node, state, event)
        if text is None and isinstance(event, Advanced):
            if now - max(state.told, state.begun) < PLAIN_EVERY_S:
                return
            share = f"{100 * state.done // state.total} %, " if state.total else ""
            text = f"{node}: {share}{human_size(state.done)} of {human_size(state.total)}"
        if text is not None:
            state.told = now
            self.line(text)


class JsonFleet(Fleet):
    """One object a line, with the node; the bytes of a node together, twice a second."""

    def show(self, event: Event) -> None:
        """Print it."""
        self.line(json.dumps(json_of(event), sort_keys=True))

    def show_node(self, node: str, state: NodeState, event: Event) -> None:
        """Print it, unless it is one of very many."""
        value: dict[str, Any] = {"node": node}
        if isinstance(event, Advanced):
            now = monotonic()
            if now - state.told < JSON_EVERY_S and state.done < state.total:
                return
            state.told = now
            value |= {"event": "progress", "done_bytes": state.done, "total_bytes": state.total}
        else:
            value |= json_of(event)
        self.line(json.dumps(value, sort_keys=True))

    def line(self, text: str) -> None:
        """Print a line."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class BarFleet(Fleet):
    """A bar for each node that is under way; what is said stands above them."""

    def __init__(self, n_nodes: int, *, debug: bool = False) -> None:
        super().__init__(n_nodes, debug=debug)
        from tqdm import tqdm  # noqa: PLC0415 - only where there is a terminal

        # It would start a thread that looks after bars that stall.
        tqdm.monitor_interval = 0
        self._tqdm = tqdm
        self._bars: dict[str, tqdm[Any]] = {}

    def show_node(self, node: str, state: NodeState, event: Event) -> None:
        """Move the node's bar."""
        text = self.text_of(node, state, event)
        if state.end:
            bar = self._bars.pop(node, None)
            if bar is not None:
                bar.close()
        elif state.is_planned and state.total and isinstance(event, (Planned, Advanced, Copied)):
            text = None
            self._move(node, state)
        if text is not None:
            self.line(text)

    def line(self, text: str) -> None:
        """Print a line above the bars."""
        self._tqdm.write(printable(text), file=sys.stderr)

    def close(self) -> None:
        """Take the bars away."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    def _move(self, node: str, state: NodeState) -> None:
        bar = self._bars.get(node)
        if bar is None:
            taken = {known.pos for known in self._bars.values()}
            free = [n for n in range(_MAX_LINES) if -n not in taken]
            if not free:
                return
            bar = self._bars[node] = self._tqdm(
                total=state.total,
                desc=printable(node),
                position=free[0],
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                dynamic_ncols=True,
                leave=False,
                file=sys.stderr,
            )
        bar.total = state.total
        if state.done > bar.n:
            bar.update(state.done - bar.n)
        else:
            bar.n = state.done


def fleet_reporter(output: OutputOptions, n_nodes: int) -> Fleet:
    """The reporter that the options ask for."""
    if output.quiet or output.progress == "none":
        return SilentFleet(n_nodes, warnings=not output.quiet, debug=output.debug)
    kind = output.progress
    if kind == "auto":
        is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        kind = "bar" if is_terminal else "plain"
    kinds: dict[str, type[Fleet]] = {"bar": BarFleet, "plain": PlainFleet, "json": JsonFleet}
    return kinds[kind](n_nodes, debug=output.debug)
