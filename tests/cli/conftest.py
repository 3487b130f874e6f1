"""Commands of the tests, in the place of the real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner, Result

from imgsync.cli import main
from imgsync.cli.command import Command
from imgsync.cli.commands import COMMANDS, Entry

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgsync.cli.context import Context


class Try:
    """Runs ``imgsync try …``, a command that calls what the test wants."""

    def __init__(self, body: Callable[[Context], None], *more: Callable[[Any], Any]) -> None:
        @click.pass_obj
        def run(context: Context, /, **_: Any) -> None:
            body(context)

        function: Callable[..., Any] = run
        for decorate in more:
            function = decorate(function)
        self.command = click.command(cls=Command, name="try")(function)

    def __call__(self, *args: str, env: dict[str, str] | None = None, **more: Any) -> Result:
        return CliRunner().invoke(main, list(args) or ["try"], env=env, **more)


@pytest.fixture
def trying(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Try]:
    """Called with a body, gives something to run as ``imgsync try``."""

    def make(body: Callable[[Context], None], *more: Callable[[Any], Any]) -> Try:
        made = Try(body, *more)
        monkeypatch.setitem(COMMANDS, "try", Entry("none", "none", "Try."))
        monkeypatch.setattr(Entry, "load", lambda _: made.command)
        return made

    return make
