"""Events for people, for logs and for programs: a bar, plain lines, or JSON lines.

All goes to standard error. A `Reporter` may be called by several threads at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from imgsync.cli.output import human_size, human_time, printable, tell
from imgsync.events import (
    Advanced,
    Copied,
    Event,
    Failed,
    Named,
    Noted,
    Planned,
    Resolved,
    Retried,
    Skipped,
    Started,
)

if TYPE_CHECKING:
    from imgsync.cli.option_values import OutputOptions
    from imgsync.model.digest import Digest

PLAIN_EVERY_S: Final = 10.0
"""How often plain lines tell how far it is: enough for a log, not too much for a mail."""
JSON_EVERY_S: Final = 0.5
LINE_AFTER_S: Final = 0.5
"""A blob gets a line of its own once it takes longer than this; small ones would only flicker."""
MAX_LINES: Final = 8


class Reporter:
    """Counts what events say; subclasses show it."""

    def __init__(self, *, debug: bool = False) -> None:
        self.debug = debug
        self.total = 0
        self.done = 0
        self.n_objects = 0
        self.n_done = 0
        self.begun = monotonic()
        self._lock = threading.RLock()
        self._told_failures: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Count the event, then show it."""
        with self._lock:
            match event:
                case Planned():
                    self.total, self.n_objects = event.n_bytes, event.n_objects
                    self.done = self.n_done = 0
                    self.begun = monotonic()
                case Advanced():
                    self.done += event.n_bytes
                case Copied():
                    self.n_done += 1
                    if event.how == "adopted":
                        # The receiver had it elsewhere: it was planned to pass, and will not.
                        self.total -= event.descriptor.size
                case _:
                    pass
            self.show(event)

    def show(self, event: Event) -> None:
        """Show the event; the counts include it."""

    def text(self, event: Event) -> str | None:
        """A line about an event, or None if people need not know of it.

        What stops a whole registry fails each object with the same words: they are told once.
        """
        if isinstance(event, Failed):
            if event.error.message in self._told_failures:
                return None
            self._told_failures.add(event.error.message)
        return text_of(event, debug=self.debug)

    def close(self) -> None:
        """Leave the terminal as it was."""

    @property
    def rate(self) -> float:
        """Bytes a second since the plan stood."""
        return self.done / max(monotonic() - self.begun, 1e-6)


class Silent(Reporter):
    """Only what a user must know: warnings, unless told to be quiet."""

    def __init__(self, *, warnings: bool, debug: bool = False) -> None:
        super().__init__(debug=debug)
        self._warnings = warnings

    def show(self, event: Event) -> None:
        """Warnings, if they are wanted."""
        if self._warnings and isinstance(event, Noted) and event.level != "info":
            tell(text_of(event) or "")


class Plain(Reporter):
    """Lines for logs: what happened, and every ten seconds how far it is."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__(debug=debug)
        self._told = monotonic()

    def show(self, event: Event) -> None:
        """One line, or none."""
        now = monotonic()
        text = self.text(event)
        if text is not None:
            tell(text)
        elif isinstance(event, (Advanced, Copied)) and now - self._told >= PLAIN_EVERY_S:
            text = self._how_far()
            tell(text)
        if text is not None:
            self._told = now

    def _how_far(self) -> str:
        share = f"{100 * self.done // self.total} %, " if self.total else ""
        left = ""
        if self.rate > 0 and self.total > self.done:
            left = f", about {human_time((self.total - self.done) / self.rate)} left"
        return (
            f"{share}{human_size(self.done)} of {human_size(self.total)}, "
            f"{self.n_done} of {self.n_objects} objects, {human_size(round(self.rate))}/s{left}"
        )


class Json(Reporter):
    """One object a line; the bytes of all objects together, twice a second."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__(debug=debug)
        self._told = 0.0

    def show(self, event: Event) -> None:
        """Print it, unless it is one of very many."""
        if isinstance(event, Advanced):
            now = monotonic()
            if now - self._told < JSON_EVERY_S and self.done < self.total:
                return
            self._told = now
            value: dict[str, Any] = {
                "event": "progress",
                "done_bytes": self.done,
                "total_bytes": self.total,
                "done_objects": self.n_done,
                "total_objects": self.n_objects,
            }
        else:
            value = json_of(event)
        tell(json.dumps(value, sort_keys=True))


class Bar(Reporter):
    """One overall bar, and a line for each blob that takes its time."""

    def __init__(self, *, debug: bool = False) -> None:
        super().__init__(debug=debug)
        from tqdm import tqdm  # noqa: PLC0415 - only where there is a terminal

        # It would start a thread that looks after bars that stall.
        tqdm.monitor_interval = 0
        self._tqdm = tqdm
        self._bar: tqdm[Any] | None = None
        self._lines: dict[Digest, tqdm[Any]] = {}
        self._under_way: dict[Digest, tuple[float, int]] = {}

    def show(self, event: Event) -> None:
        """Move the bars; everything that is said stands above them."""
        match event:
            case Planned():
                self._begin(event)
            case Started():
                begun = monotonic()
                self._under_way[event.descriptor.digest] = (begun, event.offset)
            case Advanced():
                self._advance(event)
            case Copied():
                self._end(event.descriptor.digest)
                if self._bar is not None:
                    self._bar.total = self.total
                    self._bar.set_postfix_str(f"{self.n_done}/{self.n_objects}", refresh=False)
            case _:
                pass
        text = self.text(event)
        if text is not None:
            self._tqdm.write(printable(text), file=sys.stderr)

    def close(self) -> None:
        """Take the bars away."""
        for line in self._lines.values():
            line.close()
        self._lines.clear()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _begin(self, event: Planned) -> None:
        self.close()
        self._under_way.clear()
        if event.n_bytes:
            self._bar = self._new(event.n_bytes, "total", 0)

    def _advance(self, event: Advanced) -> None:
        if self._bar is not None:
            if event.n_bytes < 0:
                # tqdm never goes back by itself.
                self._bar.n = max(0, self._bar.n + event.n_bytes)
            else:
                self._bar.update(event.n_bytes)
        digest = event.descriptor.digest
        begun, passed = self._under_way.get(digest, (monotonic(), 0))
        passed = max(0, passed + event.n_bytes)
        self._under_way[digest] = (begun, passed)
        line = self._lines.get(digest)
        if line is not None:
            line.n = passed
            line.refresh() if event.n_bytes < 0 else line.update(0)
        elif (
            self._bar is not None
            and monotonic() - begun > LINE_AFTER_S
            and len(self._lines) < MAX_LINES
            and passed < event.descriptor.size
        ):
            taken = {known.pos for known in self._lines.values()}
            place = next(n for n in range(1, MAX_LINES + 1) if -n not in taken)
            line = self._new(event.descriptor.size, event.descriptor.digest.hex[:12], place)
            line.update(passed)
            self._lines[digest] = line

    def _end(self, digest: Digest) -> None:
        self._under_way.pop(digest, None)
        line = self._lines.pop(digest, None)
        if line is not None:
            line.close()

    def _new(self, total: int, text: str, position: int) -> Any:
        return self._tqdm(
            total=total,
            desc=text,
            position=position,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            dynamic_ncols=True,
            leave=False,
            file=sys.stderr,
        )


def reporter_of(output: OutputOptions) -> Reporter:
    """The reporter that the options ask for."""
    if output.quiet or output.progress == "none":
        return Silent(warnings=not output.quiet, debug=output.debug)
    kind = output.progress
    if kind == "auto":
        is_terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        kind = "bar" if is_terminal else "plain"
    kinds: dict[str, type[Reporter]] = {"bar": Bar, "plain": Plain, "json": Json}
    return kinds[kind](debug=output.debug)


def text_of(event: Event, *, debug: bool = False) -> str | None:
    """A line about an event, or None if people need not know of it."""
    match event:
        case Planned():
            there = ""
            if event.n_present:
                there = (
                    f"; {event.n_present} objects, {human_size(event.n_present_bytes)}, "
                    "are there already"
                )
            if not event.n_objects and not there:
                return None
            return f"{event.n_objects} objects to go, {human_size(event.n_bytes)}{there}"
        case Named() if debug:
            moved = f", was {event.before}" if event.before else ""
            return f"{event.name}: {event.descriptor.digest}{moved}"
        case Retried():
            wait = f", in {human_time(event.wait_s)}" if round(event.wait_s) else ""
            what = "" if event.what in event.why else f"{event.what}: "
            # Both may begin with the host.
            why = event.why.removeprefix(f"{what.partition(': ')[0]}: ") if what else event.why
            return f"again{wait}: {what}{why}"
        case Noted():
            return event.message if event.level == "info" else f"{event.level}: {event.message}"
        case Failed():
            what = "" if event.what in event.error.message else f"{event.what}: "
            return f"failed: {what}{event.error.message}"
        case Resolved() if debug:
            return f"{event.name} is {event.descriptor.digest} ({event.done} of {event.total})"
        case Copied() if debug:
            where = f" to {event.where}" if event.where else ""
            return f"{event.how}{where}: {event.descriptor.short}"
        case Skipped() if debug:
            return f"there already: {event.descriptor.short}"
        case _:
            return None


def json_of(event: Event) -> dict[str, Any]:
    """An event as a JSON object; what other events than `Advanced` have, under the same names."""
    value: dict[str, Any] = {"event": type(event).__name__.lower()}
    for name in type(event).__dataclass_fields__:
        part = getattr(event, name)
        match name:
            case "descriptor":
                value["digest"] = str(part.digest)
                value["size"] = part.size
                value["media_type"] = part.media_type
            case "error":
                value["message"] = part.message
                value["hint"] = part.hint
                value["exit_code"] = part.exit_code
            case _:
                value[name] = part
    return value
