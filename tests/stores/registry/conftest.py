"""Repositories of real servers, and small content for them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.model.reference import Reference
from imgsync.stores.registry.options import ConnectionOptions
from imgsync.stores.registry.registries import Registries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgsync.events import Event
    from imgsync.stores.registry.repository import Repository


class Client:
    """Makes registries with options of their own, and closes them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.events: list[Event] = []

    def registries(self, *, environ: dict[str, str] | None = None, **options: Any) -> Registries:
        made = Registries(
            ConnectionOptions(**options), self.events.append, {} if environ is None else environ
        )
        return self._stack.enter_context(made)

    def repository(
        self, host: str, name: str, *, environ: dict[str, str] | None = None, **options: Any
    ) -> Repository:
        registries = self.registries(environ=environ, **options)
        return registries.repository(Reference.parse(f"{host}/{name}:1"))

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def client() -> Iterator[Client]:
    """Makes repositories: `client.repository(server.host, name, ca_files=...)`."""
    made = Client()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait for hundredths of a second instead of seconds."""
    monkeypatch.setattr("imgsync.stores.registry.retry.FIRST_WAIT_S", 0.01)
