"""VerifiedStream gives exactly the promised bytes, or fails before the last of them."""

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.content import VerifiedStream, read_verified
from imgsync.errors import DigestMismatch, ImgsyncError, SizeMismatch
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest

DATA = bytes(range(256)) * 5


def descriptor_of(data: bytes, size: int | None = None) -> Descriptor:
    return Descriptor("application/x", Digest.of(data), len(data) if size is None else size)


def whole(stream: VerifiedStream) -> bytes:
    return stream.read()


def byte_by_byte(stream: VerifiedStream) -> bytes:
    return b"".join(iter(lambda: stream.read(1), b""))


def into_buffers(stream: VerifiedStream) -> bytes:
    parts = []
    buffer = bytearray(100)
    while n_bytes := stream.readinto(buffer):
        parts.append(bytes(buffer[:n_bytes]))
    return b"".join(parts)


FEEDS = pytest.mark.parametrize("feed", [whole, byte_by_byte, into_buffers])
Feed = Callable[[VerifiedStream], bytes]


@FEEDS
@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_right_bytes_pass(feed: Feed, data: bytes) -> None:
    passed: list[int] = []
    stream = VerifiedStream(io.BytesIO(data), descriptor_of(data), on_bytes=passed.append)
    assert len(stream) == len(data)
    assert feed(stream) == data
    assert stream.tell() == len(data) == sum(passed)
    assert stream.read(10) == b""


@FEEDS
@pytest.mark.parametrize(
    ("sent", "error", "words"),
    [
        (DATA[:-1], SizeMismatch, "has 1279 bytes, its descriptor says 1280"),
        (DATA + b"x", SizeMismatch, "has more than 1280 bytes"),
        (DATA[:-1] + b"\0", DigestMismatch, "is corrupt: its bytes hash to sha256:"),
        (b"", SizeMismatch, "has 0 bytes"),
    ],
)
def test_wrong_bytes_are_never_finished(
    feed: Feed, sent: bytes, error: type[ImgsyncError], words: str
) -> None:
    got = bytearray()
    stream = VerifiedStream(io.BytesIO(sent), descriptor_of(DATA), side="registry.example/app")

    def keep(inner: VerifiedStream) -> None:
        while chunk := inner.read(7):
            got.extend(chunk)

    with pytest.raises(error, match=words) as raised:
        keep(stream) if feed is byte_by_byte else feed(stream)
    assert raised.value.message.startswith("registry.example/app: blob sha256:")
    assert len(got) < len(DATA)


def test_an_empty_blob_that_is_not_empty_is_found() -> None:
    with pytest.raises(SizeMismatch):
        VerifiedStream(io.BytesIO(b"x"), descriptor_of(b""))


def test_an_empty_blob_under_a_wrong_digest_is_found() -> None:
    with pytest.raises(DigestMismatch):
        VerifiedStream(io.BytesIO(b""), descriptor_of(b"x", size=0))


@given(cut=st.integers(0, len(DATA) - 1))
def test_kept_bytes_are_hashed_and_the_stream_goes_on_behind_them(cut: int) -> None:
    stream = VerifiedStream(
        io.BytesIO(DATA[cut:]), descriptor_of(DATA), prefix=io.BytesIO(DATA[:cut])
    )
    assert stream.tell() == cut
    assert len(stream) == len(DATA) - cut
    assert stream.read() == DATA[cut:]


def test_wrong_kept_bytes_are_found_at_the_end() -> None:
    prefix = io.BytesIO(b"\xff" + DATA[1:100])
    stream = VerifiedStream(io.BytesIO(DATA[100:]), descriptor_of(DATA), prefix=prefix)
    with pytest.raises(DigestMismatch):
        stream.read()


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_only_the_promised_bytes_can_be_read(promised: bytes, sent: bytes) -> None:
    descriptor = descriptor_of(promised)
    if sent == promised:
        assert read_verified(io.BytesIO(sent), descriptor) == promised
    else:
        with pytest.raises((SizeMismatch, DigestMismatch)):
            read_verified(io.BytesIO(sent), descriptor)


def test_sha512_is_proved_too() -> None:
    descriptor = Descriptor("application/x", Digest.of(DATA, "sha512"), len(DATA))
    assert read_verified(io.BytesIO(DATA), descriptor) == DATA
    with pytest.raises(DigestMismatch, match="sha512:"):
        read_verified(io.BytesIO(DATA[::-1]), descriptor)
