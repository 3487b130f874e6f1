"""Opening repositories for a mirror: each source once, with the guard and the pace of its host."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from imgsync.mirror.sources import Documents, MirrorRepository, PullGuard
from imgsync.mirror.state import SeenBudget
from imgsync.pushing.targets import PushTarget
from imgsync.referrers.places import Referring
from imgsync.stores import Source

if TYPE_CHECKING:
    from imgsync.mirror.config import MirrorConfig
    from imgsync.mirror.pacing import HostPace
    from imgsync.model.reference import Reference
    from imgsync.stores.registry.quota import Quota


class RegistryHost(Protocol):
    """What a run wants to know of a registry."""

    @property
    def quota(self) -> Quota | None:
        """What it last said about its pull budget."""
        ...


class RegistryRepository(PushTarget, Source, Referring, Protocol):
    """A repository at both ends of a mirror."""


class AllRegistries(Protocol):
    """Where repositories come from."""

    def repository(self, reference: Reference) -> RegistryRepository:
        """The repository of a name."""
        ...

    def host(self, name: str) -> RegistryHost:
        """The registry of this name."""
        ...

    def pace_of(self, name: str) -> HostPace | None:
        """The limits of a registry, or None for none."""
        ...


class MirrorSources:
    """The sources of one run."""

    def __init__(
        self, config: MirrorConfig, registries: AllRegistries, documents: Documents
    ) -> None:
        """Open nothing yet; all sources keep what they read in ``documents``."""
        self._config = config
        self._registries = registries
        self._documents = documents
        self._lock = threading.Lock()
        self._sources: dict[str, MirrorRepository] = {}
        self._guards: dict[str, PullGuard] = {}

    @property
    def n_pulls(self) -> int:
        """How many manifests were asked for, from all registries."""
        return sum(guard.n_pulls for guard in self._guards.values())

    def get(self, reference: Reference) -> MirrorRepository:
        """The source that a name is in; the same object for the same repository."""
        with self._lock:
            known = self._sources.get(reference.name)
            if known is None:
                inner = self._registries.repository(reference)
                guard = self._guard(reference.registry)
                pace = self._registries.pace_of(reference.registry)
                speed = pace.bytes if pace is not None else None
                known = MirrorRepository(inner, self._documents, guard, speed)
                self._sources[reference.name] = known
            return known

    def budgets(self, now_s: float) -> dict[str, SeenBudget]:
        """What the registries last said of their pull budgets, those that have one."""
        found = {}
        for host in self._guards:
            quota = self._registries.host(host).quota
            if quota is not None:
                found[host] = SeenBudget(quota.limit, quota.remaining, quota.window_s, now_s)
        return found

    def _guard(self, host: str) -> PullGuard:
        if host not in self._guards:
            settings = self._config.hosts.get(host)
            floor = settings.pulls_floor if settings is not None else None
            registry = self._registries.host(host)
            self._guards[host] = PullGuard(host, lambda: registry.quota, floor)
        return self._guards[host]
