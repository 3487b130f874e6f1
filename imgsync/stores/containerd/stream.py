"""The carrier by stream: an archive of just what is missing, into ``ctr images import -``.

Slower than a fetch, but needs nothing except a pipe, carries exactly what it is given, and sets
any number of names at once. What makes it safe (each seen to go wrong otherwise):

- Every blob passes a `VerifiedStream`: ``ctr`` takes any bytes, and stores them under what they
  hash to. A bad one stops the stream.
- The order and the names of the members: see `imgsync.stores.containerd.delta`.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from typing import IO, TYPE_CHECKING, Final, Protocol

from imgsync.content import CHUNK_BYTES, VerifiedStream
from imgsync.errors import ImgsyncError
from imgsync.events import Advanced, Report, Started
from imgsync.stores.containerd.command import Ended, failure
from imgsync.stores.containerd.delta import delta_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgsync.model.descriptor import Descriptor
    from imgsync.stores import Source
    from imgsync.stores.containerd.command import Ctr

IMPORT: Final = ("images", "import")


class Send(Protocol):
    """How an archive of some content and names gets into containerd; see `import_stream`."""

    def __call__(
        self,
        ctr: Ctr,
        namespace: str,
        names: Mapping[str, Descriptor],
        blobs: Sequence[Descriptor],
        source: Source,
        report: Report,
        *,
        platform: str = "",
    ) -> None:
        """Send it."""


def import_words(ctr: Ctr, platform: str = "") -> tuple[str, ...]:
    """The words by which ``ctr`` takes an archive from its standard input.

    With a ``platform`` containerd looks at no other, which is what an image needs whose other
    manifests are nowhere. Else never: what is said of one platform evicts the others (1.x).
    """
    which = ("--platform", platform) if platform else ("--all-platforms",)
    return (*IMPORT, *ctr.local(*IMPORT), *which, "--no-unpack", "-")


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
    """Send the blobs, then let the names mean their roots; ``platform``: see `import_words`.

    Raises:
        ImgsyncError: the source failed or lied; no name was set.
        ContainerdError: ``ctr`` failed.
    """
    with (
        tempfile.TemporaryFile() as err,
        ctr.start(
            namespace,
            *import_words(ctr, platform),
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
        raise failure(Ended(IMPORT, status, b"", message))


def write_delta(
    out: IO[bytes],
    names: Mapping[str, Descriptor],
    blobs: Iterable[Descriptor],
    source: Source,
    report: Report,
) -> None:
    """Write the whole archive, or as much of it as comes before a bad blob."""
    for part in delta_parts(names, blobs):
        if isinstance(part, bytes):
            out.write(part)
            continue
        report(Started(part))
        with VerifiedStream(source.open(part), part, side=source.side) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                out.write(chunk)
                report(Advanced(part, len(chunk)))
    out.flush()
