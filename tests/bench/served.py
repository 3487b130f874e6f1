"""A corpus in a registry of its own."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.bench.corpus import fill
from tests.servers.registry import Registry


@dataclass(frozen=True)
class Served:
    """A corpus in a registry: how its images are called there, and what it is."""

    registry: Registry
    names: list[str]
    file: Path
    n_objects: int
    n_bytes: int

    @property
    def digests(self) -> list[str]:
        """What the names mean."""
        places = [name.partition("/")[2].rpartition(":") for name in self.names]
        return [self.registry.tags(repository)[tag] for repository, _, tag in places]


@contextmanager
def serving(corpus: str, folder: Path) -> Iterator[Served]:
    """A registry that holds the corpus, and a list of its images for ``-f``.

    It is filled by a process of its own, which takes the memory of the corpus away with it.
    """
    with Registry() as registry:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            names, n_objects, n_bytes = pool.submit(fill, registry.url, corpus).result()
        file = folder / "images.txt"
        file.write_text("\n".join(names) + "\n")
        registry.forget()
        yield Served(registry, names, file, n_objects, n_bytes)
