"""The carrier by stream: an archive of just what is missing, into ``ctr images import -``.

Slower than a fetch, but needs nothing except a pipe, carries exactly what it is given, and sets
any number of names at once. What makes it safe (each seen to go wrong otherwise):

- Every blob passes a `VerifiedStream`: ``ctr`` takes any bytes, and stores them under what they
  hash to. A bad one stops the stream.
- ``oci-layout`` and ``index.json`` come last, so that a stream that stops names no image.
- Members are called ``x-<nonce>/<hex>``: containerd goes on with what it has of a member of the
  same name, and a run that was killed would damage the next one for 24 hours.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING

from imgsync.content import CHUNK_BYTES, VerifiedStream
from imgsync.errors import ImgsyncError
from imgsync.events import Advanced, Report, Started
from imgsync.model.bundle_files import ANNOTATION_CONTAINERD_NAME, OCI_LAYOUT_FILE
from imgsync.model.media_types import OCI_INDEX
from imgsync.model.strict_json import canonical
from imgsync.model.tar_header import END_OF_ARCHIVE, padding, tar_header
from imgsync.stores.containerd.command import Ended, failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.stores import Source
    from imgsync.stores.containerd.command import Ctr


def import_stream(
    ctr: Ctr,
    namespace: str,
    names: Mapping[str, Descriptor],
    blobs: Sequence[Descriptor],
    source: Source,
    report: Report,
    *,
    platform: str = "",
) -> None:
    """Send the blobs, then let the names mean their roots.

    With a ``platform`` containerd looks at no other, which is what an image needs whose other
    manifests are nowhere. Else never: what is said of one platform evicts the others (1.x).

    Raises:
        ImgsyncError: the source failed or lied; no name was set.
        ContainerdError: ``ctr`` failed.
    """
    command = ("images", "import")
    which = ["--platform", platform] if platform else ["--all-platforms"]
    flags = [*ctr.local(*command), *which, "--no-unpack"]
    with (
        tempfile.TemporaryFile() as err,
        ctr.start(
            namespace,
            *command,
            *flags,
            "-",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=err,
        ) as process,
    ):
        pipe = process.stdin
        assert pipe is not None  # noqa: S101 - it was started with one
        failed: ImgsyncError | None = None
        try:
            write_delta(pipe, names, blobs, source, report)
        except BrokenPipeError:
            pass  # it ended before it had all; its own message says why
        except ImgsyncError as error:
            failed = error
        except BaseException:
            process.terminate()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        status = process.wait()
        err.seek(0)
        message = err.read().decode(errors="replace")
    if failed is not None:
        raise failed
    if status != 0:
        raise failure(Ended(command, status, b"", message))


def write_delta(
    out: IO[bytes],
    names: Mapping[str, Descriptor],
    blobs: Iterable[Descriptor],
    source: Source,
    report: Report,
) -> None:
    """Write the whole archive, or as much of it as comes before a bad blob."""
    nonce = secrets.token_hex(8)
    for blob in blobs:
        report(Started(blob))
        out.write(tar_header(f"x-{nonce}/{blob.digest.hex}", blob.size))
        with VerifiedStream(source.open(blob), blob, side=source.side) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                out.write(chunk)
                report(Advanced(blob, len(chunk)))
        out.write(bytes(padding(blob.size)))
    for name, data in (("oci-layout", OCI_LAYOUT_FILE), ("index.json", _index(names))):
        out.write(tar_header(name, len(data)) + data + bytes(padding(len(data))))
    out.write(END_OF_ARCHIVE)
    out.flush()


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
