"""Decompression of streams, with bounded memory however much a few bytes claim to be.

Used for layers (their diff_id is the digest of what comes out), for layers within docker-save
archives, and for archives that were compressed as a whole. What it is compressed with is told by
the first bytes, never by a name.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from imgsync.content import CHUNK_BYTES
from imgsync.errors import ContentError
from imgsync.zstd_frames import Frames

if TYPE_CHECKING:
    from imgsync.content import Readable

MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
MAX_WINDOW_BYTES: Final = 128 * 1024 * 1024
"""Of zstd and xz; what their command lines allow without being asked (``--long=27``)."""


def compression_by_magic(first: bytes) -> str:
    """What data is compressed with, by its first 6 bytes; an empty text if it is not."""
    for magic, name in MAGIC.items():
        if first.startswith(magic):
            return name
    # A skippable frame may come first (zstd, "Skippable Frames").
    if len(first) >= 4 and first[1:4] == b"\x2a\x4d\x18" and first[0] & 0xF0 == 0x50:
        return "zstd"
    return ""


class Decompressed(io.RawIOBase):
    """The decompressed bytes of a stream; several members or frames are one."""

    def __init__(self, inner: Readable, compression: str, what: str) -> None:
        """Decompress ``inner``; ``what`` is how errors call the content."""
        super().__init__()
        self._inner = inner
        self._decoder = _decoder(inner, compression, what)
        self._what = what

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most ``size`` bytes (256 KiB if negative); empty at the end alone.

        Raises:
            ContentError: the data is damaged, ends early, or has something behind its end.
        """
        wanted = CHUNK_BYTES if size is None or size < 0 else size
        return self._decoder.read(wanted) if wanted else b""

    def close(self) -> None:
        """Close the inner stream too."""
        if not self.closed:
            self._inner.close()
        super().close()


class _Decoder(Protocol):
    def read(self, size: int) -> bytes: ...


class _Stepper(Protocol):
    """One member of gzip, xz or bzip2 data, in the form that the standard library gives them."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _decoder(inner: Readable, compression: str, what: str) -> _Decoder:
    match compression:
        case "gzip" | "xz" | "bzip2":
            return _Members(inner, compression, what)
        case "zstd":
            return _Zstd(inner, what)
        case _:
            return inner


class _Members:
    """Members one behind the other (RFC 1952, section 2.2; the same in xz and bzip2)."""

    def __init__(self, inner: Readable, compression: str, what: str) -> None:
        self._inner = inner
        self._compression = compression
        self._what = what
        self._stepper = _stepper(compression)
        self._input = b""

    def read(self, size: int) -> bytes:
        while True:
            if self._stepper.eof and not self._next_member():
                return b""
            if self._stepper.needs_input and not self._input:
                self._input = self._inner.read(CHUNK_BYTES)
                if not self._input:
                    msg = f"{self._what}: the {self._compression} data ends early"
                    raise ContentError(msg)
            data, self._input = self._input, b""
            try:
                out = self._stepper.decompress(data, size)
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                msg = f"{self._what} is not valid {self._compression} data: {error}"
                raise ContentError(msg) from None
            if out:
                return out

    def _next_member(self) -> bool:
        rest = self._stepper.unused_data
        while len(rest) < 6:
            more = self._inner.read(CHUNK_BYTES)
            if not more:
                break
            rest += more
        if not rest:
            return False
        if compression_by_magic(rest) != self._compression:
            msg = f"{self._what}: something stands behind the end of its {self._compression} data"
            raise ContentError(msg)
        self._stepper, self._input = _stepper(self._compression), rest
        return True


def _stepper(compression: str) -> _Stepper:
    match compression:
        case "gzip":
            return _Gzip()
        case "xz":
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW_BYTES)
        case _:
            return bz2.BZ2Decompressor()


class _Gzip:
    """zlib's object in the form of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _Zstd:
    """Frames one behind the other. The library is imported when the first one is met."""

    def __init__(self, inner: Readable, what: str) -> None:
        import zstandard  # noqa: PLC0415 - costs as much as a small command, and is rarely needed

        self._error = zstandard.ZstdError
        self._what = what
        self._watched = _Watched(inner)
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._reader = decompressor.stream_reader(
            self._watched,  # type: ignore[arg-type] # nothing but `read` is used
            read_size=CHUNK_BYTES,
            read_across_frames=True,
            closefd=False,
        )

    def read(self, size: int) -> bytes:
        try:
            data = self._reader.read(size)
        except self._error as error:
            msg = f"{self._what} is not valid zstd data: {error}"
            raise ContentError(msg) from None
        if not data and not self._watched.frames.is_complete:
            msg = f"{self._what}: the zstd data ends early"
            raise ContentError(msg)
        return data


class _Watched:
    """The compressed stream, with an eye on where its frames end."""

    def __init__(self, inner: Readable) -> None:
        self._inner = inner
        self.frames = Frames()

    def read(self, size: int) -> bytes:
        data = self._inner.read(size)
        self.frames.feed(data)
        return data
