"""A mirror between real registries: a source, a destination, and a run of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imgsync.events import Event
from imgsync.mirror.connecting import with_hosts
from imgsync.mirror.opening import AllRegistries
from imgsync.mirror.pacing import PacedRegistries
from imgsync.mirror.read import read_config
from imgsync.mirror.receipts import Receipt
from imgsync.mirror.run import MirrorRun, RunOptions
from imgsync.mirror.state import State, load_state, save_state
from imgsync.mirror.summary import Summary
from imgsync.stores.registry.options import ConnectionOptions
from tests.images import Images
from tests.servers.registry import Registry
from tests.upload import upload

_: type[AllRegistries] = PacedRegistries


@dataclass
class Mirror:
    """Two registries, and how a mirror is run between them."""

    source: Registry
    target: Registry
    images: Images = field(default_factory=Images)
    state: State = field(default_factory=State)
    receipts: list[Receipt] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def image(self, name: str, *platforms: str, n_layers: int = 1) -> dict[str, Any]:
        """An index at the source, under ``NAME:TAG``."""
        made = [
            self.images.image(
                [self.images.layer({f"{name}-{n}": platform.encode()}) for n in range(n_layers)],
                platform=platform,
            )
            for platform in platforms or ("linux/amd64", "linux/arm64")
        ]
        index = self.images.index(made)
        return self.put(name, index)

    def put(self, name: str, descriptor: dict[str, Any]) -> dict[str, Any]:
        """Some content at the source."""
        self.images.name(f"registry.example/{name}", descriptor)
        upload(self.source.url, self.images, names=[f"registry.example/{name}"])
        return descriptor

    def run(
        self,
        config: str,
        *,
        source: str = "",
        target: str = "",
        save: Path | None = None,
        **options: Any,
    ) -> Summary:
        """Run a config; SOURCE and TARGET in it stand for the registries."""
        text = config.replace("SOURCE", source or self.source.host)
        text = text.replace("TARGET", target or self.target.host)
        parsed = read_config(text.encode(), "/etc/site.yaml", environment={})
        if save is not None:
            self.state, _note = load_state(save)
        connection = with_hosts(ConnectionOptions(retries=2), parsed.hosts, {})
        used = PacedRegistries(connection, self.events.append, {}, parsed.hosts)
        with used:
            run = MirrorRun(
                parsed,
                used,
                self.state,
                self.events.append,
                RunOptions(**options),
                self.receipts.append,
            )
            try:
                return run()
            finally:
                if save is not None:
                    save_state(save, self.state)


@pytest.fixture
def mirror(new_registry: Registry) -> Any:
    """Two empty registries."""
    with Registry() as target:
        yield Mirror(new_registry, target)
