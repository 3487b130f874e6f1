"""The numbers and the PAX records of tar headers. Pure, and strict: see `tar_index`."""

from __future__ import annotations

from typing import Final

from imgsync.errors import InvalidArchive

_KNOWN: Final = frozenset({"path", "linkpath", "size"})
"""What changes which bytes a member has. Times, owners and comments are passed over."""


def header_number(field: bytes, what: str) -> int:
    """A number of a header: octal digits, or base 256 where the first bit is set (GNU, star).

    Raises:
        InvalidArchive: neither, or negative.
    """
    if field[0] & 0x80:
        # Bit 6 is the sign.
        if field[0] & 0x40:
            msg = f"{what} is negative"
            raise InvalidArchive(msg)
        value = int.from_bytes(bytes([field[0] & 0x3F]) + field[1:], "big")
        if value >= 2**63:
            msg = f"{what} is {value}"
            raise InvalidArchive(msg)
        return value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        msg = f"{what} is {ascii(field)[1:]}, octal digits expected"
        raise InvalidArchive(msg)
    return int(digits, 8)


def pax_records(data: bytes, where: str, *, is_global: bool) -> dict[str, str]:
    """The records that decide which bytes a member has.

    Raises:
        InvalidArchive: not ``LENGTH KEY=VALUE`` and a line end; a sparse file; a name or size
            for all members at once; not UTF-8; the same key twice.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(data):
        blank = data.find(b" ", position, position + 20)
        digits = data[position:blank] if blank > 0 else b""
        if not digits.isdigit() or digits.startswith(b"0"):
            msg = f"{where} has a record without a length"
            raise InvalidArchive(msg)
        end = position + int(digits)
        record = data[blank + 1 : end]
        if end > len(data) or end <= blank + 1 or not record.endswith(b"\n"):
            msg = f"{where} has a record of a wrong length"
            raise InvalidArchive(msg)
        key, equals, value = record[:-1].partition(b"=")
        if not equals or not key:
            msg = f"{where} has a record without a key"
            raise InvalidArchive(msg)
        _take(key, value, where, found)
        position = end
    if is_global and found:
        msg = f"{where} sets the {next(iter(found))} of all members"
        raise InvalidArchive(msg)
    return found


def _take(key: bytes, value: bytes, where: str, found: dict[str, str]) -> None:
    if key.startswith(b"GNU.sparse"):
        msg = f"{where} makes a sparse file"
        raise InvalidArchive(msg)
    name = key.decode("ascii", "replace")
    if name not in _KNOWN:
        return
    if name in found:
        msg = f"{where} has the {name} twice"
        raise InvalidArchive(msg)
    try:
        found[name] = value.decode("utf-8")
    except UnicodeDecodeError:
        msg = f"{where} has a {name} that is not UTF-8"
        raise InvalidArchive(msg) from None
