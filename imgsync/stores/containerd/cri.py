"""What the kubelet sees: ``ListImages`` of CRI, asked over containerd's own socket.

One call of gRPC is a little of HTTP/2 (RFC 9113) and of protobuf. Only what one call on a
connection of its own needs is here: nothing that the server says in headers is used, so they need
not be decoded, and an answer without a message means that there is no CRI.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS, _PADDED = 1, 1, 4, 8
_STREAM: Final = 1
_WINDOW: Final = 2**30
_MAX_ANSWER: Final = 64 * 2**20
_TIMEOUT_S: Final = 10.0
_METHOD: Final = "/runtime.v1.ImageService/ListImages"


@dataclass(frozen=True, slots=True)
class CriImage:
    """One image, as a kubelet is told of it.

    Attributes:
        id: the digest of its config.
        tags: names by tag, as CRI normalises them.
        digests: names by digest.
        is_pinned: whether the kubelet leaves it alone; 1.6.20 does not say so.
    """

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    is_pinned: bool


def list_images(address: str) -> tuple[CriImage, ...] | None:
    """All images that CRI has in ``k8s.io``; None where nobody answers who speaks it."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(address.removeprefix("unix://"))
            answer = _call(connection, _METHOD)
        return None if answer is None else tuple(parse_images(answer))
    except (OSError, ValueError):
        return None


def parse_images(message: bytes) -> Iterator[CriImage]:
    """The images of a ``ListImagesResponse`` (cri-api, runtime/v1/api.proto).

    Raises:
        ValueError: it is none.
    """
    for field, value in _fields(message):
        if field != 1 or not isinstance(value, bytes):
            continue
        texts: dict[int, list[str]] = {1: [], 2: [], 3: []}
        is_pinned = False
        for number, part in _fields(value):
            if number in texts and isinstance(part, bytes):
                texts[number].append(part.decode(errors="replace"))
            elif number == 8:
                is_pinned = bool(part)
        yield CriImage("".join(texts[1]), tuple(texts[2]), tuple(texts[3]), is_pinned)


def _call(connection: socket.socket, method: str) -> bytes | None:
    """The message that a call without arguments is answered with; None for an error."""
    settings = struct.pack(">HI", 4, _WINDOW)
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    connection.sendall(
        _PREFACE
        + _frame(_SETTINGS, 0, 0, settings)
        + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW))
        + _frame(_HEADERS, _END_HEADERS, _STREAM, _literal(headers))
        + _frame(_DATA, _END_STREAM, _STREAM, struct.pack(">BI", 0, 0))
    )
    body = bytearray()
    with connection.makefile("rb") as stream:
        while True:
            head = _exactly(stream.read(9), 9)
            size, kind, flags, number = (
                int.from_bytes(head[:3]),
                head[3],
                head[4],
                int.from_bytes(head[5:]),
            )
            data = _exactly(stream.read(size), size)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _PING and not flags & _ACK:
                connection.sendall(_frame(_PING, _ACK, 0, data))
            elif kind == _GOAWAY or (kind == _RST_STREAM and number == _STREAM):
                return None
            elif kind == _DATA and number == _STREAM:
                body += data[1 : len(data) - data[0]] if flags & _PADDED else data
                if len(body) > _MAX_ANSWER:
                    return None
            if kind in (_DATA, _HEADERS) and number == _STREAM and flags & _END_STREAM:
                return _message(bytes(body))


def _message(body: bytes) -> bytes | None:
    """The one message of a body: a byte for compression, four for the length, the message."""
    if len(body) < 5 or body[0] != 0 or len(body) - 5 != int.from_bytes(body[1:5]):
        return None
    return body[5:]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(headers: dict[str, str]) -> bytes:
    """Headers without compression: literals that are not indexed (RFC 7541, 6.2.2)."""
    out = bytearray()
    for name, value in headers.items():
        out.append(0)
        for text in (name, value):
            out.append(len(text))
            out += text.encode()
    return bytes(out)


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ConnectionError("the connection ended early")
    return data


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, those of other forms left out."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                number, at = _varint(message, at)
                yield key >> 3, number
            case 1:
                at += 8
            case 2:
                size, at = _varint(message, at)
                if at + size > len(message):
                    raise ValueError("a field ends behind its message")
                yield key >> 3, message[at : at + size]
                at += size
            case 5:
                at += 4
            case _:
                raise ValueError("no protobuf")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
    raise ValueError("a number ends behind its message")
