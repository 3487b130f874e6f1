"""The tar headers that imgsync writes: USTAR where it fits, else PAX, the same on every host.

The standard library's ``tarfile`` would do, but its bytes are its own affair and may change with
Python; a bundle's must not (``docs/format.md``). POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

from typing import Final

BLOCK_BYTES: Final = 512
END_OF_ARCHIVE: Final = bytes(2 * BLOCK_BYTES)
_NAME_BYTES: Final = 100
_SIZE_LIMIT: Final = 8**11
"""From here on a size does not fit into eleven octal digits (8 GiB)."""


def padding(size: int) -> int:
    """How many zeros follow data of ``size`` bytes, up to the next block."""
    return -size % BLOCK_BYTES


def tar_header(name: str, size: int) -> bytes:
    """Everything that stands before a member's data: one block, or three with a PAX header."""
    records = b""
    encoded = name.encode()
    if len(encoded) > _NAME_BYTES:
        records += _pax_record(b"path", encoded)
    if size >= _SIZE_LIMIT:
        records += _pax_record(b"size", str(size).encode())
    plain = _block(encoded[:_NAME_BYTES], size if size < _SIZE_LIMIT else 0, b"0")
    if not records:
        return plain
    extended = _block(b"PaxHeaders/" + encoded[:80], len(records), b"x")
    return extended + records + bytes(padding(len(records))) + plain


def header_bytes(name: str, size: int) -> int:
    """The length of `tar_header`, without making it."""
    if len(name.encode()) <= _NAME_BYTES and size < _SIZE_LIMIT:
        return BLOCK_BYTES
    return len(tar_header(name, size))


def _pax_record(key: bytes, value: bytes) -> bytes:
    # "%d %s=%s\n", where the number counts its own digits too
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    block = bytearray(BLOCK_BYTES)
    block[0 : len(name)] = name
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
