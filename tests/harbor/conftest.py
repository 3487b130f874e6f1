"""A Harbor, registries that speak to it as somebody, and pushes within the test's process."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from imgsync.events import Retried, ignore
from imgsync.harbor.gate import HarborGate
from imgsync.harbor.preflight import HarborOptions
from imgsync.model.mapping import Mapping
from imgsync.model.reference import Reference
from imgsync.model.selection import Selection
from imgsync.pushing.items import push_items
from imgsync.pushing.push import plan_push, push
from imgsync.pushing.request import DIGEST_TAG, PushOptions
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.registry.credential import Credential
from imgsync.stores.registry.options import ConnectionOptions
from imgsync.stores.registry.registries import Registries
from tests.servers.harbor import PASSWORD, Account, AnyHarbor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Mapping as AMapping
    from pathlib import Path

    from imgsync.events import Event
    from imgsync.pushing.outcome import PushResult
    from imgsync.stores.registry.repository import Repository
    from tests.images import Images

USERS = {name: Account(PASSWORD) for name in ("ann", "bob", "guest")}


class Somebody:
    """Registries as one user has them, and what happened."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self.events: list[Event] = []
        self.on_event: Callable[[Event], None] = ignore

    def report(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def retried(self) -> list[str]:
        """What was tried again, and why."""
        return [f"{e.what}: {e.why}" for e in self.events if isinstance(e, Retried)]

    def registries(self, host: str, user: str = "ann") -> Registries:
        credential = Credential(user, USERS[user].password, origin="a test")
        options = ConnectionOptions(credentials={host: credential}, retries=2)
        return self._stack.enter_context(Registries(options, self.report, {}))

    def repository(self, host: str, name: str, *user: str) -> Repository:
        return self.registries(host, *user).repository(Reference.parse(f"{host}/{name}:1"))

    def push(
        self,
        images: Images,
        host: str,
        *user: str,
        registries: Registries | None = None,
        jobs: int = 4,
        **harbor: Any,
    ) -> PushResult:
        """``registry.example/team/app:1`` becomes HOST/team/app:1."""
        registries = registries or self.registries(host, *user)
        path = self._folder / "images.tar"
        images.write_archive(path)
        source = open_archive(path)
        mapping = Mapping.parse(host, [], keep_registry=False)
        items = push_items(source, mapping, Selection(), DIGEST_TAG)
        gate = HarborGate(registries, HarborOptions(**harbor), self.report)
        options = PushOptions(jobs=jobs, retries=2)
        planned = plan_push(items, registries.repository, options, self.report, gate=gate)
        return push(planned, options, self.report)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def somebody(tmp_path: Path) -> Iterator[Somebody]:
    """Whoever pushes; ``somebody.push(images, harbor.host)`` is ann."""
    made = Somebody(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def running(harbors: Callable[[AMapping[str, Account]], AnyHarbor]) -> Iterator[AnyHarbor]:
    with harbors(USERS) as harbor:
        yield harbor


@pytest.fixture
def harbor(running: AnyHarbor) -> Iterator[AnyHarbor]:
    """A Harbor with a project in which ann may push, and guest may only pull."""
    running.project("team", members={"ann": "developer", "guest": "guest"})
    running.forget()
    yield running
    running.clean()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits last hundredths of a second instead of seconds."""
    monkeypatch.setattr("imgsync.stores.registry.retry.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("imgsync.stores.registry.stops.GC_FIRST_WAIT_S", 0.01)
