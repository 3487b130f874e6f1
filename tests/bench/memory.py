"""The memory of a plan: ten thousand images with a hundred thousand blobs, which exist nowhere.

`make memory` prints it; the mark is 300 MB (docs/measured.md).
"""

import argparse
import hashlib
import io
import json
import resource
import time
from dataclasses import dataclass, field

from imgsync.bundling.making import plan_of
from imgsync.bundling.preparing import Preparation
from imgsync.bundling.request import BundleOptions, Request
from imgsync.content import Readable
from imgsync.events import ignore
from imgsync.model.descriptor import Descriptor
from imgsync.model.digest import Digest
from imgsync.model.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.model.tar_layout import tar_layout
from imgsync.stores import Resolved
from imgsync.stores.discard import Discard

LAYERS = 9


def _blob(media_type: str, name: str, size: int) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": size}


def _manifest(number: int) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _blob(OCI_CONFIG, f"config {number}", 500),
        "layers": [_blob(OCI_LAYER_GZIP, f"layer {number} {n}", 10_000 + n) for n in range(LAYERS)],
    }
    return json.dumps(value).encode()


def _index(number: int) -> bytes:
    manifest = _manifest(number)
    entry = {
        "mediaType": OCI_MANIFEST,
        "digest": str(Digest.of(manifest)),
        "size": len(manifest),
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()


@dataclass
class Generated:
    """A source of images that are made when they are asked for."""

    side: str = "generated"
    documents: dict[Digest, tuple[bool, int]] = field(default_factory=dict)

    def resolve(self, reference: Reference) -> Resolved:
        """The index of the image whose number is the tag."""
        number = int(reference.tag)
        index = _index(number)
        digest = Digest.of(index)
        self.documents[digest] = (True, number)
        self.documents[Digest.of(_manifest(number))] = (False, number)
        return Resolved(Descriptor(OCI_INDEX, digest, len(index)))

    def open(self, descriptor: Descriptor, offset: int = 0) -> Readable:
        """A document; blobs are never asked for."""
        is_index, number = self.documents[descriptor.digest]
        return io.BytesIO((_index(number) if is_index else _manifest(number))[offset:])


def peak_mb() -> float:
    """The most memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Plan, and tell what it took after each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=10_000)
    n_images = parser.parse_args().n
    begun = time.monotonic()
    source = Generated()
    names = [Reference("registry.example", f"team/app{n}", str(n)) for n in range(n_images)]
    requests = [Request(str(name), source, name, name=name) for name in names]
    print(f"nothing planned yet: {peak_mb():.0f} MB")
    preparation = Preparation(BundleOptions(jobs=2), {}, ignore)
    prepared = preparation.prepare(requests, Platform("linux", "amd64"))
    source.documents.clear()
    n_objects = len(prepared.lock.objects)
    print(f"{n_images} images, {n_objects} objects read: {peak_mb():.0f} MB")
    layout = tar_layout(prepared.lock)
    print(f"a tar of {layout.size} bytes laid out: {peak_mb():.0f} MB")
    plan, _ = plan_of(prepared, Discard())
    print(f"{len(plan.steps)} steps planned: {peak_mb():.0f} MB, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
