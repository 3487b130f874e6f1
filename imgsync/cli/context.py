"""Context: what a command works with. Everything in it is made when it is first asked for."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from imgsync.cli.option_values import ContainerdOptions, OutputOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from imgsync.cli.progress import Reporter
    from imgsync.events import Event
    from imgsync.model.image_source import ImageSource
    from imgsync.stores import Holding
    from imgsync.stores.containerd.namespace import Containerd
    from imgsync.stores.registry.options import ConnectionOptions
    from imgsync.stores.registry.registries import Registries

GOES_ON = "the same command again goes on where it stopped"
NOTHING_CHANGED = "nothing was changed"


class Context:
    """One run of one command; click hands it over as ``obj``.

    Attributes:
        values: those of the options that all commands have.
        environ: where passwords may stand.
        output: how the run tells what it does.
        containerd_options: which containerd a ``containerd:`` name is of.
        after_interrupt: what to tell a user who interrupts it; until a command begins, nothing is
            changed.
    """

    def __init__(self) -> None:
        self.output = OutputOptions()
        self.containerd_options = ContainerdOptions()
        self.after_interrupt = NOTHING_CHANGED
        self._hosts: tuple[str, ...] = ()
        self.environ: Mapping[str, str] = os.environ
        self._connection: ConnectionOptions | None = None
        self._registries: Registries | None = None
        self.values: Mapping[str, Any] = {}
        self._reporter: Reporter | None = None
        self._stack = ExitStack()
        self._aborts: list[Callable[[], None]] = []

    def use(self, values: Mapping[str, Any]) -> None:
        """Take the values of the options that all commands have."""
        self.values = values
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
        return int(self.values["jobs"])

    @property
    def retries(self) -> int:
        """How often something is tried again."""
        return int(self.values["retries"])

    def report(self, event: Event) -> None:
        """Tell an event to the user; this is the ``report`` of every long operation."""
        if self._reporter is None:
            from imgsync.cli.progress import reporter_of  # noqa: PLC0415 - not for --help

            self._reporter = reporter_of(self.output)
            self._stack.callback(self._reporter.close)
        self._reporter(event)

    def report_with(self, reporter: Reporter) -> None:
        """From now on, tell events to this one; of a command that has its own progress."""
        if self._reporter is not None:
            self._reporter.close()
        self._reporter = reporter
        self._stack.callback(reporter.close)

    def speak_to(self, hosts: Iterable[str]) -> None:
        """Say which registries the command will use too, before the first is opened.

        Credentials that were given without a host are for the private one among all of them.
        """
        self._hosts = (*self._hosts, *hosts)

    def connection(self) -> ConnectionOptions:
        """How registries are reached, with the credentials among it; read once."""
        if self._connection is None:
            from imgsync.cli.connection import connection_options  # noqa: PLC0415 - not for --help

            self._connection = connection_options(self.values, self._hosts, self.environ)
        return self._connection

    def registries(self) -> Registries:
        """All registries, with the connections, credentials and mirrors that were asked for."""
        if self._registries is None:
            from imgsync.stores.registry.registries import Registries  # noqa: PLC0415 - not for --help

            self._registries = Registries(self.connection(), report=self.report)
            self._stack.callback(self._registries.close)
            self.on_abort(self._registries.abort)
        return self._registries

    def containerd(self) -> Containerd:
        """The namespace that ``-n``, ``--address`` and ``--ctr`` say."""
        from imgsync.cli.containerd import containerd_of  # noqa: PLC0415 - not for --help

        return containerd_of(self.containerd_options)

    def open_source(self, target: str | ImageSource, *, even_damaged: bool = False) -> Holding:
        """Whatever a user names as a source of images; see `imgsync.stores.open`."""
        from imgsync.cli.containerd import images_of  # noqa: PLC0415 - not for --help
        from imgsync.model.image_source import Transport  # noqa: PLC0415 - likewise
        from imgsync.stores.open import open_source, read_target  # noqa: PLC0415 - likewise

        source = read_target(target) if isinstance(target, str) else target
        if source.transport is Transport.REGISTRY and source.reference is not None:
            self.speak_to([source.reference.registry])
        return open_source(
            source,
            repository=lambda reference: self.registries().repository(reference),
            containerd=lambda asked: images_of(self.containerd_options, asked.reference),
            report=self.report,
            even_damaged=even_damaged,
        )

    def on_abort(self, abort: Callable[[], None]) -> None:
        """Keep what breaks connections, for when an interrupted run does not end by itself."""
        self._aborts.append(abort)

    def abort(self) -> None:
        """Break what is under way; called from another thread."""
        for abort in self._aborts:
            abort()

    def close(self) -> None:
        """Clear bars, and close what was opened."""
        self._stack.close()
        self._reporter = None
