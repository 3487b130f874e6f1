"""Sources for the tests of bundling: the memory store, filled, and wrappers that fail."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from imgsync.bundling.request import Request
from imgsync.content import Readable
from imgsync.errors import Unreachable
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.platform import PlatformChoice
from imgsync.model.reference import Reference
from imgsync.stores import Resolved, Source
from imgsync.stores.memory import Memory
from tests.images import Images


def memory_of(images: Images) -> Memory:
    """A memory store that holds all of the images under their names."""
    memory = Memory()
    for digest, data in images.blobs.items():
        memory.blobs[Digest.parse(digest)] = data
    for name, root in images.names.items():
        memory.name(Reference.parse(name), Descriptor.from_json(root))
    return memory


def requests_of(
    source: Source, names: Iterable[str], choice: PlatformChoice | None = None
) -> list[Request]:
    """One request for each name, from one source."""
    return [
        Request(
            name,
            source,
            reference=Reference.parse(name),
            name=Reference.parse(name),
            choice=choice or PlatformChoice(),
        )
        for name in names
    ]


@dataclass
class Counting:
    """Counts how often each content is read from the inner source, and how often it resolves."""

    inner: Source
    opened: Counter[Digest] = field(default_factory=Counter)
    n_resolved: int = 0

    @property
    def side(self) -> str:
        """As the inner source says."""
        return self.inner.side

    def resolve(self, reference: Reference) -> Resolved:
        """Resolve to the descriptor alone, as a HEAD request would."""
        self.n_resolved += 1
        return Resolved(self.inner.resolve(reference).descriptor)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """Count and open."""
        self.opened[descriptor.digest] += 1
        return self.inner.open(descriptor, offset)


@dataclass
class Breaking:
    """Raises `Unreachable` for everything that ``breaks`` says yes to."""

    inner: Source
    breaks: Callable[[Descriptor], bool]

    @property
    def side(self) -> str:
        """As the inner source says."""
        return self.inner.side

    def resolve(self, reference: Reference) -> Resolved:
        """Resolve as the inner source does."""
        return self.inner.resolve(reference)

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """Open, or fail."""
        if self.breaks(descriptor):
            msg = f"{self.side}: no route to host"
            raise Unreachable(msg)
        return self.inner.open(descriptor, offset)
