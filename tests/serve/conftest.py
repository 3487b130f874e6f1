"""A served store: `serve(images)` gives the address of a registry of these images."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import requests

from imgsync.documents import reader_of
from imgsync.serve.catalog import Catalog
from imgsync.serve.server import Server
from imgsync.stores.layout import Layout
from imgsync.walk import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.images import Images

Serve = "Callable[..., Server]"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Serves images out of a layout folder until the test ends."""
    with ExitStack() as stack:

        def start(images: Images, **options: Any) -> Server:
            store = Layout(images.write_layout(tmp_path / "layout"))
            bundle = store.bundle()
            graph = walk([root.descriptor for root in bundle.roots], reader_of(store))
            catalog = Catalog(bundle.roots, graph, options.pop("absent", ()))
            return stack.enter_context(Server(store, catalog, **options))

        yield start


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """A client that keeps its connections."""
    with requests.Session() as session:
        session.trust_env = False
        yield session
