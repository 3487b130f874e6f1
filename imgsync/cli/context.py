"""Context: what a command works with. Everything in it is made when it is first asked for."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from imgsync.cli.options import ContainerdOptions, OutputOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.cli.progress import Reporter
    from imgsync.events import Event

GOES_ON = "the same command again goes on where it stopped"


class Context:
    """One run of one command; click hands it over as ``obj``.

    Attributes:
        output: how the run tells what it does.
        containerd_options: which containerd a ``containerd:`` name is of.
        after_interrupt: what to tell a user who interrupts it.
    """

    def __init__(self) -> None:
        self.output = OutputOptions()
        self.containerd_options = ContainerdOptions()
        self.after_interrupt = GOES_ON
        self._values: Mapping[str, Any] = {}
        self._reporter: Reporter | None = None
        self._stack = ExitStack()

    def use(self, values: Mapping[str, Any]) -> None:
        """Take the values of the options that all commands have."""
        self._values = values
        self.output = OutputOptions(values["progress"], values["quiet"], values["debug"])

    @property
    def debug(self) -> bool:
        """Whether the user wants to know where errors come from."""
        return self.output.debug

    @property
    def wants_json_errors(self) -> bool:
        """Whether a program reads what is told."""
        return self.output.progress == "json"

    @property
    def jobs(self) -> int:
        """How much is done at once."""
        return int(self._values["jobs"])

    @property
    def retries(self) -> int:
        """How often something is tried again."""
        return int(self._values["retries"])

    def report(self, event: Event) -> None:
        """Tell an event to the user; this is the ``report`` of every long operation."""
        if self._reporter is None:
            from imgsync.cli.progress import reporter_of  # noqa: PLC0415 - not for --help

            self._reporter = reporter_of(self.output)
            self._stack.callback(self._reporter.close)
        self._reporter(event)

    def close(self) -> None:
        """Clear bars, and close what was opened."""
        self._stack.close()
        self._reporter = None
