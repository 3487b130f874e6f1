"""Repository, against a real registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imgsync.model.reference import Reference
from imgsync.stores import Destination, Mounting, Source
from imgsync.stores.registry.registries import Registries
from imgsync.stores.registry.repository import Repository
from tests.store_contract import DestinationContract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.registry import Registry


def _is_typed(repository: Repository) -> tuple[Source, Destination, Mounting]:
    return repository, repository, repository


class TestRepository(DestinationContract):
    @pytest.fixture
    def reference(self, registry: Registry, repository: str) -> Reference:
        return Reference.parse(f"{registry.host}/{repository}:1")

    @pytest.fixture
    def store(self, reference: Reference) -> Iterator[Repository]:
        with Registries(environ={}) as registries:
            yield registries.repository(reference)
