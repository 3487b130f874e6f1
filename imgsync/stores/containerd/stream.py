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
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Final

from imgsync.content import CHUNK_BYTES, VerifiedStream
from imgsync.errors import ImgsyncError
from imgsync.events import Advanced, Started
from imgsync.stores.containerd.command import Ended, failure
from imgsync.stores.containerd.delta import delta_parts

if TYPE_CHECKING:
    from imgsync.events import Report
    from imgsync.stores import Source
    from imgsync.stores.containerd.command import Ctr
    from imgsync.stores.containerd.delta import Delta

IMPORT: Final = ("images", "import")


Send = Callable[["Ctr", str, "Delta", "Source", "Report"], None]
"""How an archive gets into a namespace; see `import_stream`."""


def import_words(ctr: Ctr, delta: Delta) -> tuple[str, ...]:
    """The words by which ``ctr`` takes the archive from its standard input."""
    which = ("--platform", delta.platform) if delta.platform else ("--all-platforms",)
    return (*IMPORT, *ctr.local(*IMPORT), *which, "--no-unpack", "-")


def import_stream(ctr: Ctr, namespace: str, delta: Delta, source: Source, report: Report) -> None:
    """Send the blobs, then let the names mean their roots.

    Raises:
        ImgsyncError: the source failed or lied; no name was set.
        ContainerdError: ``ctr`` failed.
    """
    with (
        tempfile.TemporaryFile() as err,
        ctr.start(
            namespace,
            *import_words(ctr, delta),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=err,
        ) as process,
    ):
        pipe = process.stdin
        assert pipe is not None  # noqa: S101 - it was started with one
        failed: ImgsyncError | None = None
        try:
            write_delta(pipe, delta, source, report)
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


def write_delta(out: IO[bytes], delta: Delta, source: Source, report: Report) -> None:
    """Write the whole archive, or as much of it as comes before a bad blob."""
    for part in delta_parts(delta):
        if isinstance(part, bytes):
            out.write(part)
            continue
        report(Started(part))
        with VerifiedStream(source.open(part), part, side=source.side) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                out.write(chunk)
                report(Advanced(part, len(chunk)))
    out.flush()
