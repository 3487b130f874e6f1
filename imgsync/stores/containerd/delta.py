"""The archive of just what is missing, as ``ctr images import`` takes it. Pure.

- ``oci-layout`` and ``index.json`` come last, so that an archive that stops names no image.
- Members are called ``x-<nonce>/<hex>``: containerd goes on with what it has of a member of the
  same name, and a run that was killed would damage the next one for 24 hours.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgsync.model.bundle_files import ANNOTATION_CONTAINERD_NAME, OCI_LAYOUT_FILE
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.strict_json import canonical
from imgsync.model.tar_header import END_OF_ARCHIVE, padding, tar_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgsync.model.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class Delta:
    """What one archive brings.

    Attributes:
        names: the records to make, each with its root.
        blobs: the content, children first.
        platform: the one that containerd looks at, which is what an image needs whose other
            manifests are nowhere; else empty: what is said of one platform evicts the others (1.x).
    """

    names: Mapping[str, Descriptor]
    blobs: Sequence[Descriptor] = ()
    platform: str = ""


def delta_parts(delta: Delta) -> Iterator[bytes | Descriptor]:
    """The archive in order: bytes as they are, and in between the blobs whose content stands there.

    The first and the last part are bytes, and each blob stands between two such parts.
    """
    nonce = secrets.token_hex(8)
    before = b""
    for blob in delta.blobs:
        yield before + tar_header(f"x-{nonce}/{blob.digest.hex}", blob.size)
        yield blob
        before = bytes(padding(blob.size))
    end = [before]
    for name, data in (("oci-layout", OCI_LAYOUT_FILE), ("index.json", _index(delta.names))):
        end += [tar_header(name, len(data)), data, bytes(padding(len(data)))]
    yield b"".join([*end, END_OF_ARCHIVE])


def _index(names: Mapping[str, Descriptor]) -> bytes:
    entries = [
        {
            "mediaType": root.media_type,
            "digest": str(root.digest),
            "size": root.size,
            "annotations": {ANNOTATION_CONTAINERD_NAME: name},
        }
        for name, root in sorted(names.items(), key=lambda item: item[0])
    ]
    return canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
