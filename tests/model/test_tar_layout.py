"""The planned tar: the standard library reads it, and every byte of it is accounted for."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.documents import reader_of
from imgsync.model.bundle import Bundle, Root
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.lock import Lock
from imgsync.model.reference import Reference
from imgsync.model.tar_header import END_OF_ARCHIVE, header_bytes, padding, tar_header
from imgsync.model.tar_layout import tar_layout
from imgsync.walk import walk
from tests.bundling.stores import memory_of
from tests.images import Images

GIB = 1024**3


@given(
    name=st.text("abc/._-", min_size=1, max_size=300),
    size=st.sampled_from([0, 1, 511, 512, 513, 8 * GIB - 1, 8 * GIB, 9000 * GIB]),
)
def test_the_standard_library_reads_our_headers(name: str, size: int) -> None:
    header = tar_header(name, size)
    assert len(header) % 512 == 0
    assert len(header) == header_bytes(name, size)
    with tarfile.open(fileobj=io.BytesIO(header + END_OF_ARCHIVE), mode="r:") as archive:
        member = archive.next()
    assert member is not None
    assert (member.name, member.size) == (name.rstrip("/"), size) or name.endswith("/")
    assert (member.mode, member.uid, member.gid, member.mtime) == (0o644, 0, 0, 0)
    assert (member.uname, member.gname) == ("", "")


@pytest.mark.parametrize(("size", "zeros"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_data_is_padded_to_blocks(size: int, zeros: int) -> None:
    assert padding(size) == zeros


def test_headers_are_these_bytes_for_ever() -> None:
    plain = tar_header("blobs/sha256/" + "0" * 64, 1234)
    assert Digest.of(plain).hex[:16] == "78a972fd5750309c"
    large = tar_header("blobs/sha512/" + "0" * 128, 9 * GIB)
    assert Digest.of(large).hex[:16] == "7ddbb0c64e6502eb"


def lock_of(images: Images) -> Lock:
    roots = tuple(
        Root(Reference.parse(name), Descriptor.from_json(root))
        for name, root in images.names.items()
    )
    graph = walk([root.descriptor for root in roots], reader_of(memory_of(images)))
    return Lock.make(Bundle(roots), graph)


def test_members_follow_each_other_without_a_gap(fixture_images: Images) -> None:
    layout = tar_layout(lock_of(fixture_images))
    offset = 0
    for member in layout.members:
        assert member.offset == offset
        assert member.data_offset == offset + len(member.header)
        offset = member.end
    assert layout.size == offset + len(END_OF_ARCHIVE)
    names = [member.name for member in layout.members]
    assert len(set(names)) == len(names)
    assert names[-3:] == ["oci-layout", "manifest.json", "index.json"]


def test_documents_come_before_blobs(fixture_images: Images) -> None:
    layout = tar_layout(lock_of(fixture_images))
    kinds = [item.descriptor.is_document for item in layout.members[1:] if item.descriptor]
    assert kinds == sorted(kinds, reverse=True)
