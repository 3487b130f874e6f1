"""The tar index: what `tarfile` writes is read, and nothing hostile gets through or hangs."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsync.errors import InvalidArchive
from imgsync.model.tar_header import END_OF_ARCHIVE, padding, tar_header
from imgsync.stores.archive.tar_index import Kind, TarIndex, index_tar

Form = Literal[0, 1, 2]
USTAR: Form = 0
GNU: Form = 1
PAX: Form = 2


@dataclass
class Bytes:
    """Bytes by position, with a count of how often they were asked for."""

    data: bytes
    side: str = "test.tar"
    n_reads: int = 0

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, offset: int, size: int) -> bytes:
        self.n_reads += 1
        return self.data[offset : offset + size]

    def section(self, offset: int, size: int) -> io.BytesIO:
        return io.BytesIO(self.read_at(offset, size))

    def window(self, offset: int) -> bytes:
        return self.read_at(offset, 4096)


def index(data: bytes) -> TarIndex:
    file = Bytes(data)
    found = index_tar(file)
    assert file.n_reads <= len(data) // 512 + 4
    return found


def member(
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    link: str = "",
    form: Form = PAX,
    size: int | None = None,
) -> bytes:
    """One member as `tarfile` writes it, with its padding."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data) if size is None else size
    return info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(padding(len(data)))


def header(block: bytes, *changes: tuple[int, bytes]) -> bytes:
    """A header with other bytes at some offsets, and the checksum set right."""
    changed = bytearray(block[:512])
    for offset, data in changes:
        changed[offset : offset + len(data)] = data
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed) + block[512:]


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    """An extended header."""
    return header(member("PaxHeaders/x", records), (156, kind))


def record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


END = END_OF_ARCHIVE


@pytest.mark.parametrize("form", [USTAR, GNU, PAX])
def test_what_tarfile_writes_is_read(form: Form) -> None:
    names = ["a", "dir/b", "d" * 90 + "/" + "e" * 90, "ä/ö", "empty"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for number, name in enumerate(names):
            info = tarfile.TarInfo(name)
            info.size = number * 300
            archive.addfile(info, io.BytesIO(bytes([number]) * info.size))
    data = buffer.getvalue()
    found = index(data)
    assert list(found.entries) == names
    for number, entry in enumerate(found.entries.values()):
        content = data[entry.data_offset : entry.data_offset + entry.size]
        assert content == bytes([number]) * number * 300
    assert found.has_end
    assert data[found.end :].strip(b"\0") == b""


@pytest.mark.parametrize("form", [GNU, PAX])
def test_names_longer_than_a_header_are_read(form: Form) -> None:
    long = "/".join(["part" * 10] * 20)
    data = member(long, b"x", form=form) + member(
        "link", kind=tarfile.SYMTYPE, link=long, form=form
    )
    found = index(data + END)
    entry = found.file("link")
    assert entry is not None
    assert entry.name == long


def test_what_imgsync_writes_is_read() -> None:
    name = "blobs/sha512/" + "0" * 128
    assert index(tar_header(name, 1) + b"x" + bytes(511) + END).entries[name].size == 1


def test_sizes_beyond_eight_gibibytes_are_read() -> None:
    class Huge(Bytes):
        @property
        def size(self) -> int:
            return len(self.data) + 2**33

        def read_at(self, offset: int, size: int) -> bytes:
            if offset > len(first):
                offset -= 2**33
            return self.data[offset : offset + size]

    for form in (GNU, PAX):
        first = member("huge", form=form, size=2**33)
        found = index_tar(Huge(first + member("next", b"data") + END))
        assert found.entries["huge"].size == 2**33
        assert found.entries["next"].size == 4


def test_names_are_normalised() -> None:
    data = member("./", kind=tarfile.DIRTYPE) + member("./a//./b", b"x") + member("c/", kind=b"5")
    assert list(index(data + END).entries) == ["a/b", "c"]


def test_an_archive_of_1979_has_folders_by_name() -> None:
    old = header(member("dir/x"), (0, b"dir/" + bytes(8)), (156, b"\0"), (257, bytes(8)))
    assert index(old + END).entries["dir"].kind is Kind.FOLDER


def test_folders_may_stand_there_twice() -> None:
    folder = member("a", kind=tarfile.DIRTYPE)
    assert list(index(folder + folder + END).entries) == ["a"]


def test_a_missing_end_is_told() -> None:
    assert not index(member("a", b"x")).has_end
    assert not index(member("a", b"x") + bytes(512)).has_end
    assert not index(member("a", b"x" * 512)[:1024]).has_end
    assert not index(member("a", b"x")[:513]).has_end
    assert index(member("a", b"x") + END + bytes(8192)).has_end


def test_names_that_only_look_alike_are_different() -> None:
    names = ["é", "e\u0301", "A", "a", "blobs/sha256/a", "blobs/SHA256/a"]
    assert list(index(b"".join(member(name) for name in names) + END).entries) == names


def test_links_are_followed_within_the_archive() -> None:
    data = (
        member("one/layer.tar", b"layer")
        + member("two/layer.tar", kind=tarfile.SYMTYPE, link="../one/layer.tar")
        + member("three", kind=tarfile.LNKTYPE, link="./two/layer.tar")
        + END
    )
    entry = index(data).file("three")
    assert entry is not None
    assert entry.name == "one/layer.tar"
    assert index(data).file("absent") is None


def test_links_in_a_circle_are_refused() -> None:
    data = member("a", kind=tarfile.SYMTYPE, link="b") + member("b", kind=tarfile.LNKTYPE, link="a")
    with pytest.raises(InvalidArchive, match="circle"):
        index(data + END).file("a")
    with pytest.raises(InvalidArchive, match="circle"):
        index(member("a", kind=tarfile.SYMTYPE, link="a") + END).file("a")


def test_a_link_to_nothing_is_refused_when_it_is_needed() -> None:
    found = index(member("a", kind=tarfile.SYMTYPE, link="b") + END)
    with pytest.raises(InvalidArchive, match="not in the archive"):
        found.file("a")


def test_a_long_chain_of_links_ends() -> None:
    links = [member(f"l{n}", kind=tarfile.SYMTYPE, link=f"l{n + 1}") for n in range(3000)]
    entry = index(b"".join(links) + member("l3000", b"x") + END).file("l0")
    assert entry is not None
    assert entry.name == "l3000"


SYM, LNK = tarfile.SYMTYPE, tarfile.LNKTYPE
FILE = member("a", b"x")

HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "short": (b"short", "not a tar"),
    "text": (b"text " * 1000, "not a tar"),
    "absolute": (member("/etc/passwd", b"x"), "absolute"),
    "double slash": (member("//etc/passwd", b"x"), "absolute"),
    "leads out": (member("../x", b"x"), "leads out"),
    "leads out in the middle": (member("a/../../x", b"x"), "leads out"),
    "dot dot that stays inside": (member("a/../x", b"x"), "leads out"),
    "backslash": (member("a\\..\\x", b"x"), "something else"),
    "drive": (member("C:/x", b"x"), "something else"),
    "control": (member("a\x1b[2J", b"x"), "something else"),
    "NUL in PAX": (pax(record(b"path", b"a\0b")) + FILE, "something else"),
    "empty name": (header(FILE, (0, b"\0")), "empty name"),
    "file named dot": (member(".", b"x"), "name of a folder"),
    "file with a slash": (header(member("ab"), (0, b"a/")), "name of a folder"),
    "deep": (member("/".join(["d"] * 300), b"x"), "too long"),
    "long": (member("n" * 5000, b"x"), "too long"),
    "not UTF-8": (header(FILE, (0, b"\xff\xfe")), "not UTF-8"),
    "PAX name not UTF-8": (pax(record(b"path", b"\xff")) + FILE, "not UTF-8"),
    "twice": (FILE + member("./a", b"y"), "twice"),
    "file and link": (FILE + member("a", kind=SYM, link="b"), "twice"),
    "file and folder": (FILE + member("a", kind=b"5"), "twice"),
    "below a link": (member("d", kind=SYM, link="e") + member("d/x", b"x"), "stands below"),
    "below a link, before it": (member("d/e/x", b"x") + member("d", kind=SYM, link="e"), "below"),
    "below a file": (FILE + member("a/b", b"x"), "stands below"),
    "absolute link": (member("a", kind=SYM, link="/etc/passwd"), "out of the archive"),
    "link out": (member("a/b", kind=SYM, link="../../x"), "out of the archive"),
    "link to nothing": (member("a", kind=SYM, link=""), "out of the archive"),
    "link to the root": (member("a/b", kind=SYM, link=".."), "own folder"),
    "hard link out": (member("a", kind=LNK, link="../x"), "leads out"),
    "absolute hard link": (member("a", kind=LNK, link="/x"), "absolute"),
    "link named dot": (member(".", kind=SYM, link="x"), "own folder is a link"),
    "link named slash": (member("/", kind=SYM, link="x"), "absolute"),
    "link with data": (member("a", b"data", kind=SYM, link="b"), "bytes of data"),
    "folder with data": (member("a", b"data", kind=b"5"), "bytes of data"),
    "character device": (member("a", kind=tarfile.CHRTYPE), "character device"),
    "block device": (member("a", kind=tarfile.BLKTYPE), "block device"),
    "pipe": (member("a", kind=tarfile.FIFOTYPE), "pipe"),
    "sparse": (member("a", kind=tarfile.GNUTYPE_SPARSE), "sparse"),
    "PAX sparse": (pax(record(b"GNU.sparse.major", b"1")) + FILE, "sparse"),
    "unknown type": (member("a", kind=b"Z"), "of the type"),
    "negative size": (header(FILE, (124, b"\xff" * 12)), "negative"),
    "huge size": (header(FILE, (124, b"\x80" + b"\xff" * 11)), "is 3094"),
    "size past the end": (header(FILE, (124, b"77777777777\0")), "cut off"),
    "base 256 past the end": (header(FILE, (124, b"\x80" + bytes(6) + b"\1" * 5)), "cut off"),
    "size no number": (header(FILE, (124, b"-0000000001\0")), "octal"),
    "PAX size": (pax(record(b"size", b"99999")) + FILE, "cut off"),
    "PAX size negative": (pax(record(b"size", b"-1")) + FILE, "has the size"),
    "PAX size huge": (pax(record(b"size", b"9" * 30)) + FILE, "has the size"),
    "PAX size not ASCII": (pax(record(b"size", "\u0661".encode())) + FILE, "has the size"),
    "PAX size twice": (pax(record(b"size", b"1") * 2) + FILE, "twice"),
    "two PAX headers": (pax(record(b"path", b"b")) * 2 + FILE, "second time"),
    "PAX and GNU name": (
        pax(record(b"path", b"b")) + header(member("L", b"c\0"), (156, b"L")) + FILE,
        "second time",
    ),
    "PAX for all": (pax(record(b"path", b"b"), b"g") + FILE, "of all members"),
    "PAX without length": (pax(b"path=b\n") + FILE, "without a length"),
    "PAX length zero": (pax(b"0 path=b\n") + FILE, "without a length"),
    "PAX length too long": (pax(b"99 path=b\n") + FILE, "wrong length"),
    "PAX length too short": (pax(b"3 path=b\n") + FILE, "wrong length"),
    "PAX without key": (pax(b"6 xyz\n") + FILE, "without a key"),
    "PAX of two mebibytes": (pax(bytes(2**21)) + FILE, "2097152 bytes"),
    "PAX at the end": (pax(record(b"path", b"b")), "without the member"),
    "PAX cut off": (pax(record(b"path", b"b" * 600))[:700], "cut off"),
    "GNU name cut off": (header(member("L", b"c" * 600), (156, b"L"))[:700], "cut off"),
    "bad checksum": (FILE + b"\1" + FILE[1:], "checksum"),
    "cut within a header": (FILE + FILE[:100], "cut off within a header"),
    "cut within data": (member("a", bytes(5000))[:2000], "cut off"),
    "one block of zeros, then more": (FILE + bytes(512) + member("b", b"x"), "single block"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(case: str) -> None:
    data, problem = HOSTILE[case]
    if "end" not in case and "cut" not in case and case not in {"empty", "short"}:
        data += END
    with pytest.raises(InvalidArchive) as caught:
        index(data)
    assert problem in caught.value.message
    assert caught.value.message.startswith("test.tar: ")
    assert caught.value.hint
    assert caught.value.message.isprintable()


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgsync.stores.archive.tar_index.MAX_MEMBERS", 3)
    with pytest.raises(InvalidArchive, match="more than 3 members"):
        index(b"".join(member(str(n)) for n in range(4)) + END)


def test_every_cut_is_survived() -> None:
    data = member("a/" + "b" * 150, b"x" * 700) + member("l", kind=SYM, link="a") + END
    for length in range(len(data)):
        try:
            found = index(data[:length])
        except InvalidArchive:
            continue
        assert not found.has_end or length >= len(data)


@given(st.binary(max_size=4096))
def test_any_bytes_give_an_index_or_our_error(data: bytes) -> None:
    with suppress(InvalidArchive):
        index(data)


_VALID = (
    pax(record(b"path", b"p" * 120) + record(b"comment", b"c"))
    + FILE
    + member("g" * 120, b"data", form=GNU)
    + member("d", kind=b"5")
    + member("d/l", kind=SYM, link="../q")
    + END
)


@settings(max_examples=500)
@given(st.data())
def test_any_damage_gives_an_index_or_our_error(data: st.DataObject) -> None:
    damaged = bytearray(_VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        offset = data.draw(st.integers(0, len(damaged) - 1))
        damaged[offset] = data.draw(st.integers(0, 255))
    blocks = [damaged[at : at + 512] for at in range(0, len(damaged), 512)]
    if data.draw(st.booleans()):
        # With right checksums, so that the damage comes through to what is behind them.
        blocks = [_summed(block) if any(block[257:262]) else block for block in blocks]
    try:
        found = index(b"".join(blocks))
    except InvalidArchive:
        return
    for entry in found.entries.values():
        assert 0 <= entry.data_offset <= entry.data_offset + entry.size <= len(damaged)
        assert ".." not in entry.name.split("/")


def _summed(block: bytearray) -> bytearray:
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return block
