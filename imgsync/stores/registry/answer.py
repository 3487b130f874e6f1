"""Answer: status, headers and the body's bytes, as they came over the wire."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from imgsync.content import CHUNK_BYTES
from imgsync.errors import ContentError, ImgsyncError
from imgsync.stores.registry.wire_errors import FOREIGN, turned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from urllib3 import BaseHTTPResponse

    from imgsync.stores.registry.origin import Origin

_DRAIN_BYTES: Final = 64 * 1024
"""Reading so much is cheaper than a new connection."""

_GATHER_S: Final = 0.2
"""How long a piece may take to become large."""


class Answer:
    """What a server answered. Read it to its end, or close it: both give the connection back.

    ``who`` is the credential that the request went with, for messages.
    """

    __slots__ = ("_broken", "_raw", "headers", "method", "origin", "status", "target", "who")

    def __init__(self, raw: BaseHTTPResponse, method: str, origin: Origin, target: str) -> None:
        self._raw = raw
        self._broken: ImgsyncError | None = None
        self.status = raw.status
        self.headers = raw.headers
        self.method = method
        self.origin = origin
        self.target = target
        self.who = ""
        if method == "HEAD":
            raw.drain_conn()  # there is nothing to read, but that has to be found out

    @property
    def url(self) -> str:
        """What was asked: the base of a relative Location or Link."""
        return f"{self.origin}{self.target}"

    @property
    def length(self) -> int | None:
        """Content-Length in bytes, if it is a number."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def media_type(self) -> str:
        """Content-Type without its parameters."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    def header_lines(self, name: str) -> Sequence[str]:
        """Every line of a header that may come several times."""
        return self.headers.getlist(name)

    def read(self, size: int = CHUNK_BYTES, /) -> bytes:
        """At most ``size`` bytes of the body; empty at its end.

        Waits until they are all there, because large pieces cost the least; but not for long, so
        that behind a slow line the caller sees whether anything moves at all.

        Raises:
            Cut: the connection ended before the body did.
        """
        if self._broken is not None:
            raise self._broken
        data = self._read1(size)
        if not data or len(data) == size:
            return data
        parts, n_left = [data], size - len(data)
        give_up = time.monotonic() + _GATHER_S
        while n_left and time.monotonic() < give_up:
            try:
                part = self._read1(n_left)
            except ImgsyncError as error:
                self._broken = error  # what came before it still counts
                break
            if not part:
                break
            parts.append(part)
            n_left -= len(part)
        return b"".join(parts)

    def _read1(self, size: int) -> bytes:
        try:
            data = self._raw.read1(size, decode_content=False)
        except FOREIGN as error:
            ours = turned(error, self.origin)
            if ours is None:
                raise
            raise ours from error
        if not data:
            self._raw.release_conn()
        return data

    def content(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            ContentError: it is longer than ``limit`` bytes, or encoded; nothing is decoded here,
                because that changes the bytes that a digest is of, and may be a bomb.
            Cut: see `read`.
        """
        self.refuse_encoding()
        parts: list[bytes] = []
        size = 0
        while part := self.read(min(CHUNK_BYTES, limit + 1 - size)):
            parts.append(part)
            size += len(part)
            if size > limit:
                self.close()
                msg = f"{self.origin.authority}: an answer is longer than {limit} bytes"
                raise ContentError(msg)
        return b"".join(parts)

    def excerpt(self, limit: int) -> bytes:
        """The beginning of the body, whatever happens to the rest."""
        data = b""
        with contextlib.suppress(Exception):
            while len(data) < limit and (part := self.read(limit - len(data))):
                data += part
        self.close()
        return data

    def refuse_encoding(self) -> None:
        """Stop where a body was compressed on its way although nobody asked for that.

        Raises:
            ContentError: Content-Encoding is anything but identity.
        """
        encoding = str(self.headers.get("Content-Encoding", "")).strip().lower()
        if encoding not in {"", "identity"}:
            self.close()
            msg = f"{self.origin.authority}: the server answers with Content-Encoding {encoding!r}"
            raise ContentError(msg, hint="a proxy in between compresses; make it leave /v2/ alone")

    def close(self) -> None:
        """Give the connection back if that is cheap, else close it. Harmless twice."""
        raw = self._raw
        length = self.length
        with contextlib.suppress(Exception):
            if length is not None and length <= _DRAIN_BYTES:
                while raw.read1(_DRAIN_BYTES, decode_content=False):
                    pass
        if raw.length_remaining == 0:
            raw.release_conn()
        else:
            raw.close()
            raw.release_conn()
