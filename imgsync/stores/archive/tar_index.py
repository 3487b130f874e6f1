"""The index of a tar: which members it has and where their bytes stand. Nothing is extracted.

A hostile tar can only hurt whoever writes its members somewhere, or believes its numbers. So this
reads headers alone, resolves links inside its own table, and refuses what two tools would read in
two ways: `InvalidArchive` is the only answer to anything doubtful. It reads each header once and
each step goes forward, so it ends.

Headers: POSIX.1-2017 pax ("ustar Interchange Format", "pax Header Block") and GNU tar
("Basic Tar Format"). `imgsync.model.tar_header` writes ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from imgsync.errors import InvalidArchive
from imgsync.model.tar_header import BLOCK_BYTES, padding
from imgsync.stores.archive.tar_names import is_inside, link_target, member_name
from imgsync.stores.archive.tar_records import header_number, pax_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgsync.stores.files import ByPosition

MAX_MEMBERS: Final = 1_000_000
MAX_EXTENDED_BYTES: Final = 1024 * 1024
"""Of a PAX header or a GNU long name; the limit of Go's archive/tar."""
_ZEROS: Final = bytes(BLOCK_BYTES)


class Kind(Enum):
    """What a member is; devices, pipes and sparse files are refused."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symbolic link"
    HARDLINK = "hard link"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member: its normalised name, and where its data stands (bytes)."""

    name: str
    kind: Kind
    header_offset: int
    data_offset: int
    size: int
    target: str = ""


@dataclass(slots=True)
class TarIndex:
    """All members by name, in the order of the archive.

    Attributes:
        end: where the zeros stand that end the archive, or where it ends without them.
        has_end: whether both blocks of zeros are there.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    end: int = 0
    has_end: bool = False

    def file(self, name: str) -> Entry | None:
        """The member that holds the content of this name, through links; None if there is none.

        Raises:
            InvalidArchive: links that lead in a circle, or nowhere.
        """
        entry = self.entries.get(name)
        seen = {name}
        while entry is not None and entry.kind in {Kind.SYMLINK, Kind.HARDLINK}:
            target = entry.target
            if target in seen:
                msg = f"the links of member {name!r} lead in a circle"
                raise InvalidArchive(msg)
            seen.add(target)
            entry = self.entries.get(target)
            if entry is None:
                msg = f"member {name!r} is a link to {target!r}, which is not in the archive"
                raise InvalidArchive(msg)
        return entry if entry is not None and entry.kind is Kind.FILE else None


def index_tar(file: ByPosition) -> TarIndex:
    """Read all headers of a tar.

    Raises:
        InvalidArchive: it is no tar, is cut off, or has members that a bundle of images never
            has; the message names the member or its offset.
    """
    try:
        return _Parser(file).parse()
    except InvalidArchive as error:
        error.message = f"{file.side}: {error.message.removeprefix(f'{file.side}: ')}"
        error.hint = error.hint or _advice(file)
        error.args = (error.message,)
        raise


def _advice(file: ByPosition) -> str:
    if file.read_at(0, 1) == b"{":
        return "it is JSON: of NAME.tar.lock.json the bundle is NAME.tar"
    return "the file is damaged or was not made for images; get it again"


class _Parser:
    def __init__(self, file: ByPosition) -> None:
        self._file = file
        self._index = TarIndex()
        self._window = b""
        self._window_offset = 0
        self._extended: dict[str, str] = {}

    def parse(self) -> TarIndex:
        offset = 0
        while True:
            block = self._block(offset)
            if block is None or block == _ZEROS:
                self._end(offset, has_zeros=block is not None)
                return self._index
            offset = self._member(offset, block)

    def _block(self, offset: int) -> bytes | None:
        """The block at an offset, or None at the end of the file."""
        if offset + BLOCK_BYTES > self._file.size:
            if offset < self._file.size and not self._index.entries:
                msg = "not a tar archive"
                raise InvalidArchive(msg)
            if offset < self._file.size:
                msg = f"the archive is cut off within a header, at byte {self._file.size}"
                raise InvalidArchive(msg)
            return None
        start = offset - self._window_offset
        if not 0 <= start <= len(self._window) - BLOCK_BYTES:
            self._window = self._file.window(offset)
            self._window_offset, start = offset, 0
        block = self._window[start : start + BLOCK_BYTES]
        if len(block) < BLOCK_BYTES:
            msg = f"the archive is cut off at byte {offset + len(block)}"
            raise InvalidArchive(msg)
        return block

    def _end(self, offset: int, *, has_zeros: bool) -> None:
        if self._extended:
            msg = "the archive ends behind an extended header, without the member it is for"
            raise InvalidArchive(msg)
        if offset == 0 and not has_zeros:
            msg = "the file is empty"
            raise InvalidArchive(msg)
        second = self._block(offset + BLOCK_BYTES) if has_zeros else None
        if second is not None and second != _ZEROS:
            # Python's tarfile ends here, Go's archive/tar stops with an error, GNU tar goes on.
            msg = f"a single block of zeros stands at byte {offset}, and more behind it"
            raise InvalidArchive(msg)
        self._index.end = offset
        self._index.has_end = second is not None
        self._check_parents()

    def _member(self, offset: int, block: bytes) -> int:
        """Take in the member whose header is ``block``; where the next one starts."""
        _check_sum(block, offset)
        kind = block[156:157]
        size = header_number(block[124:136], f"the size of the member at byte {offset}")
        data_offset = offset + BLOCK_BYTES
        if kind in b"xgLK":
            return self._extension(kind, data_offset, size)
        extended, self._extended = self._extended, {}
        if "size" in extended:
            size = _pax_size(extended["size"], offset)
        raw = extended.get("path")
        name = member_name(raw if raw is not None else _ustar_name(block, offset))
        entry = self._entry(name, kind, block, extended, (offset, data_offset, size))
        if not _fits(entry, self._file.size):
            msg = (
                f"member {entry.name!r} has {entry.size} bytes, and the archive ends before: "
                "it is cut off, or the size is a lie"
            )
            raise InvalidArchive(msg)
        self._add(entry)
        # The last member's padding may be absent; the next block is then the end of the file.
        return min(data_offset + entry.size + padding(entry.size), self._file.size)

    def _extension(self, kind: bytes, data_offset: int, size: int) -> int:
        if size > MAX_EXTENDED_BYTES:
            msg = f"the extended header at byte {data_offset - BLOCK_BYTES} has {size} bytes"
            raise InvalidArchive(msg)
        data = self._file.read_at(data_offset, size)
        if len(data) < size:
            msg = f"the archive is cut off within an extended header, at byte {self._file.size}"
            raise InvalidArchive(msg)
        where = f"the extended header at byte {data_offset - BLOCK_BYTES}"
        if kind in b"LK":
            key = "path" if kind == b"L" else "linkpath"
            found = {key: _text(data.split(b"\0", 1)[0], where)}
        else:
            found = pax_records(data, where, is_global=kind == b"g")
        for key, value in found.items():
            if key in self._extended:
                msg = f"{where} says the {key} of a member a second time"
                raise InvalidArchive(msg)
            self._extended[key] = value
        return data_offset + size + padding(size)

    def _entry(
        self,
        name: str,
        kind: bytes,
        block: bytes,
        extended: Mapping[str, str],
        place: tuple[int, int, int],
    ) -> Entry:
        header_offset, data_offset, size = place
        shown = name or "."
        match kind:
            case b"0" | b"\0" | b"7":
                is_folder = kind == b"\0" and _ends_with_slash(block, extended)
                if is_folder and size == 0:
                    return Entry(name, Kind.FOLDER, header_offset, data_offset, 0)
                if not name or _ends_with_slash(block, extended):
                    msg = f"member {shown!r} is a file with the name of a folder"
                    raise InvalidArchive(msg)
                return Entry(name, Kind.FILE, header_offset, data_offset, size)
            case b"5":
                made = Entry(name, Kind.FOLDER, header_offset, data_offset, 0)
            case b"1" | b"2":
                raw = extended.get("linkpath")
                text = raw if raw is not None else _text(_until_nul(block[157:257]), shown)
                is_symlink = kind == b"2"
                target = link_target(name, text, is_symlink=is_symlink)
                link = Kind.SYMLINK if is_symlink else Kind.HARDLINK
                made = Entry(name, link, header_offset, data_offset, 0, target)
            case _:
                msg = f"member {shown!r} is of the type {_TYPES.get(kind, ascii(kind)[1:])}"
                raise InvalidArchive(msg)
        if size:
            msg = f"member {shown!r} is a {made.kind.value} with {size} bytes of data"
            raise InvalidArchive(msg)
        return made

    def _add(self, entry: Entry) -> None:
        entries = self._index.entries
        old = entries.get(entry.name)
        if not entry.name or (
            old is not None and old.kind is Kind.FOLDER and entry.kind is Kind.FOLDER
        ):
            return
        if old is not None:
            msg = f"member {entry.name!r} stands there twice; tools would take different ones"
            raise InvalidArchive(msg)
        if len(entries) >= MAX_MEMBERS:
            msg = f"the archive has more than {MAX_MEMBERS} members"
            raise InvalidArchive(msg)
        entries[entry.name] = entry

    def _check_parents(self) -> None:
        """Nothing stands below a link or a file: a tool that extracts would follow the link."""
        entries = self._index.entries
        odd = {name for name, entry in entries.items() if entry.kind is not Kind.FOLDER}
        inside = is_inside(entries, odd)
        if inside is not None:
            name, parent = inside
            msg = f"member {name!r} stands below {parent!r}, a {entries[parent].kind.value}"
            raise InvalidArchive(msg)


_TYPES: Final = {
    b"3": "character device",
    b"4": "block device",
    b"6": "pipe",
    b"S": "sparse file",
    b"M": "part of a file of several volumes",
    b"V": "volume label",
    b"D": "folder dump",
}


def _check_sum(block: bytes, offset: int) -> None:
    try:
        stored = header_number(block[148:156], "checksum")
    except InvalidArchive:
        stored = -1
    blank = block[:148] + b" " * 8 + block[156:]
    if sum(blank) == stored:
        return
    # Some old tars summed signed bytes.
    if sum(byte - 256 if byte > 127 else byte for byte in blank) == stored:
        return
    what = f"the header at byte {offset} has a wrong checksum"
    msg = what if offset else "not a tar archive"
    raise InvalidArchive(msg)


def _fits(entry: Entry, file_size: int) -> bool:
    return entry.data_offset + entry.size <= file_size


def _ustar_name(block: bytes, offset: int) -> str:
    name = _until_nul(block[:100])
    # Only POSIX headers have a prefix; GNU's ("ustar  \0") keep times in its place.
    prefix = _until_nul(block[345:500]) if block[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name, f"the header at byte {offset}")


def _until_nul(data: bytes) -> bytes:
    return data.split(b"\0", 1)[0]


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        msg = f"{where}: a name is not UTF-8: {ascii(data[:100])[1:]}"
        raise InvalidArchive(msg) from None


def _ends_with_slash(block: bytes, extended: Mapping[str, str]) -> bool:
    raw = extended.get("path")
    return raw.endswith("/") if raw is not None else _until_nul(block[:100]).endswith(b"/")


def _pax_size(text: str, offset: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        msg = f"the member at byte {offset} has the size {text[:40]!r}"
        raise InvalidArchive(msg)
    return int(text)


def is_tar_header(block: bytes) -> bool:
    """Whether a tar could begin with this block: its checksum is right, or it is all zeros."""
    if len(block) < BLOCK_BYTES:
        return False
    try:
        _check_sum(block, 0)
    except InvalidArchive:
        return block == _ZEROS
    return True
