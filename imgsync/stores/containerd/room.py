"""Whether there is room for what is to come, before anything of it comes.

Refused is only what cannot end well: content that containerd will write as it is, on a file system
that is known to be containerd's, and known to have less. Where anything of that is not known,
nothing is said, and containerd's own error stands. What containers need once images are unpacked
is not counted, because nobody knows it before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imgsync.errors import NoSpace
from imgsync.events import Noted
from imgsync.stores.containerd.parse import parse_content_root

if TYPE_CHECKING:
    from collections.abc import Collection

    from imgsync.events import Report
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.stores.containerd.namespace import Containerd

LEAST_BYTES: Final = 16 * 1024 * 1024
"""Below this nobody looks: it fails as fast as it can be refused."""

KUBELET_PERCENT: Final = 85
"""From here on a kubelet removes images, as it is configured by itself."""

_KUBERNETES: Final = "k8s.io"
_KIB: Final = 1024
_MAY_SHRINK: Final = ("bcachefs", "btrfs", "fuse", "zfs")
"""File systems that compress, or say what they like of their size: these are only warned of."""

_SCRIPT: Final = """\
store=$1
if [ -z "$2" ] && [ ! -e "$store" ]; then
    store=${1%/*}
    [ -e "$store/io.containerd.metadata.v1.bolt/meta.db" ] || exit 1
fi
[ -d "$store" ] && [ -r "$store" ] || exit 1
if [ -n "$2" ]; then
    [ -e "$store/blobs/$2" ] || exit 1
else
    for at in "$1"/blobs/*/*; do [ ! -e "$at" ] || exit 1; done
fi
if [ -d "$store/ingest" ]; then du -sk "$store/ingest"; else echo 0; fi && df -PkT "$store"
"""
"""For a POSIX shell where containerd is. Arguments: its content store, and a blob that must be in
it; so the store of another containerd, of the host of a container, is not taken for it. 1.7 and
2.x make the folder, or the one in it, when the first content comes."""

_DF: Final = re.compile(r"\s(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s+(/.*)")
_DU: Final = re.compile(r"(\d+)\s")


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a content store; amounts are bytes.

    Attributes:
        kind: of the file system.
        mounted: where.
        free: what root may use.
        available: what others may use, by which a kubelet counts.
        ingested: of uploads that were broken off, which go on where they stopped.
    """

    kind: str
    mounted: str
    size: int
    free: int
    available: int
    ingested: int = 0

    @property
    def may_shrink(self) -> bool:
        """Whether content may take less than its size."""
        return self.kind.startswith(_MAY_SHRINK)

    def percent_after(self, n_bytes: int) -> int:
        """How full a kubelet will find it when so many bytes have come."""
        return 100 - 100 * max(0, self.available - n_bytes) // self.size


def check_room(
    containerd: Containerd,
    coming: Collection[Descriptor],
    present: Collection[Digest],
    report: Report,
) -> None:
    """Refuse what cannot be kept; ``present`` is what the namespace has.

    Raises:
        NoSpace: how much is to come, and how much is free where.
    """
    items = {item.digest: item.size for item in coming}
    if sum(items.values()) < LEAST_BYTES:
        return
    elsewhere: set[Digest] = set()
    if not present:
        elsewhere = _of_others(containerd)
    disk = disk_of(containerd, next(iter(present or elsewhere), None))
    if disk is None:
        return
    needed = _needed(items, elsewhere, disk)
    if needed > disk.free and present:
        needed = _needed(items, _of_others(containerd), disk)
    if needed > disk.free:
        words = f"{needed:,} bytes are to come, and {disk.free:,} are free on {disk.mounted}"
        if not disk.may_shrink:
            msg = f"{containerd.side}: {words}; nothing was written"
            hint = "free space there (imgsync rm says what it would free), or bring fewer images"
            raise NoSpace(msg, hint=hint)
        report(Noted(f"{containerd.side}: {words}, which is {disk.kind}", "warning"))
    elif containerd.namespace == _KUBERNETES:
        percent = disk.percent_after(needed)
        if percent > KUBELET_PERCENT:
            text = (
                f"{disk.mounted} will be {percent} % full, before anything is unpacked; "
                f"a kubelet removes images from {KUBELET_PERCENT} % on"
            )
            report(Noted(text, "warning"))


def disk_of(containerd: Containerd, known: Digest | None) -> Disk | None:
    """The file system on which a containerd keeps content, if that can be known.

    ``known`` is content that it has; None where it has none at all.
    """
    root = parse_content_root(containerd.ctr.ended("default", "plugins", "ls", "-d").out)
    if not root:
        return None
    name = f"{known.algorithm}/{known.hex}" if known is not None else ""
    said = containerd.ctr.shell(_SCRIPT, root, name)
    return parse_disk(said.decode(errors="replace")) if said is not None else None


def parse_disk(text: str) -> Disk | None:
    """What ``du -sk`` and ``df -PkT`` said; None where that is nothing to count on. Pure."""
    ingested, found = _DU.match(text), _DF.search(text)
    if ingested is None or found is None:
        return None
    size, used, available = (int(found[number]) * _KIB for number in (2, 3, 4))
    if not size:
        return None
    return Disk(found[1], found[5], size, size - used, available, int(ingested[1]) * _KIB)


def _needed(items: dict[Digest, int], elsewhere: Collection[Digest], disk: Disk) -> int:
    """What is really written: not what another namespace has, nor what came before a break."""
    return sum(size for digest, size in items.items() if digest not in elsewhere) - disk.ingested


def _of_others(containerd: Containerd) -> set[Digest]:
    found: set[Digest] = set()
    for namespace in containerd.namespaces():
        if namespace != containerd.namespace:
            found |= containerd.other(namespace).content.digests()
    return found
