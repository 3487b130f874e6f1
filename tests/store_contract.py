"""What every store must do, whatever it is made of; see `imgsync.stores`.

A store's test file subclasses these, and gives the fixture ``store``:

    class TestMemory(DestinationContract, HoldingContract):
        @pytest.fixture
        def store(self) -> Memory:
            return Memory()

`Both` is a store that is read from and written to. A store with names of one repository only
overrides ``reference``.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Protocol

import pytest

from imgsync.content import Readable, VerifiedStream, read_verified
from imgsync.errors import ContentError, DigestMismatch, NetworkError, NotFound, SizeMismatch
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.manifest import describe
from imgsync.model.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from imgsync.model.reference import Reference
from imgsync.model.strict_json import canonical
from imgsync.stores import Destination, Holding, Resuming, Source

if TYPE_CHECKING:
    from collections.abc import Iterable


class Both(Source, Destination, Protocol):
    """A store that is read from and written to."""


def blob(data: bytes, media_type: str = OCI_LAYER, algorithm: str = "sha256") -> Descriptor:
    """The descriptor of these bytes."""
    return Descriptor(media_type, Digest.of(data, algorithm), len(data))


def put(store: Destination, descriptor: Descriptor, data: bytes) -> None:
    """Let the store have the bytes, as the engine does."""
    with VerifiedStream(io.BytesIO(data), descriptor) as stream:
        store.put(descriptor, stream)


def put_image(store: Destination, seed: bytes = b"") -> tuple[Descriptor, list[Descriptor]]:
    """A small image, children first: the manifest, and all that it is made of."""
    config = blob(b"{}" + seed, OCI_CONFIG)
    layer = blob(b"layer" + seed)
    put(store, config, b"{}" + seed)
    put(store, layer, b"layer" + seed)
    raw = canonical(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.to_json(),
            "layers": [layer.to_json()],
        }
    )
    root = describe(raw)
    put(store, root, raw)
    return root, [config, layer, root]


class _Cut(io.RawIOBase):
    """A stream that fails after some bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._left = data

    def read(self, size: int = -1, /) -> bytes:
        if not self._left:
            msg = "the line is dead"
            raise NetworkError(msg)
        part, self._left = self._left[:size], self._left[size:]
        return part


class DestinationContract:
    """For stores that are both a Source and a Destination."""

    @pytest.fixture
    def reference(self) -> Reference:
        """A name that the store can have."""
        return Reference.parse("registry.example/team/app:1")

    @pytest.mark.parametrize("size", [0, 1, 511, 512, 300_000])
    def test_what_was_put_is_read(self, store: Both, size: int) -> None:
        data = bytes(range(256)) * (size // 256 + 1)
        data = data[:size]
        descriptor = blob(data)
        assert store.missing([descriptor]) == {descriptor.digest}
        put(store, descriptor, data)
        assert store.missing([descriptor]) == set()
        assert read_verified(store.open(descriptor), descriptor) == data

    def test_reading_starts_where_it_is_asked_to(self, store: Both) -> None:
        data = bytes(range(256)) * 10
        put(store, blob(data), data)
        for offset in (0, 1, 255, 2559):
            assert _all(store.open(blob(data), offset)) == data[offset:]

    def test_putting_again_is_harmless(self, store: Both) -> None:
        data = b"again and again"
        put(store, blob(data), data)
        put(store, blob(data), data)
        assert read_verified(store.open(blob(data)), blob(data)) == data

    def test_what_was_not_put_is_not_found(self, store: Both) -> None:
        with pytest.raises(NotFound):
            store.open(blob(b"never seen")).read(1)

    def test_missing_answers_for_each(self, store: Both) -> None:
        there, absent = blob(b"there"), blob(b"absent")
        put(store, there, b"there")
        assert store.missing([there, absent, there]) == {absent.digest}
        assert store.missing([]) == set()

    @pytest.mark.parametrize(
        ("sent", "error"),
        [
            (b"other bytes!", DigestMismatch),
            (b"short", SizeMismatch),
            (b"right bytes!and more", SizeMismatch),
            (b"", SizeMismatch),
        ],
    )
    def test_wrong_bytes_are_never_there(
        self, store: Both, sent: bytes, error: type[ContentError]
    ) -> None:
        descriptor = blob(b"right bytes!")
        stream = VerifiedStream(io.BytesIO(sent), descriptor)
        with pytest.raises(error):
            store.put(descriptor, stream)
        assert store.missing([descriptor]) == {descriptor.digest}
        put(store, descriptor, b"right bytes!")
        assert read_verified(store.open(descriptor), descriptor) == b"right bytes!"

    def test_a_stream_that_fails_leaves_nothing_visible(self, store: Both) -> None:
        data = bytes(700_000)
        descriptor = blob(data)
        with pytest.raises(NetworkError):
            store.put(descriptor, VerifiedStream(_Cut(data[:600_000]), descriptor))
        assert store.missing([descriptor]) == {descriptor.digest}

    def test_what_was_kept_is_a_beginning(self, store: Both) -> None:
        if not isinstance(store, Resuming):
            pytest.skip("not a store that keeps beginnings")
        data = bytes(range(256)) * 4000
        descriptor = blob(data)
        assert store.kept(descriptor) is None
        with pytest.raises(NetworkError):
            store.put(descriptor, VerifiedStream(_Cut(data[:900_000]), descriptor))
        kept = store.kept(descriptor)
        if kept is None:
            return
        beginning = _all(kept)
        assert 0 < len(beginning) < len(data)
        assert data.startswith(beginning)
        prefix = store.kept(descriptor)
        rest = io.BytesIO(data[len(beginning) :])
        store.put(descriptor, VerifiedStream(rest, descriptor, prefix=prefix))
        assert read_verified(store.open(descriptor), descriptor) == data
        assert store.kept(descriptor) is None

    def test_a_name_means_its_root_and_can_mean_another(
        self, store: Both, reference: Reference
    ) -> None:
        with pytest.raises(NotFound):
            store.resolve(reference)
        first, _ = put_image(store, b"1")
        store.name(reference, first)
        assert store.resolve(reference).descriptor == first
        second, _ = put_image(store, b"2")
        store.name(reference, second)
        resolved = store.resolve(reference)
        assert resolved.descriptor == second
        assert resolved.raw is None or Digest.of(resolved.raw) == second.digest

    def test_many_threads_at_once(self, store: Both) -> None:
        blobs = {blob(data): data for data in (bytes([n]) * 50_000 for n in range(16))}
        failures: list[BaseException] = []

        def work(share: Iterable[Descriptor]) -> None:
            try:
                for descriptor in share:
                    put(store, descriptor, blobs[descriptor])
                    assert read_verified(store.open(descriptor), descriptor) == blobs[descriptor]
            except BaseException as error:  # noqa: BLE001 - shown by the assertion below
                failures.append(error)

        every = sorted(blobs, key=lambda item: item.digest)
        threads = [threading.Thread(target=work, args=(every[n::2],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert store.missing(every) == set()


class HoldingContract:
    """For stores that also know all that they hold."""

    def test_it_tells_its_names(self, store: BothAndHolding) -> None:
        assert store.bundle().roots == ()
        root, _ = put_image(store)
        one = Reference.parse("registry.example/team/app:1")
        two = Reference.parse("registry.example/team/app:2")
        store.name(one, root)
        store.name(two, root)
        bundle = store.bundle()
        assert {(item.name, item.descriptor) for item in bundle.roots} == {(one, root), (two, root)}
        assert bundle.absent == {}

    def test_a_digest_decides_before_the_tag(self, store: BothAndHolding) -> None:
        root, _ = put_image(store)
        name = Reference.parse("registry.example/team/app:1")
        store.name(name, root)
        assert store.resolve(name.at(root.digest)).descriptor == root
        with pytest.raises(NotFound):
            store.resolve(Reference.parse(f"registry.example/team/app:1@{Digest.of(b'other')}"))


class BothAndHolding(Both, Holding, Protocol):
    """A store of all three kinds."""


def _all(stream: Readable) -> bytes:
    parts = []
    while part := stream.read(100_000):
        parts.append(part)
    stream.close()
    return b"".join(parts)
